import { CheckpointRecord, parseJson, streams, subjects, type LogTrust, type ProvenStream } from '@postern/contracts';
import { GrowingTree, openCheckpoint, type OpenedCheckpoint, type TreeHash } from '@postern/crypto';

import type { LogProblem } from './commit-reader.ts';
import type { EventLog } from './event-log.ts';

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

/** The name under which a stream's checkpoints are known. */
export function checkpointOrigin({ name }: Pick<LogTrust, 'name'>, stream: ProvenStream): string {
  return `${name}/${streams[stream].name}`;
}

/** Reads checkpoints of one stream, and believes what a trusted key signed. */
export class CheckpointReader {
  readonly #stream: string;
  readonly #origin: string;
  readonly #keys: LogTrust['keys'];

  constructor(trust: LogTrust, stream: ProvenStream) {
    this.#stream = streams[stream].name;
    this.#origin = checkpointOrigin(trust, stream);
    this.#keys = trust.keys;
  }

  /** @returns undefined for a note that no trusted key signed for this stream. */
  note(note: string): OpenedCheckpoint | undefined {
    return openCheckpoint(note, { origin: this.#origin, keys: this.#keys });
  }

  /** The checkpoints of the stream as they were stored, in order; what no trusted key signed is told as foreign. */
  async *all(checkpoints: EventLog, untilPosition: number): AsyncIterable<CheckpointRead> {
    const filter = subjects.checkpoint(this.#stream);
    for await (const { position, subject, payload } of checkpoints.read({ filter, untilPosition })) {
      const checkpoint = this.stored(payload);
      if (checkpoint !== undefined) yield { kind: 'checkpoint', checkpoint };
      else yield { kind: 'foreign', position, subject, reason: 'no checkpoint signed by a trusted key' };
    }
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
