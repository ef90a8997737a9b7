import type { ConnectionEvent } from '@postern/contracts';

import { connectionEvent, providerWords, type DataOf } from './events.ts';
import { requireExisting, requireHere, requireNotDeleted } from './guards.ts';
import type { Connection } from './state.ts';

/** Somebody asks us to end it; what a provider says is weighed by `decideOnSignal`. */
export interface RevokeConnection {
  readonly cause: Exclude<DataOf<'ConnectionRevoked'>['cause'], 'revoked_at_provider'>;
  readonly reason: string | null;
}
export type RecordUpstreamRevoked = DataOf<'UpstreamRevocationCompleted'>;
export type RecordUpstreamRevocationFailed = DataOf<'UpstreamRevocationFailed'>;

/** Whether the provider must still be told, now or after the session that is in the way has ended. */
export type UpstreamRevocation =
  | { readonly kind: 'none' }
  | { readonly kind: 'due'; readonly credentialVersion: number }
  | { readonly kind: 'wait'; readonly untilMs: number };

/**
 * From here on no lease is granted until a new authorization. Ends a live claim and an open session: what began
 * before a revocation must not undo it.
 *
 * @returns no events when it is revoked already.
 * @throws {PosternError} `connection.not_found`, `connection.deleted`
 */
export function revokeConnection(command: RevokeConnection, state: Connection): ConnectionEvent[] {
  requireNotDeleted(state);
  if (state.authorization === 'revoked' && state.session === null) return [];
  return [connectionEvent('ConnectionRevoked', { cause: command.cause, reason: command.reason, evidence: null })];
}

/**
 * Must the provider still be told that the connection ended?
 *
 * Not while a new authorization is being exchanged: revoking a token may end the whole grant at the provider, and
 * with it what the end user is granting right now.
 *
 * @source RFC 7009 §2.1
 */
export function upstreamRevocationOf(state: Connection, { nowMs }: { nowMs: number }): UpstreamRevocation {
  requireHere(state);
  const { credential, session } = state;
  if (!isOwed(state) || credential === null) return { kind: 'none' };
  if (session?.stage === 'exchanging' && nowMs < session.expiresAtMs) {
    return { kind: 'wait', untilMs: session.expiresAtMs };
  }
  return { kind: 'due', credentialVersion: credential.version };
}

function isOwed(state: Connection): boolean {
  const ended = state.authorization === 'revoked' || state.authorization === 'deleted';
  return ended && state.upstreamRevocation === 'pending';
}

/**
 * Records that the provider was told, or that there was nothing to tell it.
 *
 * @returns no events when that is known, or when a newer authorization took this credential's place.
 * @throws {PosternError} `connection.not_found`
 * @source RFC 7009 §2.2
 */
export function recordUpstreamRevoked(command: RecordUpstreamRevoked, state: Connection): ConnectionEvent[] {
  requireExisting(state);
  const { credentialVersion, method } = command;
  if (!isOwed(state) || state.credential?.version !== credentialVersion) return [];
  return [connectionEvent('UpstreamRevocationCompleted', { credentialVersion, method })];
}

/**
 * Records that the provider could not be told; `final` when it will not be tried again.
 *
 * @returns no events when the outcome is known, or when a newer authorization took this credential's place.
 * @throws {PosternError} `connection.not_found`
 * @source RFC 7009 §2.2.1
 */
export function recordUpstreamRevocationFailed(
  command: RecordUpstreamRevocationFailed,
  state: Connection,
): ConnectionEvent[] {
  requireExisting(state);
  const { credentialVersion, error, final } = command;
  if (!isOwed(state) || state.credential?.version !== credentialVersion) return [];
  return [connectionEvent('UpstreamRevocationFailed', { credentialVersion, error: providerWords(error), final })];
}
