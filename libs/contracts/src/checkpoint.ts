import { z } from 'zod';

import type { StreamKey } from './streams.ts';

/** The streams of which a Merkle tree is kept: leaf n is message n (docs/adr/0024-proof-of-the-log.md). */
export const provenStreams = ['connections', 'admin', 'access'] as const satisfies readonly StreamKey[];
export type ProvenStream = (typeof provenStreams)[number];

const hash = z.base64().length(44);
/** A tree of 2^53 leaves has no more. */
const hashesMax = 53;

/**
 * The payload of one message on CHECKPOINTS: the head of a stream's tree, signed, and with it what building goes on
 * from, so that it need not begin anew.
 */
export const CheckpointRecord = z.object({
  /** The signed note (C2SP tlog-checkpoint); all beside it can be checked against it. */
  note: z.string().max(16_384),
  /** The whole subtrees of the tree, from the left. */
  subtrees: z.array(hash).max(hashesMax),
  /** Message `size`: whether the stream is still the same is seen at a glance. */
  lastLeaf: hash,
  /** That the tree of the checkpoint before this one is its beginning; empty in the first. */
  consistency: z.array(hash).max(2 * hashesMax),
});
export type CheckpointRecord = z.infer<typeof CheckpointRecord>;
