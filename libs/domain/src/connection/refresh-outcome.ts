import { PosternError, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent, providerWords, type DataOf } from './events.ts';
import { requireHere } from './guards.ts';
import type { Connection } from './state.ts';

export interface RecordRefreshed extends DataOf<'AccessTokenRefreshed'> {
  /** Did the provider replace the refresh token? */
  readonly rotated: boolean;
  readonly nowMs: number;
}

export interface RecordRefreshFailed extends DataOf<'RefreshFailed'> {
  readonly nowMs: number;
}

export interface RecordRefreshRejected extends Omit<DataOf<'RefreshRejected'>, 'credentialVersion'> {
  readonly nowMs: number;
}

/**
 * What becomes of the tokens that a claim bought: recorded as the next version (`welcome`), known already
 * (`recorded`), told to the provider as revoked (`revoke`), or forgotten (`drop`).
 */
export type RefreshOutcomeFate = 'welcome' | 'recorded' | 'revoke' | 'drop';

type Standing = 'claim' | 'interrupted' | 'none';

/** How this claim stands to the current credential version. */
function standingOf(state: Connection, claimId: string): Standing {
  const { claim, interrupted, credential } = state;
  if (credential === null) return 'none';
  if (claim?.claimId === claimId && claim.credentialVersion === credential.version) return 'claim';
  const known = interrupted?.credentialVersion === credential.version && interrupted.claimIds.includes(claimId);
  return known ? 'interrupted' : 'none';
}

/**
 * Would an answer of this claim be recorded?
 *
 * After the retry of an interrupted refresh was rejected, a late success of the first worker is still welcome if the
 * refresh token was rotated: that explains the rejection. If it was not, the token that was rejected later is the one
 * we would keep, and nothing is gained.
 */
export function refreshOutcomeWelcome(
  state: Connection,
  { claimId, rotated = true }: { claimId: string; rotated?: boolean },
): boolean {
  requireHere(state);
  const standing = standingOf(state, claimId);
  if (state.authorization === 'authorized') return standing !== 'none';
  if (state.authorization !== 'reauthorization_required' || standing === 'none') return false;
  return rotated || state.reauthorizationCause === 'refresh_interrupted';
}

/**
 * What is to be done with fresh tokens, after `recordRefreshed` said what it had to say.
 *
 * They are revoked at the provider only when the connection was revoked or deleted, and not while a new authorization
 * is being exchanged: revoking one refresh token may end the whole grant, the new one included.
 *
 * @source RFC 7009 §2.1
 */
export function refreshOutcomeFate(
  state: Connection,
  outcome: { claimId: string; rotated?: boolean },
): RefreshOutcomeFate {
  requireHere(state);
  if (state.credential?.boughtBy === outcome.claimId) return 'recorded';
  if (refreshOutcomeWelcome(state, outcome)) return 'welcome';
  const ended = state.authorization === 'revoked' || state.authorization === 'deleted';
  return ended && state.session?.stage !== 'exchanging' ? 'revoke' : 'drop';
}

function requireReleased(state: Connection, claimId: string): void {
  if (state.claim?.claimId === claimId && !state.claim.released) {
    throw new PosternError('refresh.not_released', 'No refresh token was released for this claim.');
  }
}

/**
 * Records what the claim bought as the next credential version.
 *
 * An answer is taken from the standing claim, also past its time, and from an interrupted one, as long as the version
 * it spent is current: lost is only what a provider processed and nobody stored. A newer credential is never
 * overwritten. Scopes that changed on the way are told. Versions rise, though not always by one: the vault may have numbered tokens that were never recorded.
 *
 * @returns no events when it is recorded already or no longer welcome; `refreshOutcomeFate` tells which.
 * @throws {PosternError} `refresh.not_released` when the claim never got a refresh token
 * @source RFC 6749 §5.1, §6
 */
export function recordRefreshed(command: RecordRefreshed, state: Connection): ConnectionEvent[] {
  const { claimId, credentialVersion, grantedScopes, accessTokenExpiresAtMs, rotated } = command;
  if (!refreshOutcomeWelcome(state, { claimId, rotated })) return [];
  if (credentialVersion <= (state.credential?.version ?? 0)) return [];
  requireReleased(state, claimId);
  const outcome = { claimId, credentialVersion, grantedScopes, accessTokenExpiresAtMs };
  return [
    connectionEvent('AccessTokenRefreshed', outcome),
    ...(rotated ? [connectionEvent('RefreshTokenRotated', { claimId, credentialVersion })] : []),
    ...scopeDrift(state.credential?.grantedScopes ?? [], { claimId, credentialVersion, grantedScopes }),
  ];
}

/**
 * Other scopes than before, in whatever order: somebody narrowed or widened the grant at the provider, and an agent
 * that relies on what it lost should not learn it from a 403.
 *
 * @source RFC 6749 §5.1
 */
function scopeDrift(
  before: readonly string[],
  { grantedScopes, ...ids }: Pick<DataOf<'AccessTokenRefreshed'>, 'claimId' | 'credentialVersion' | 'grantedScopes'>,
): ConnectionEvent[] {
  const lostScopes = before.filter((scope) => !grantedScopes.includes(scope));
  const gainedScopes = grantedScopes.filter((scope) => !before.includes(scope));
  if (lostScopes.length === 0 && gainedScopes.length === 0) return [];
  return [connectionEvent('ScopeDriftDetected', { ...ids, lostScopes, gainedScopes })];
}

/**
 * Records a failure that says nothing about the grant: the provider was down, slow, or limited us. The connection is
 * degraded, and its valid token is served on.
 *
 * @returns no events when the claim does not stand any more.
 */
export function recordRefreshFailed(command: RecordRefreshFailed, state: Connection): ConnectionEvent[] {
  requireHere(state);
  if (state.claim?.claimId !== command.claimId) return [];
  const { claimId, error, errorDescription, httpStatus, nextAttemptAtMs } = command;
  return [
    connectionEvent('RefreshFailed', {
      claimId,
      error: providerWords(error),
      ...(errorDescription !== undefined && { errorDescription: providerWords(errorDescription) }),
      httpStatus,
      nextAttemptAtMs,
    }),
  ];
}

/**
 * Records that the provider called this refresh token dead (`invalid_grant`, or its own word for it).
 *
 * About a version that is no longer current it proves nothing, and from an interrupted claim nothing while its retry
 * is under way: the retry may be what made the token look used.
 *
 * @returns no events when it proves nothing.
 * @throws {PosternError} `refresh.not_released` when the claim never got a refresh token
 * @source RFC 6749 §5.2
 */
export function recordRefreshRejected(command: RecordRefreshRejected, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const { claimId, httpStatus } = command;
  const standing = standingOf(state, claimId);
  const proves = standing === 'claim' || (standing === 'interrupted' && state.claim === null);
  if (state.authorization !== 'authorized' || state.credential === null || !proves) return [];
  requireReleased(state, claimId);
  const error = providerWords(command.error);
  const errorDescription = command.errorDescription === null ? null : providerWords(command.errorDescription);
  const credentialVersion = state.credential.version;
  return [
    connectionEvent('RefreshRejected', { claimId, credentialVersion, error, errorDescription, httpStatus }),
    connectionEvent('ReauthorizationRequired', { cause: 'refresh_rejected', evidence: error }),
  ];
}
