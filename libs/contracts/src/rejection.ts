import { z } from 'zod';

import { Freshness } from './freshness.ts';
import { ConnectionId, LeaseId } from './ids.ts';
import { Scopes } from './wire.ts';

/** More of a `WWW-Authenticate` than this is not looked at. */
const challengeCharsMax = 4096;

/**
 * What a platform reports when a provider's API refused a leased token.
 *
 * `status` need not be 401 or 403: some providers say everything with 200. What the words mean, the provider's file
 * knows.
 */
export const TokenRejection = z.strictObject({
  connection_id: ConnectionId,
  lease_id: LeaseId,
  /** As the lease's reply and the header of its seal (`ver`) say. */
  credential_version: z.number().int().positive(),
  status: z.number().int().min(200).max(499),
  /** The error word of the answer's body, where it has one. */
  error: z.string().min(1).max(128).optional(),
  /** The scopes that the answer says are needed, where it does so elsewhere than in the header. */
  needed_scopes: Scopes.optional(),
  /** The header as it came. @source RFC 6750 §3 */
  www_authenticate: z.string().min(1).max(challengeCharsMax).optional(),
});
export type TokenRejection = z.infer<typeof TokenRejection>;

/**
 * What a report came to.
 *
 * `suspected`: it is stored, and the provider will be asked. `outdated`: it is about a token that is not the newest, or
 * has ended: take a new lease. `asked_lately`: the provider said a moment ago that the grant lives. `no_verdict`: it
 * says nothing about the grant. `scope_missing`: the grant lives, and allows too little. `claims_required`: only an
 * authorization with the claims that the API named will do. `over`: the connection needs its end user, or is no more.
 */
export const rejectionOutcomes = [
  'suspected',
  'outdated',
  'asked_lately',
  'no_verdict',
  'scope_missing',
  'claims_required',
  'over',
] as const;

export const RejectionReply = z.object({
  connection_id: ConnectionId,
  outcome: z.enum(rejectionOutcomes),
  /** With `scope_missing`: what is needed and was not granted, as far as the provider said. */
  missing_scopes: Scopes.optional(),
  /** With `claims_required`: where the end user authorizes again. */
  reauthorize_url: z.string().optional(),
  position: z.number().int().nonnegative(),
  freshness: Freshness,
});
export type RejectionReply = z.infer<typeof RejectionReply>;

/** As whom a platform speaks on SIGNALS, beside the providers by their ids; no provider has such an id. */
export const rejectionSource = 'platform';

/** What a signal of that source holds. */
export const ReportedRejection = z.strictObject({
  connectionId: ConnectionId,
  leaseId: LeaseId,
  credentialVersion: z.number().int().positive(),
  httpStatus: z.number().int(),
  /** Only a word that is known for a refused token; null where the status alone says so. */
  error: z.string().nullable(),
});
export type ReportedRejection = z.infer<typeof ReportedRejection>;

/** As whom `revocation` speaks on SIGNALS of what a provider answered when it was asked without any sign. */
export const inspectionSource = 'introspection';

/** What a signal of that source holds. */
export const InactiveToken = z.strictObject({
  connectionId: ConnectionId,
  credentialVersion: z.number().int().positive(),
});
export type InactiveToken = z.infer<typeof InactiveToken>;
