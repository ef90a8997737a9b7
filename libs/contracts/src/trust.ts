import { z } from 'zod';

import { IdentityName } from './apps.ts';
import { Ed25519PublicJwk, X25519PublicJwk } from './wire.ts';

/**
 * The keys that sign the heads of the log. The name is told to witnesses, so it is one for ever; of the keys, the
 * newest first, each is trusted that ever signed a checkpoint which still has to be believed.
 */
export const LogTrust = z.object({
  name: z.string().regex(/^[^\s+/]+(?:\/[^\s+/]+)*$/),
  keys: z.array(Ed25519PublicJwk).min(1),
});
export type LogTrust = z.infer<typeof LogTrust>;

/**
 * The public keys that every service pins at deploy time: whose signatures make a commit true, and to which key a
 * secret is sealed for a service. Never fetched over the bus, which carries what it protects.
 */
export const TrustBundle = z.object({
  writers: z.partialRecord(IdentityName, z.array(Ed25519PublicJwk).min(1)),
  recipients: z.partialRecord(IdentityName, X25519PublicJwk),
  /** Who signs the checkpoints of the log, and under which name; absent where nobody does. */
  log: LogTrust.optional(),
});
export type TrustBundle = z.infer<typeof TrustBundle>;
