import { consistencyAlong, verifyConsistency, type AddCheckpoint } from '@postern/crypto';
import type { CheckpointReader, EventLog, NewestCheckpoint, StoredCheckpoint } from '@postern/event-log';
import type { GuardedFetch } from '@postern/provider-client';
import type { Clock } from '@postern/service';

import { notifierLimits } from '../notifier-limits.ts';
import { showCheckpoint, type Shown } from './show-checkpoint.ts';
import type { WitnessPlace } from './witness-list.ts';

export interface WitnessFeedOptions {
  readonly witness: WitnessPlace;
  readonly checkpoints: EventLog;
  readonly reader: CheckpointReader;
  readonly fetch: GuardedFetch;
  readonly clock: Clock;
  readonly onCosigned: (checkpoint: StoredCheckpoint, line: string) => void;
  /** Told of each answer; `contradicted` and `refused` are for somebody to look at. */
  readonly onShown: (outcome: Shown['outcome'] | 'no_proof', about: Record<string, unknown>) => void;
  /** Our own side failed: it is tried again. */
  readonly onError: (error: unknown) => void;
}

/** What a round came to: the newest is cosigned, look again at once, or later. */
type Round = 'cosigned' | 'again' | 'later';

/**
 * Shows one witness the newest checkpoint of one stream, until it has cosigned it.
 *
 * What the witness has is asked of it, not remembered: a restart costs one request, and any number of processes may do it.
 */
export class WitnessFeed {
  readonly #options: WitnessFeedOptions;
  readonly #stopping = new AbortController();
  /** What the witness has, as far as is known. */
  #standsAt = 0;
  /** The size that it was told to have before, when it had more than stands here. */
  #ahead = 0;
  #cosigned = 0;
  #failures = 0;
  /** Since when something waits for it, monotonic. */
  #waitingSinceMs: number | undefined;
  #announced = false;
  #running: Promise<void> | undefined;

  constructor(options: WitnessFeedOptions) {
    this.#options = options;
  }

  /** A checkpoint is there. It never delays, and never throws. */
  wake(): void {
    this.#announced = true;
    this.#waitingSinceMs ??= this.#options.clock.monotonicMs();
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#announced && !this.#stopping.signal.aborted) this.wake();
    });
  }

  /** For how long the newest checkpoint has waited for the witness; 0 when it has cosigned it. */
  behindMs(): number {
    return this.#waitingSinceMs === undefined ? 0 : this.#options.clock.monotonicMs() - this.#waitingSinceMs;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#announced = false;
      const round = await this.#round().catch((error: unknown): Round => {
        this.#options.onError(error);
        return 'later';
      });
      if (round === 'cosigned') {
        this.#failures = 0;
        this.#waitingSinceMs = this.#announced ? clock.monotonicMs() : undefined;
        if (!this.#announced) return;
      } else if (round === 'later') {
        this.#failures += 1;
        await clock.sleep(this.#delayMs(), { signal }).catch(() => undefined);
      }
    }
  }

  #delayMs(): number {
    const { retryDelayMs, retryDelayMsMax } = notifierLimits.witness;
    const doubled = Math.min(retryDelayMsMax, retryDelayMs * 2 ** (this.#failures - 1));
    return doubled * (1 - this.#options.clock.random() / 2);
  }

  async #round(): Promise<Round> {
    const { reader, checkpoints, witness, fetch, onCosigned, onShown } = this.#options;
    const newest = await reader.newest(checkpoints);
    const { checkpoint } = newest;
    if (checkpoint === undefined || checkpoint.size === this.#cosigned) return 'cosigned';
    if (this.#standsAt > checkpoint.size) return this.#isAhead(checkpoint);
    const asked = await this.#asked(checkpoint, newest);
    if (asked === undefined) {
      onShown('no_proof', { size: checkpoint.size, witnessSize: this.#standsAt });
      // Perhaps the witness was put back: it says so when it is asked from nothing.
      this.#standsAt = 0;
      return 'later';
    }
    const shown = await showCheckpoint(witness, asked, fetch);
    onShown(shown.outcome, { size: checkpoint.size, oldSize: asked.oldSize, ...shown });
    if (shown.outcome === 'cosigned') {
      this.#standsAt = this.#cosigned = checkpoint.size;
      onCosigned(checkpoint, shown.line);
      return 'cosigned';
    }
    if (shown.outcome !== 'conflict') return 'later';
    const isNews = shown.witnessSize !== this.#standsAt;
    this.#standsAt = shown.witnessSize;
    return isNews ? 'again' : 'later';
  }

  /** The witness has more than stood here a moment ago: another process was faster, or this log is not what it was. */
  #isAhead({ size }: StoredCheckpoint): Round {
    if (this.#ahead !== this.#standsAt) {
      this.#ahead = this.#standsAt;
      return 'again';
    }
    this.#options.onShown('contradicted', { size, witnessSize: this.#standsAt });
    this.#ahead = this.#standsAt = 0;
    return 'later';
  }

  async #asked(checkpoint: StoredCheckpoint, newest: NewestCheckpoint): Promise<AddCheckpoint | undefined> {
    const oldSize = this.#standsAt;
    const { note, size: secondSize, root: secondRoot } = checkpoint;
    if (oldSize === 0) return { oldSize, proof: [], checkpoint: note };
    const { reader, checkpoints } = this.#options;
    const stages = await reader.since(oldSize, newest, checkpoints);
    const [first] = stages;
    const proof = consistencyAlong(stages);
    if (first === undefined || proof === undefined) return undefined;
    const claim = { firstSize: oldSize, firstRoot: first.root, secondSize, secondRoot };
    return verifyConsistency(proof, claim) ? { oldSize, proof, checkpoint: note } : undefined;
  }
}
