import { z } from 'zod';

import { BridgeId, PlatformId, RegistrationId, TenantId, TransmitterId } from './ids.ts';
import { Timestamp, TimeMs } from './wire.ts';

/**
 * What a signal says about a grant, as the provider's file reads it.
 *
 * `grant_ended` names a grant that is over; `hint` is about something near it, such as a session, and must be confirmed.
 * `suspended`, `resumed`, `scope_changed` and `claims_changed` end nothing. `stream_verified` is about nobody: a transmitter
 * shows that what it sends arrives.
 */
export const signalMeanings = [
  'grant_ended',
  'hint',
  'suspended',
  'resumed',
  'scope_changed',
  'claims_changed',
  'stream_verified',
] as const;
export const SignalMeaning = z.enum(signalMeanings);
export type SignalMeaning = z.infer<typeof SignalMeaning>;

/**
 * A message of SIGNALS: what somebody outside said about grants, verified, stored before it was answered.
 *
 * It holds the sender's own words without their secrets, and may name people: so it is kept by age, and no event of the
 * log holds more of it than its place.
 */
export const Signal = z.strictObject({
  version: z.literal(1),
  /**
   * Who speaks: a provider's id for its webhook, `ssf` for security events, a bridge by its id, `platform` for what a
   * platform reports, `introspection` for a provider whom we asked.
   */
  source: z.string().max(64),
  tenantId: TenantId,
  registrationId: RegistrationId,
  /** The sender's own id of this delivery where it signs one, else a digest of what it signed. */
  deliveryId: z
    .string()
    .max(128)
    .regex(/^[A-Za-z0-9_-]+$/),
  /** The sender's own name for what happened. */
  type: z.string().max(128),
  receivedAtMs: TimeMs,
  /** How it was verified; a platform's report by the subject on which it came, an answer because we asked for it. */
  verified: z.union([
    z.strictObject({ scheme: z.string().max(64), secretVersion: z.number().int().positive() }),
    z.strictObject({ transmitterId: TransmitterId, keyId: z.string().max(256).nullable() }),
    z.strictObject({ bridgeId: BridgeId }),
    z.strictObject({ platformId: PlatformId }),
    z.strictObject({ asked: z.enum(['introspection', 'probe']) }),
  ]),
  body: z.unknown(),
});
export type Signal = z.infer<typeof Signal>;

/**
 * The signal on which a decision rests: where it stands and when, and nothing of what it says about people.
 *
 * Signals go after a while; the events that name them stay.
 */
export const SignalEvidence = z.object({
  source: z.string().max(64),
  type: z.string().max(128),
  deliveryId: z.string().max(128),
  /** On SIGNALS. */
  position: z.number().int().positive(),
  /** As the sender vouches for it; null where it does not. */
  occurredAtMs: TimeMs.nullable(),
  receivedAtMs: TimeMs,
  /** The account key by which the connection was found. */
  matchedBy: z.string().max(32),
  /** Whose security event it was; absent where a webhook spoke. */
  transmitterId: TransmitterId.optional(),
});
export type SignalEvidence = z.infer<typeof SignalEvidence>;

/**
 * What came of a signal, over all connections that it named; the strongest counts. `disproved`: the provider was asked,
 * and said that the grant lives.
 */
export const SignalOutcome = z.enum([
  'revoked',
  'suspected',
  'disproved',
  'recorded',
  'outdated',
  'moot',
  'unmatched',
  'unreadable',
]);
export type SignalOutcome = z.infer<typeof SignalOutcome>;

/** A signal as administrators see it: what it says about people stands on SIGNALS alone. */
export const WeighedSignal = z.object({
  position: z.number().int(),
  source: z.string(),
  registration_id: z.string(),
  type: z.string(),
  delivery_id: z.string(),
  received_at: Timestamp,
  outcome: SignalOutcome,
  /** How many connections it named, and what became of them. */
  matched: z.number().int(),
  revoked: z.number().int(),
  suspected: z.number().int(),
  weighed_at: Timestamp,
});
export type WeighedSignal = z.infer<typeof WeighedSignal>;
