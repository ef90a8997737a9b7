import { z } from 'zod';

import { AggregateKind } from './commit.ts';
import { DelegationView } from './grants.ts';
import { AgentId, ConnectionId, PlatformId, RegistrationId } from './ids.ts';
import { limits } from './limits.ts';
import { Capability, Scopes, Timestamp } from './wire.ts';

const Position = z.number().int().nonnegative();
const moment = /^(?:(?<connections>\d{1,15})\/(?<admin>\d{1,15})\/(?<access>\d{1,15})@)?(?<time>\d{4}-.+)$/;

/**
 * A moment of the past, as it is asked for: a time (RFC 3339), a position of CONNECTIONS, or what an answer named as the
 * moment at which it was given (`<CONNECTIONS>/<ADMIN>/<ACCESS>@<time>`), which gives the same answer for ever.
 */
export const MomentAsked = z
  .string()
  .max(96)
  .refine(
    (text) => momentParts(text) !== undefined,
    'must be a time (RFC 3339), a position of CONNECTIONS, or a moment that an answer named',
  )
  .meta({ examples: ['2026-11-22T12:00:00Z', '1204', '1204/87/530@2026-11-22T12:00:00.000Z'] });

/** What a moment as asked says, in parts; `request.malformed` is the caller's to throw. */
export type MomentParts =
  | { readonly position: number }
  | { readonly timeMs: number; readonly positions?: { connections: number; admin: number; access: number } };

/** @returns undefined for what names no moment. */
export function momentParts(text: string): MomentParts | undefined {
  if (/^\d{1,15}$/.test(text)) return { position: Number(text) };
  const { connections, admin, access, time = '' } = moment.exec(text)?.groups ?? {};
  if (!Timestamp.safeParse(time).success) return undefined;
  const timeMs = Date.parse(time);
  if (connections === undefined) return { timeMs };
  return {
    timeMs,
    positions: { connections: Number(connections), admin: Number(admin), access: Number(access) },
  };
}

/** Where the log stood when an answer was given: asked again at `moment`, whenever that is, it is the same. */
export const Moment = z.object({
  moment: z.string(),
  time: Timestamp,
  /** The last position of each stream that the answer rests on. */
  connections: Position,
  admin: Position,
  access: Position,
});
export type Moment = z.infer<typeof Moment>;

const limit = z.number().int().min(1).max(limits.listPageMax).optional();

/** A message that should have told something about what was asked, and was not believed: `audit verify` says more. */
const NotBelieved = z.object({ position: Position, kind: z.string(), reason: z.string() });

export const WhoDidRequest = z.strictObject({
  connection_id: ConnectionId.optional(),
  platform_id: PlatformId.optional(),
  agent_id: AgentId.optional(),
  outcome: z.enum(['granted', 'refused']).optional(),
  /** Only what was recorded after this moment. */
  from: MomentAsked.optional(),
  /** Only what was recorded up to this moment; now when absent. */
  at: MomentAsked.optional(),
  after: z
    .string()
    .regex(/^\d{1,15}\.\d{1,6}$/)
    .optional()
    .describe('`next` of the page before'),
  limit,
});

/** One use of a connection, or the refusal of one, as ACCESS has it. */
export const ConnectionUse = z.object({
  /** On ACCESS. */
  position: Position,
  lease_id: z.string(),
  at: Timestamp,
  connection_id: z.string(),
  platform_id: z.string(),
  agent_id: z.string(),
  purpose: z.string(),
  outcome: z.enum(['granted', 'refused']),
  /** Why it was refused, as an error code. */
  code: z.string().nullable(),
  /** The scopes of the credential that was given; null where none was. */
  scope: Scopes.nullable(),
  /** The scopes that were asked for; null where none were named. */
  asked_scopes: Scopes.nullable(),
  credential_version: z.number().int().nullable(),
  /** The position of CONNECTIONS at which it was decided. */
  decided_at_position: Position,
  correlation_id: z.string(),
  /** Only of a derived connection: on whose behalf, and who acted; the newest exchange first. */
  delegation: z.array(DelegationView).optional(),
});
export type ConnectionUse = z.infer<typeof ConnectionUse>;

export const WhoDidReply = z.object({
  answered_at: Moment,
  uses: z.array(ConnectionUse),
  not_believed: z.array(NotBelieved),
  /** Up to where ACCESS was read for this page. */
  read_up_to: Position,
  /** `after` of the next page, which wants the moment of this one as `at`; null at the end. */
  next: z.string().nullable(),
});

export const ConnectionScopesRequest = z.strictObject({
  connection_id: ConnectionId,
  /** Up to this moment; now when absent. */
  at: MomentAsked.optional(),
  /** How far back uses are counted. */
  days: z.number().int().min(1).max(366).optional(),
  after: z
    .string()
    .regex(/^\d{1,15}$/)
    .optional()
    .describe('`next` of the page before'),
});

