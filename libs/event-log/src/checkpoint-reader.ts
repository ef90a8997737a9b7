import {
  CheckpointRecord,
  parseJson,
  PosternError,
  streams,
  subjects,
  type LogTrust,
  type ProvenStream,
} from '@postern/contracts';
import { GrowingTree, openCheckpoint, type OpenedCheckpoint, type TreeHash } from '@postern/crypto';

import type { LogProblem } from './commit-reader.ts';
import type { EventLog, StoredMessage } from './event-log.ts';

/** A message of CHECKPOINTS as it was read, or what is wrong with it. */
export type CheckpointRead = { readonly kind: 'checkpoint'; readonly checkpoint: StoredCheckpoint } | LogProblem;

/** The head of a stream's tree that its owner signed, and what building goes on from. */
export interface StoredCheckpoint extends OpenedCheckpoint {
  readonly note: string;
  readonly subtrees: readonly TreeHash[];
  readonly lastLeafHash: TreeHash;
  /** From the checkpoint before it. */
  readonly consistency: readonly TreeHash[];
}

/** The newest checkpoint, undefined when none was ever made. */
export interface NewestCheckpoint {
  readonly checkpoint: StoredCheckpoint | undefined;
  /** Of the last message of any kind: whoever appends expects it. */
  readonly position: number;
}

/** A checkpoint, and where it stands. */
export interface PlacedCheckpoint {
  readonly checkpoint: StoredCheckpoint;
  /** Of its own message in CHECKPOINTS. */
  readonly position: number;
}

/** Nobody but the keeper writes there, but a client may make the server do so: a few are stepped over. */
const strangersMax = 1_000;

/** The name under which a stream's checkpoints are known. */
export function checkpointOrigin({ name }: Pick<LogTrust, 'name'>, stream: ProvenStream): string {
  return `${name}/${streams[stream].name}`;
}

/** Reads checkpoints of one stream, and believes what a trusted key signed. */
export class CheckpointReader {
  readonly #stream: string;
  readonly #subject: string;
  readonly #origin: string;
  readonly #keys: LogTrust['keys'];

  constructor(trust: LogTrust, stream: ProvenStream) {
    this.#stream = streams[stream].name;
    this.#subject = subjects.checkpoint(this.#stream);
    this.#origin = checkpointOrigin(trust, stream);
    this.#keys = trust.keys;
  }

