import { PosternError } from '@postern/contracts';
import { verifyConsistency, type OpenedCheckpoint } from '@postern/crypto';

import type { CheckpointRead, StoredCheckpoint } from './checkpoint-reader.ts';
import type { StoredMessage } from './event-log.ts';
import type { LogFinding } from './log-verifier.ts';
import { LogTree } from './log-tree.ts';

export interface TreeVerifierOptions {
  /** Which stream is verified, for the words of a finding. */
  readonly stream: string;
  /** The checkpoints of this stream in the order in which they were made. */
  readonly stored: AsyncIterable<CheckpointRead>;
  /** Checkpoints that left the house: what is kept here may have been changed together with the log. */
  readonly outside: readonly OpenedCheckpoint[];
}

/** How far a log is proved, as positions. */
export interface TreeReport {
  /** What the checkpoints say that are kept beside the log. */
  readonly checkpointedUpTo: number;
  /** What a checkpoint says that left the house; what comes after it is an unproven tail. */
  readonly provenUpTo: number;
}

/** A log with more positions missing in a row than this has no tree that is worth making. */
const missingMax = 1_000_000;

interface Mismatch {
  readonly size: number;
  /** The largest tree before it that did agree. */
  readonly agreed: number;
}

/**
 * Grows a log's tree once more and compares it with each checkpoint on the way. It keeps one hash for each bit of the
 * log's length, and one checkpoint.
 */
export class TreeVerifier {
  readonly #stream: string;
  readonly #stored: AsyncIterator<CheckpointRead>;
  readonly #outside: OpenedCheckpoint[];
  readonly #tree = new LogTree();
  readonly #findings: LogFinding[] = [];
  #next: StoredCheckpoint | undefined;
  #previous: OpenedCheckpoint | undefined;
  #begun = false;
  /** The sizes of the newest checkpoints that agreed. */
  readonly #agreed = { stored: 0, outside: 0 };
  readonly #mismatch: { stored?: Mismatch; outside?: Mismatch } = {};
  #largest = 0;

  constructor({ stream, stored, outside }: TreeVerifierOptions) {
    this.#stream = stream;
    this.#stored = stored[Symbol.asyncIterator]();
    this.#outside = outside.toSorted((one, other) => one.size - other.size);
    this.#largest = this.#outside.at(-1)?.size ?? 0;
  }

  /**
   * Takes the next message of the log; one that stands no later than the one before it is no part of the tree.
   *
   * @throws {PosternError} `log.message_damaged` when too much is missing.
   */
  async message(message: StoredMessage): Promise<void> {
    const from = this.#tree.size + 1;
    const { position, subject } = message;
    if (position < from) return;
    if (position - from > missingMax) {
      throw new PosternError(
        'log.message_damaged',
        `Positions ${from} to ${position - 1} of ${this.#stream} are gone.`,
      );
    }
    if (position > from) {
      const reason = `nothing stands at positions ${from} to ${position - 1}`;
      this.#findings.push({ kind: 'missing', position: from, subject, reason });
    }
    while (this.#tree.size < position - 1) await this.#leaf(undefined);
    await this.#leaf(message);
  }

  /** Whatever was found, once all messages have passed. */
  async end(): Promise<{ readonly findings: readonly LogFinding[]; readonly report: TreeReport }> {
    await this.#compare();
    while (this.#next !== undefined) await this.#advance();
    this.#addMismatches();
    this.#addCut();
    const report = { checkpointedUpTo: this.#agreed.stored, provenUpTo: this.#agreed.outside };
    return { findings: this.#findings, report };
  }

  async #leaf(message: StoredMessage | undefined): Promise<void> {
    if (!this.#begun || this.#next?.size === this.#tree.size || this.#outside[0]?.size === this.#tree.size) {
      await this.#compare();
    }
    this.#tree.add(message);
  }

  async #compare(): Promise<void> {
    const { size } = this.#tree;
    if (!this.#begun) await this.#advance();
    this.#begun = true;
    while (this.#outside[0]?.size === size) this.#note('outside', this.#outside.shift());
    while (this.#next?.size === size) {
      this.#note('stored', this.#next);
      await this.#advance();
    }
  }

  #note(kind: 'stored' | 'outside', checkpoint: OpenedCheckpoint | undefined): void {
    const { size } = this.#tree;
    if (checkpoint?.root.equals(this.#tree.root()) === true) this.#agreed[kind] = size;
    else this.#mismatch[kind] ??= { size, agreed: Math.max(this.#agreed.stored, this.#agreed.outside) };
  }

  /** Goes to the next stored checkpoint that continues the one before it; what does not is a finding. */
  async #advance(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#stored.next();
      this.#next = undefined;
      if (done === true) return;
      if (value.kind !== 'checkpoint') {
        this.#findings.push({ ...value, reason: `among the checkpoints: ${value.reason}` });
        continue;
      }
      const { checkpoint } = value;
      if (!this.#continues(checkpoint)) continue;
      this.#next = this.#previous = checkpoint;
      this.#largest = Math.max(this.#largest, checkpoint.size);
      return;
    }
  }

  #continues(checkpoint: StoredCheckpoint): boolean {
    const previous = this.#previous;
    if (previous === undefined) return true;
    const { size, root, consistency } = checkpoint;
    const claim = { firstSize: previous.size, firstRoot: previous.root, secondSize: size, secondRoot: root };
    if (verifyConsistency(consistency, claim)) return true;
    const same = size === previous.size && !root.equals(previous.root);
    this.#finding(
      same ? 'fork' : 'checkpoint',
      size,
      same
        ? `two histories of positions 1 to ${size} were signed`
        : `its checkpoint does not continue the one of size ${previous.size}`,
    );
    return false;
  }

  #addMismatches(): void {
    const { stored, outside } = this.#mismatch;
    const words = ({ size, agreed }: Mismatch) => `positions ${agreed + 1} to ${size}`;
    if (outside !== undefined && (stored === undefined || stored.size > outside.size)) {
      const reason = `${words(outside)} are other than what was signed and left the house: a fork, or an older backup that went on`;
      this.#finding('fork', outside.size, reason);
    }
    if (stored !== undefined)
      this.#finding('checkpoint', stored.size, `${words(stored)} are not what was checkpointed`);
  }

  #addCut(): void {
    const { size } = this.#tree;
    if (this.#largest <= size) return;
    const reason = `positions ${size + 1} to ${this.#largest} are gone: the tail was cut, or an older backup restored`;
    this.#finding('cut', size + 1, reason);
  }

  #finding(kind: LogFinding['kind'], position: number, reason: string): void {
    this.#findings.push({ kind, position, subject: this.#stream, reason });
  }
}
