import { z } from 'zod';

import { limits } from './limits.ts';

const Type = z.string().min(1).max(limits.authorizationDetailsTypeCharsMax);

const detailsOf = (bytesMax: number) =>
  z
    .array(z.looseObject({ type: Type }))
    .max(limits.authorizationDetailsMax)
    .refine((details) => Buffer.byteLength(JSON.stringify(details), 'utf8') <= bytesMax, {
      message: `must be no longer than ${bytesMax} bytes as JSON`,
    });

/**
 * What exactly is asked for, beyond scopes: objects whose `type` says how the rest of them is meant, which only the
 * provider knows. They may name accounts and amounts: they travel and rest sealed, and the log has a
 * {@link AuthorizationDetailsDigest} of them.
 *
 * @source RFC 9396 §2
 */
export const AuthorizationDetails = detailsOf(limits.authorizationDetailsBytesMax).min(1);
export type AuthorizationDetails = z.infer<typeof AuthorizationDetails>;

/** The same as a provider granted them: it may have narrowed them to none, or said more in them. @source RFC 9396 §7.1 */
export const GrantedAuthorizationDetails = detailsOf(limits.authorizationDetailsGrantedBytesMax);

/** What the log says of authorization details: their types, and a keyed digest by which equal ones are known. */
export const AuthorizationDetailsDigest = z.object({
  types: z.array(Type).max(limits.authorizationDetailsMax),
  digest: z.string().max(64),
});
export type AuthorizationDetailsDigest = z.infer<typeof AuthorizationDetailsDigest>;

/** Those that were granted, and whether they are those that were asked for. */
export const AuthorizationDetailsGranted = AuthorizationDetailsDigest.extend({
  /** False where the provider narrowed or enriched them. @source RFC 9396 §7.1 */
  asRequested: z.boolean(),
});
export type AuthorizationDetailsGranted = z.infer<typeof AuthorizationDetailsGranted>;
