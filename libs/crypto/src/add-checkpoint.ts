import { InputInvalidError } from './errors.ts';
import type { TreeHash } from './merkle-tree.ts';

/** What a log shows a witness: that a checkpoint continues the newest one which the witness has cosigned. */
export interface AddCheckpoint {
  /** Of the checkpoint that the witness has cosigned last; 0 where it has none. */
  readonly oldSize: number;
  /** RFC 9162 §2.1.4; none from 0. */
  readonly proof: readonly TreeHash[];
  /** The note as the log signed it. */
  readonly checkpoint: string;
}

const proofLinesMax = 63;
const hashBytes = 32;
const sizePattern = /^old (0|[1-9]\d{0,15})$/;

/**
 * The body of a request to a witness.
 *
 * @throws {InputInvalidError} for a proof that no witness has to take.
 * @source C2SP tlog-witness, "add-checkpoint"
 */
export function addCheckpointBody({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  if (proof.length > proofLinesMax) throw new InputInvalidError(`a proof has at most ${proofLinesMax} hashes`);
  return `old ${oldSize}\n${proof.map((one) => `${one.toString('base64')}\n`).join('')}\n${checkpoint}`;
}

/** @returns undefined for what is no such body. @source C2SP tlog-witness, "add-checkpoint" */
export function parseAddCheckpoint(body: string): AddCheckpoint | undefined {
  const split = body.indexOf('\n\n');
  const [first = '', ...lines] = body.slice(0, split).split('\n');
  const oldSize = Number(sizePattern.exec(first)?.[1]);
  const proof = lines.map((line) => Buffer.from(line, 'base64'));
  const isProof = proof.every((one, index) => one.length === hashBytes && one.toString('base64') === lines[index]);
  if (split < 0 || !Number.isSafeInteger(oldSize) || lines.length > proofLinesMax || !isProof) return undefined;
  return { oldSize, proof, checkpoint: body.slice(split + 2) };
}
