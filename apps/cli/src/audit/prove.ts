import {
  AccessGroup,
  PosternError,
  streamFilters,
  type AccessRecord,
  type LeaseReceipt,
  type LogTrust,
  type TrustBundle,
} from '@postern/contracts';
import { noteVerifierKey, treeLeafHash, TreeProver, verifyInclusion } from '@postern/crypto';
import {
  AccessReader,
  CheckpointReader,
  checkpointOrigin,
  commitVerifier,
  keepsPromise,
  logLeaf,
  LogTree,
  type StoredMessage,
} from '@postern/event-log';
import { z } from 'zod';

import type { ProvenLog } from './verify.ts';

/**
 * That the record of a lease stands in ACCESS, to be checked without the log: the leaf, its path to the head, the head as
 * it was signed. The leaf is a whole group of records, those of other tenants too.
 */
export const LeaseProof = z.object({
  lease_id: z.string(),
  /** The position in ACCESS. */
  position: z.number().int().positive(),
  checkpoint: z.string(),
  /** As other tools of transparency logs take them. */
  verifier_keys: z.array(z.string()),
  inclusion: z.object({
    /** Subject, line feed, payload. */
    leaf: z.base64(),
    /** From 0. */
    index: z.number().int().nonnegative(),
    proof: z.array(z.base64()),
  }),
});
export type LeaseProof = z.infer<typeof LeaseProof>;

export interface ProvePlace {
  readonly trust: TrustBundle;
  /** The note to prove against; the newest one when absent. */
  readonly checkpoint?: string | undefined;
}

/**
 * Proves that a lease's record stands in the log, in one pass over it.
 *
 * @throws {PosternError} `request.malformed` when no record of it is covered by the checkpoint.
 */
export async function proveLease(leaseId: string, log: ProvenLog, place: ProvePlace): Promise<LeaseProof> {
  const trust = logTrustOf(place.trust);
  const { note, opened } = await checkpointOf(log, trust, place.checkpoint);
  const reader = new AccessReader({ verifier: commitVerifier(place.trust) });
  let tree = new LogTree();
  let found: { readonly message: StoredMessage; readonly prover: TreeProver } | undefined;
  for await (const message of log.logs.access.read({ filter: streamFilters.access, untilPosition: opened.size })) {
    while (tree.size < message.position - 1) tree.add(undefined);
    if (found === undefined && holdsRecord(reader, message, leaseId)) {
      const prover = TreeProver.inclusion(message.position - 1, opened.size);
      found = { message, prover };
      // What stands to the left of it is in the subtrees; the rest passes by from here on.
      tree = LogTree.at({ size: tree.size, subtrees: tree.subtrees }, prover.onNode) ?? tree;
    }
    tree.add(message);
  }
  if (found === undefined) {
    const why = `No record of ${leaseId} stands in the ${opened.size} messages of ACCESS that the checkpoint covers.`;
    throw new PosternError('request.malformed', `${why} A lease of now is covered by the next one.`);
  }
  if (tree.size !== opened.size || !tree.root().equals(opened.root)) {
    throw new PosternError(
      'log.message_damaged',
      'ACCESS is not what was checkpointed: postern audit verify says where.',
    );
  }
  const origin = checkpointOrigin(trust, 'access');
  return {
    lease_id: leaseId,
    position: found.message.position,
    checkpoint: note,
    verifier_keys: trust.keys.map((key) => noteVerifierKey(origin, key)),
    inclusion: {
      leaf: Buffer.from(logLeaf(found.message)).toString('base64'),
      index: found.message.position - 1,
      proof: found.prover.proof().map((hash) => hash.toString('base64')),
    },
  };
}

/**
 * Checks a proof offline, with the public keys of the trust bundle: those that the proof names itself prove nothing.
 *
 * @param promised what a receipt says of it, where a client shows one.
 * @returns the record, as it stands in the log.
 * @throws {PosternError} `log.message_damaged` when it does not hold.
 */
export function checkLeaseProof(proof: LeaseProof, trust: TrustBundle, promised?: LeaseReceipt): AccessRecord {
  const opened = new CheckpointReader(logTrustOf(trust), 'access').note(proof.checkpoint);
  if (opened === undefined) throw broken('its checkpoint is not signed by a key of the trust bundle');
  const { index, leaf, proof: path } = proof.inclusion;
  const bytes = Buffer.from(leaf, 'base64');
  const { size, root } = opened;
  const claim = { index, size, root, leafHash: treeLeafHash(bytes) };
  const hashes = path.map((hash) => Buffer.from(hash, 'base64'));
  if (!verifyInclusion(hashes, claim)) throw broken('its leaf does not stand in the tree of its checkpoint');
  const group = groupOf(bytes);
  const record = group?.records.find(({ leaseId }) => leaseId === proof.lease_id);
  if (group === undefined || record === undefined) throw broken('its leaf holds no record of that lease');
  if (promised !== undefined && !keepsPromise(promised, { identity: serviceOf(bytes), group })) {
    throw broken('its leaf is not what the receipt promises');
  }
  return record;
}

async function checkpointOf({ checkpoints }: ProvenLog, trust: LogTrust, wanted: string | undefined) {
  const reader = new CheckpointReader(trust, 'access');
  const newest = wanted === undefined ? (await reader.newest(checkpoints)).checkpoint : undefined;
  const opened = wanted === undefined ? newest : reader.note(wanted);
  if (opened === undefined) {
    throw new PosternError(
      'request.malformed',
      'There is no checkpoint of ACCESS that a key of the trust bundle signed.',
    );
  }
  return { opened, note: wanted ?? newest?.note ?? '' };
}

function logTrustOf({ log }: TrustBundle): LogTrust {
  if (log !== undefined) return log;
  throw new PosternError('config.invalid', 'The trust bundle names no key that signs checkpoints, under log.');
}

function holdsRecord(reader: AccessReader, message: StoredMessage, leaseId: string): boolean {
  const read = reader.read(message);
  return read.kind === 'access' && read.entry.group.records.some((record) => record.leaseId === leaseId);
}

/** The group that a leaf is; undefined where it is none. */
function groupOf(leaf: Buffer): AccessGroup | undefined {
  try {
    return AccessGroup.parse(JSON.parse(leaf.subarray(leaf.indexOf('\n') + 1).toString('utf8')));
  } catch {
    return undefined;
  }
}

/** On whose subject a leaf stands: `access.<service>.<writer>`. */
const serviceOf = (leaf: Buffer): string => leaf.subarray(0, leaf.indexOf('\n')).toString('utf8').split('.')[1] ?? '';

function broken(why: string): PosternError {
  return new PosternError('log.message_damaged', `The proof does not hold: ${why}.`);
}