/** What the leases of one scope, in one page, come to. */
export const ScopeUse = z.object({ scope: z.string(), leases: z.number().int().positive(), last_at: Timestamp });
export type ScopeUse = z.infer<typeof ScopeUse>;

export const ConnectionScopesReply = z.object({
  answered_at: Moment,
  connection_id: ConnectionId,
  /** With what the credential that is held was asked for; null where none is held. */
  asked: z
    .object({
      at: Timestamp,
      scopes: Scopes,
      /** From which the scopes followed; null where scopes were named, or nothing. */
      capabilities: z.array(Capability).nullable(),
    })
    .nullable(),
  /** What the provider gave, as it says, and what it gave of its own accord since. */
  given: z
    .object({
      credential_version: z.number().int().positive(),
      scopes: Scopes,
      not_given: Scopes,
      not_asked: Scopes,
    })
    .nullable(),
  /** Changes of scopes that nobody asked for, since the credential was authorized. */
  drifts: z.array(z.object({ at: Timestamp, lost: Scopes, gained: Scopes })),
  /** What leases said that they were for; calls of the provider's API are not seen. Pages add up. */
  used: z.object({
    since: Timestamp,
    leases: z.number().int().nonnegative(),
    /** Leases that named no scopes: they may have been for any. */
    without_scopes: z.number().int().nonnegative(),
    scopes: z.array(ScopeUse),
    /** What the provider's API asked for and the credential does not have. */
    missing: Scopes,
  }),
  /** Of the given ones those that no lease of this page named, but for those that allow nothing by themselves. */
  could_be_dropped: Scopes,
  /** Whether a scope in `could_be_dropped` was surely not named: every page was read, and each lease named its scopes. */
  certain: z.boolean(),
  not_believed: z.array(NotBelieved),
  read_up_to: Position,
  /** `after` of the next page, which wants the moment of this one as `at`; null at the end. */
  next: z.string().nullable(),
});

export type ConnectionScopesReply = z.infer<typeof ConnectionScopesReply>;

export const WhoCouldRequest = z.strictObject({
  connection_id: ConnectionId.optional(),
  platform_id: PlatformId.optional(),
  agent_id: AgentId.optional(),
  registration_id: RegistrationId.optional(),
  /** Now when absent. */
  at: MomentAsked.optional(),
  after: Position.optional(),
  limit,
});

/** A connection as it stood: whether its platform could have had its token. */
export const UsableConnection = z.object({
  connection_id: ConnectionId,
  platform_id: PlatformId,
  provider: z.string(),
  registration_id: RegistrationId,
  authorization: z.string(),
  suspended: z.boolean(),
  scope: Scopes,
  credential_version: z.number().int().nullable(),
  token_expires_at: Timestamp.nullable(),
  /** Whether a lease would have been granted, to an agent that could use anything at all. */
  could: z.boolean(),
  /** Why not, as an error code. */
  code: z.string().nullable(),
  /** Of its last commit before that moment. */
  revision: z.number().int(),
  position: Position,
});
export type UsableConnection = z.infer<typeof UsableConnection>;

const Party = { name: z.string(), could: z.boolean(), code: z.string().nullable() };

/** Who could have used what their platform could: the agents of a platform as they stood. */
export const UsingPlatform = z.object({
  platform_id: PlatformId,
  ...Party,
  agents: z.array(z.object({ agent_id: AgentId, ...Party })),
});
export type UsingPlatform = z.infer<typeof UsingPlatform>;

export const WhoCouldReply = z.object({
  answered_at: Moment,
  /** In the order in which they appeared. An agent could use each that could be used and is its platform's. */
  connections: z.array(UsableConnection),
  /** The platforms of these connections. */
  platforms: z.array(UsingPlatform),
  next: Position.nullable(),
});

export const DiffRequest = z.strictObject({
  at: MomentAsked,
  /** Now when absent. */
  until: MomentAsked.optional(),
  after: z
    .string()
    .regex(/^(?:connections|admin)\.\d{1,15}$/)
    .optional()
    .describe('`next` of the page before'),
  limit,
});

/** What somebody may know of an aggregate at a moment, flat; a member that differs is a change. */
export const Facts = z.record(z.string(), z.unknown());

/** An aggregate that was not the same at two moments, or to which something happened between them. */
export const AggregateChange = z.object({
  kind: AggregateKind,
  id: z.string(),
  /** Where the first of its commits between the two moments stands. */
  first_position: Position,
  /** Null where it was not there yet. */
  before: Facts.nullable(),
  after: Facts,
  /** The names of the facts that differ; none where all came back to what it was. */
  changed: z.array(z.string()),
});
export type AggregateChange = z.infer<typeof AggregateChange>;

export const DiffReply = z.object({
  before: Moment,
  after: Moment,
  changes: z.array(AggregateChange),
  next: z.string().nullable(),
});