  /** @returns undefined for a note that no trusted key signed for this stream. */
  note(note: string): OpenedCheckpoint | undefined {
    return openCheckpoint(note, { origin: this.#origin, keys: this.#keys });
  }

  /**
   * The newest checkpoint of the stream, from the leader.
   *
   * @throws {PosternError} `log.message_damaged` when something stands there, and none that a trusted key signed.
   */
  async newest(checkpoints: EventLog): Promise<NewestCheckpoint> {
    const message = await checkpoints.last(this.#subject, { fromLeader: true });
    const position = message?.position ?? 0;
    const found = await this.#believed(message, checkpoints);
    // To begin anew would be to forget what was signed.
    if (found !== undefined || position === 0) return { checkpoint: found?.checkpoint, position };
    throw new PosternError('log.message_damaged', `No checkpoint of ${this.#stream} is signed by a trusted key.`);
  }

  /**
   * The newest checkpoint of a tree that is no larger than this. Trees only grow, so it is searched for by halves: some
   * twenty look-ups among a million checkpoints.
   *
   * @returns undefined when none was made, or all are of larger trees.
   * @throws {PosternError} as `newest` does
   */
  async upTo(size: number, checkpoints: EventLog): Promise<PlacedCheckpoint | undefined> {
    let high = await checkpoints.head();
    let found: PlacedCheckpoint | undefined;
    for (let low = 0; low < high;) {
      const middle = Math.ceil((low + high) / 2);
      const last = await checkpoints.last(this.#subject, { untilPosition: middle });
      const met = await this.#believed(last, checkpoints);
      if (met !== undefined && met.checkpoint.size > size) {
        high = met.position - 1;
        continue;
      }
      found = met ?? found;
      low = middle;
    }
    return found;
  }

  /** The first checkpoint of a tree that is no smaller than this. @throws {PosternError} as `newest` does */
  async from(size: number, checkpoints: EventLog): Promise<PlacedCheckpoint | undefined> {
    const before = await this.upTo(size - 1, checkpoints);
    const fromPosition = (before?.position ?? 0) + 1;
    for await (const { position, payload } of checkpoints.read({ filter: this.#subject, fromPosition })) {
      const checkpoint = this.stored(payload);
      if (checkpoint !== undefined && checkpoint.size >= size) return { checkpoint, position };
    }
    return undefined;
  }

  /** A message of CHECKPOINTS, or the newest before it that a trusted key signed. */
  async #believed(message: StoredMessage | undefined, checkpoints: EventLog): Promise<PlacedCheckpoint | undefined> {
    let met = message;
    for (let strangers = 0; met !== undefined && strangers < strangersMax; strangers += 1) {
      const { position, payload } = met;
      const checkpoint = this.stored(payload);
      if (checkpoint !== undefined) return { checkpoint, position };
      met = await checkpoints.last(this.#subject, { untilPosition: position - 1 });
    }
    return undefined;
  }

  /**
   * The checkpoints from the one of this size to the newest, in order: what a proof that the one continues the other is
   * made of. It goes back from the newest one, so it costs what lies between.
   *
   * @returns none where no checkpoint of this size stands: it was never made, or is older than what is kept.
   * @throws {PosternError} `log.unavailable`
   */
  async since(size: number, { checkpoint: newest, position }: NewestCheckpoint, checkpoints: EventLog) {
    const found: StoredCheckpoint[] = [];
    let message: StoredMessage | undefined;
    let eldest = newest;
    for (let before = position + 1; eldest !== undefined && eldest.size > size; before = message.position) {
      message = await checkpoints.last(this.#subject, { untilPosition: before - 1 });
      if (message === undefined) return [];
      const checkpoint = this.stored(message.payload);
      if (checkpoint === undefined) continue;
      eldest = checkpoint;
      found.unshift(checkpoint);
    }
    return eldest?.size === size ? (found.length === 0 ? [eldest] : found) : [];
  }

  /**
   * The checkpoints of the stream as they were stored, in order; what no trusted key signed is told as foreign.
   *
   * @param fromPosition in CHECKPOINTS; their beginning when absent.
   */
  async *all(checkpoints: EventLog, untilPosition: number, fromPosition?: number): AsyncIterable<CheckpointRead> {
    const filter = this.#subject;
    for await (const message of checkpoints.read({ filter, fromPosition, untilPosition })) yield this.read(message);
  }

  /** A message of CHECKPOINTS, wherever it was found. */
  read({ position, subject, payload }: StoredMessage): CheckpointRead {
    const checkpoint = this.stored(payload);
    if (checkpoint !== undefined) return { kind: 'checkpoint', checkpoint };
    return { kind: 'foreign', position, subject, reason: 'no checkpoint signed by a trusted key' };
  }

  /** A message of CHECKPOINTS. @returns undefined also when what stands beside the note is not the tree it signs. */
  stored(payload: Uint8Array): StoredCheckpoint | undefined {
    const record = parsed(payload);
    const opened = record && this.note(record.note);
    if (record === undefined || opened === undefined) return undefined;
    const subtrees = record.subtrees.map(hashOf);
    if (GrowingTree.at(opened.size, subtrees)?.root().equals(opened.root) !== true) return undefined;
    return {
      ...opened,
      note: record.note,
      subtrees,
      lastLeafHash: hashOf(record.lastLeaf),
      consistency: record.consistency.map(hashOf),
    };
  }
}

const hashOf = (text: string): TreeHash => Buffer.from(text, 'base64');

function parsed(payload: Uint8Array): CheckpointRecord | undefined {
  try {
    return parseJson(CheckpointRecord, JSON.parse(Buffer.from(payload).toString('utf8')));
  } catch {
    return undefined;
  }
}
