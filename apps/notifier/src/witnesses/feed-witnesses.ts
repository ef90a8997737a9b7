import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isPosternError, provenStreams, streams, subjects, type LogTrust, type ProvenStream } from '@postern/contracts';
import { CheckpointReader, type LogSubscription } from '@postern/event-log';
import { guardedFetch } from '@postern/provider-client';
import { Clock, EventLogs, Logger, Metrics, type OnServiceReady } from '@postern/service';

import { CheckpointFiles } from '../checkpoints/checkpoint-files.ts';
import { NotifierConfig } from '../notifier-config.ts';
import { notifierLimits } from '../notifier-limits.ts';
import { CosignedCheckpoints } from './cosigned-checkpoints.ts';
import type { Shown } from './show-checkpoint.ts';
import { WitnessFeed } from './witness-feed.ts';
import { witnessesIn, type WitnessPlace } from './witness-list.ts';

/** What somebody must look at: the others pass by themselves. */
const alarming: readonly (Shown['outcome'] | 'no_proof')[] = ['contradicted', 'refused', 'not_its_own', 'no_proof'];

/**
 * Shows each checkpoint that `audit` signed to the witnesses, and keeps what they have cosigned: of two histories of the
 * log, told to readers who never meet, a witness cosigns one. It holds no key of the log.
 */
@Injectable()
export class FeedWitnesses implements OnServiceReady, OnApplicationShutdown {
  readonly #feeds = new Map<string, WitnessFeed[]>();
  readonly #config: NotifierConfig;
  readonly #logs: EventLogs;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  #subscription: LogSubscription | undefined;

  constructor(config: NotifierConfig, logs: EventLogs, clock: Clock, metrics: Metrics, logger: Logger) {
    this.#config = config;
    this.#logs = logs;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#logger = logger;
    const witnesses = witnessesIn(config.witnesses);
    const { trust, checkpointDir } = config;
    if (witnesses.length === 0 || trust.log === undefined || checkpointDir === undefined) return;
    const told: (() => readonly [{ witness: string; stream: string }, number])[] = [];
    for (const stream of provenStreams) {
      const { name } = streams[stream];
      const feeds = this.#feedsOf({ stream, log: trust.log, dir: checkpointDir }, witnesses);
      this.#feeds.set(subjects.checkpoint(name), feeds);
      for (const [place, feed] of feeds.entries()) {
        const labels = { witness: witnesses[place]?.name ?? '', stream: name };
        told.push(() => [labels, feed.behindMs() / 1_000] as const);
      }
    }
    metrics.gauge('postern.witness.behind', () => told.map((tell) => tell()));
  }

  async onServiceReady(): Promise<void> {
    if (this.#feeds.size === 0) {
      if (this.#config.witnesses !== undefined) {
        this.#logger.warn('no witness is shown anything: the trust bundle names no keys that sign checkpoints');
      }
      return;
    }
    this.#subscription = await this.#logs.checkpoints.subscribe({
      filter: subjects.allCheckpoints,
      lastPerSubject: true,
      onMessage: ({ subject }) => this.#feeds.get(subject)?.forEach((feed) => feed.wake()),
      onReset: () => undefined,
    });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#subscription?.stop();
    await Promise.all([...this.#feeds.values()].flat().map((feed) => feed.stop()));
  }

  #feedsOf(
    { stream, log, dir }: { readonly stream: ProvenStream; readonly log: LogTrust; readonly dir: string },
    witnesses: readonly WitnessPlace[],
  ): WitnessFeed[] {
    const reader = new CheckpointReader(log, stream);
    const { name } = streams[stream];
    const { checkpointFilesMax: filesMax, witness: limits } = notifierLimits;
    const open = (note: string) => reader.note(note);
    const files = new CheckpointFiles({ dir, name, open, filesMax, extension: 'cosigned' });
    const cosigned = new CosignedCheckpoints(files, this.#config.witnessQuorum ?? witnesses.length);
    const fetch = guardedFetch({ allowLoopback: true, timeoutMs: limits.timeoutMs });
    return witnesses.map((witness) => {
      const about = { witness: witness.name, stream: name };
      return new WitnessFeed({
        witness,
        reader,
        fetch,
        checkpoints: this.#logs.checkpoints,
        clock: this.#clock,
        onCosigned: (checkpoint, line) => this.#keep(about, () => cosigned.add(checkpoint, witness.name, line)),
        onShown: this.#telling(about),
        onError: (error) => {
          const isPassing = isPosternError(error) && error.code === 'log.unavailable';
          this.#logger[isPassing ? 'warn' : 'error']('a witness could not be shown the log', { ...about, err: error });
        },
      });
    });
  }

  /** Counts each answer, and says what somebody must look at: once, until the witness answers otherwise. */
  #telling(of: { readonly witness: string; readonly stream: string }) {
    let last = '';
    return (outcome: Shown['outcome'] | 'no_proof', about: Record<string, unknown>) => {
      this.#metrics.counter('postern.witness.answers').add(1, { witness: of.witness, outcome });
      const isNews = alarming.includes(outcome) && outcome !== last;
      if (isNews) this.#logger.error('a witness does not cosign the log', { ...of, outcome, ...about });
      if (isNews || outcome === 'cosigned') last = outcome;
    };
  }

  #keep(about: object, keep: () => void): void {
    try {
      keep();
    } catch (error) {
      this.#logger.error('a cosigned checkpoint could not be kept', { ...about, err: error });
      this.#metrics.counter('postern.checkpoint.drop.problems').add(1);
    }
  }
}
