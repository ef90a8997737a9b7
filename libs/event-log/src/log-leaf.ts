import { toBytes } from '@postern/crypto';

import type { StoredMessage } from './event-log.ts';

/**
 * The leaf that a stored message is in its stream's tree: subject, line feed, payload. A subject holds no line feed, so
 * no two messages give the same bytes; it is also what the hash chain and the signature are over.
 */
export function logLeaf(message: Pick<StoredMessage, 'subject' | 'payload'>): Uint8Array {
  return Buffer.concat(logLeafParts(message));
}

/** The same in parts: whoever hashes it puts them together itself. */
export const logLeafParts = ({ subject, payload }: Pick<StoredMessage, 'subject' | 'payload'>): Uint8Array[] => [
  toBytes(`${subject}\n`),
  payload,
];

/**
 * The leaf of a position at which nothing stands: no bytes, which no message gives. Nobody may delete from these
 * streams, so it is a finding; but the tree goes on, or one lost message would keep all later ones from being proved.
 */
export const missingLeaf: Uint8Array = new Uint8Array(0);
