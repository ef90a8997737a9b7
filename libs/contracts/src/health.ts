import { z } from 'zod';

import { ConnectionId, PlatformId, RegistrationId } from './ids.ts';
import { limits } from './limits.ts';
import { Timestamp } from './wire.ts';

const Count = z.number().int().nonnegative();
const Provider = z.string().max(64);

/** Whose trouble a failed refresh is, as far as its answer tells. */
export const HealthFailureKind = z.enum([
  'unreachable',
  'provider_error',
  'rate_limited',
  'refused',
  'registration_refused',
  'grant_doubted',
  'postern',
]);
export type HealthFailureKind = z.infer<typeof HealthFailureKind>;

/** How a connection fares, what hinders most first. */
export const ConnectionHealthState = z.enum([
  'deleted',
  'revoked',
  'suspended',
  'reauthorization_required',
  'pending',
  'unusable',
  'failing',
  'late',
  'expiring',
  'narrowed',
  'ok',
]);
export type ConnectionHealthState = z.infer<typeof ConnectionHealthState>;

/** Who can mend it. */
export const HealthRemedy = z.enum(['nobody', 'end_user', 'platform', 'provider', 'administrator', 'time']);

/** A time at which something of a connection ends by itself. */
const HealthClock = z.object({
  clock: z.enum(['access_token', 'refresh_token_at_rest', 'authorization']),
  ends_at: Timestamp,
});

const Window = z.object({
  hours: z.number().int().positive(),
  attempts: Count,
  /** 0 to 1; null without an attempt. */
  error_rate: z.number().min(0).max(1).nullable(),
  errors: z.record(z.string(), Count),
});

/** How one connection fares, as of the position that the answer names. */
export const ConnectionHealth = z.object({
  connection_id: ConnectionId,
  platform_id: PlatformId,
  provider: z.string(),
  registration_id: RegistrationId,
  state: ConnectionHealthState,
  /** In words, for people. */
  reason: z.string(),
  remedy: HealthRemedy,
  since: Timestamp.nullable(),
  /** When the provider last gave a token, or said that the grant lives. */
  last_success_at: Timestamp.nullable(),
  /** When it was last leased. */
  last_used_at: Timestamp.nullable(),
  /** How old what an agent can get is: 0 while a token can be leased, null before one ever could. */
  data_age_s: Count.nullable(),
  /** How long a refresh has been due and not come. */
  refresh_lag_s: Count,
  windows: z.array(Window),
  /** Leases that were refused in the last day, by code. */
  refused_leases: z.record(z.string(), Count),
  scope_drift: z.object({ at: Timestamp, lost: z.array(z.string()) }).nullable(),
  missing_scopes: z.array(z.string()),
  /** What ends when, the soonest first. */
  clocks: z.array(HealthClock),
});
export type ConnectionHealth = z.infer<typeof ConnectionHealth>;

/** What a provider's connections say together. */
export const ProviderHealthState = z.enum(['down', 'refusing_registration', 'grants_dying', 'shaky', 'unclear', 'ok']);
export type ProviderHealthState = z.infer<typeof ProviderHealthState>;

export const ProviderHealth = z.object({
  provider: z.string(),
  state: ProviderHealthState,
  /** In words, for people. */
  reason: z.string(),
  /** Since when, where something is wrong. */
  since: Timestamp.nullable(),
  connections: Count,
  by_state: z.record(z.string(), Count),
  /** Those whose refresh fails now, by kind. */
  failing: Count,
  failures: z.record(z.string(), Count),
  /** Grants that the provider ended within a day. */
  died: Count,
  /** Tenants with a connection that fails; only where all are asked about. */
  tenants_failing: Count.optional(),
  /** What is wrong with single connections and not with their provider; the first of them. */
  by_themselves: z.array(z.object({ connection_id: ConnectionId, state: ConnectionHealthState, reason: z.string() })),
});
export type ProviderHealth = z.infer<typeof ProviderHealth>;

/** How far the read model had read; what happened since is not in the answer. */
const AsOf = z.object({ position: Count, behind: Count });

export const HealthOverviewRequest = z.strictObject({ provider: Provider.optional() });
export const HealthOverview = z.object({ as_of: AsOf, providers: z.array(ProviderHealth) });
export type HealthOverview = z.infer<typeof HealthOverview>;

export const ConnectionsHealthRequest = z.strictObject({
  connection_id: ConnectionId.optional(),
  provider: Provider.optional(),
  state: ConnectionHealthState.optional(),
  after: ConnectionId.optional(),
  limit: z.number().int().min(1).max(limits.listPageMax).optional(),
});
export const ConnectionsHealth = z.object({
  as_of: AsOf,
  connections: z.array(ConnectionHealth),
  next: ConnectionId.nullable(),
});
export type ConnectionsHealth = z.infer<typeof ConnectionsHealth>;
