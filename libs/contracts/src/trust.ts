import { z } from 'zod';

import { IdentityName } from './apps.ts';
import { Ed25519PublicJwk, X25519PublicJwk } from './wire.ts';

/**
 * The public keys that every service pins at deploy time: whose signatures make a commit true, and to which key a
 * secret is sealed for a service. Never fetched over the bus, which carries what it protects.
 */
export const TrustBundle = z.object({
  writers: z.partialRecord(IdentityName, z.array(Ed25519PublicJwk).min(1)),
  recipients: z.partialRecord(IdentityName, X25519PublicJwk),
});
export type TrustBundle = z.infer<typeof TrustBundle>;
