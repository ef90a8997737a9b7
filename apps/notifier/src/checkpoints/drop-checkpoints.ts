import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { CheckpointRecord, provenStreams, streams, subjects } from '@postern/contracts';
import { CheckpointReader, type LogSubscription, type StoredMessage } from '@postern/event-log';
import { EventLogs, Logger, Metrics, type OnServiceReady } from '@postern/service';

import { NotifierConfig } from '../notifier-config.ts';
import { notifierLimits } from '../notifier-limits.ts';
import { CheckpointFiles } from './checkpoint-files.ts';

/**
 * Drops each checkpoint that `audit` signed where somebody takes it out of the house. It holds no key of the log: what it
 * drops it can neither make nor change.
 */
@Injectable()
export class DropCheckpoints implements OnServiceReady, OnApplicationShutdown {
  readonly #files = new Map<string, CheckpointFiles>();
  readonly #logs: EventLogs;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  #subscription: LogSubscription | undefined;

  constructor({ checkpointDir: dir, trust }: NotifierConfig, logs: EventLogs, metrics: Metrics, logger: Logger) {
    this.#logs = logs;
    this.#metrics = metrics;
    this.#logger = logger;
    metrics.counter('postern.checkpoint.drop.problems').add(0);
    const { log } = trust;
    if (dir === undefined || log === undefined) return;
    for (const stream of provenStreams) {
      const reader = new CheckpointReader(log, stream);
      const { name } = streams[stream];
      const { checkpointFilesMax: filesMax } = notifierLimits;
      this.#files.set(
        subjects.checkpoint(name),
        new CheckpointFiles({ dir, name, open: (note) => reader.note(note), filesMax, extension: 'checkpoint' }),
      );
    }
  }

  async onServiceReady(): Promise<void> {
    if (this.#files.size === 0) return;
    this.#subscription = await this.#logs.checkpoints.subscribe({
      filter: subjects.allCheckpoints,
      lastPerSubject: true,
      onMessage: (message) => this.#drop(message),
      onReset: () => undefined,
    });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#subscription?.stop();
  }

  #drop({ subject, position, payload }: StoredMessage): void {
    const files = this.#files.get(subject);
    const note = noteIn(payload);
    try {
      const dropped = note === undefined ? 'contradicts' : files?.drop(note);
      if (dropped === 'contradicts')
        this.#alarm('the checkpoint contradicts what was dropped before', { subject, position });
    } catch (error) {
      this.#alarm('a checkpoint could not be dropped', { subject, position, err: error });
    }
  }

  #alarm(sentence: string, about: Record<string, unknown>): void {
    this.#logger.error(sentence, about);
    this.#metrics.counter('postern.checkpoint.drop.problems').add(1);
  }
}

function noteIn(payload: Uint8Array): string | undefined {
  try {
    return CheckpointRecord.safeParse(JSON.parse(Buffer.from(payload).toString('utf8'))).data?.note;
  } catch {
    return undefined;
  }
}
