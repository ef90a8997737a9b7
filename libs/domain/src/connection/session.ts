import { PosternError, type ConnectionEvent, type ErrorCode } from '@postern/contracts';

import { connectionEvent, providerWords, type DataOf } from './events.ts';
import { requireHere, requireNotDeleted } from './guards.ts';
import type { Connection, OpenSession, PastSession } from './state.ts';

export interface StartCodeExchange {
  readonly sessionId: string;
  readonly nowMs: number;
}

export interface DenyAuthorization extends DataOf<'AuthorizationDenied'> {
  readonly nowMs: number;
}

export interface CompleteAuthorization extends DataOf<'ConnectionAuthorized'> {
  readonly endUserDigest: string;
  readonly nowMs: number;
}

/** Why a session that has ended cannot go on. */
const refusals = {
  completed: { code: 'session.already_used', message: 'The connect session was completed already.' },
  denied: { code: 'session.denied', message: 'The connect session ended without an authorization.' },
  superseded: { code: 'session.superseded', message: 'A newer connect session took its place.' },
  revoked: { code: 'connection.revoked', message: 'The connection was revoked after the session began.' },
} as const satisfies Record<PastSession['ended'], { code: ErrorCode; message: string }>;

function endOf(state: Connection, sessionId: string): PastSession['ended'] | undefined {
  return state.pastSessions.find((past) => past.sessionId === sessionId)?.ended;
}

/** The open session of this id. @throws {PosternError} as its end says */
export function requireOpen(state: Connection, sessionId: string): OpenSession {
  if (state.authorization === 'none') throw new PosternError('session.not_found', 'There is no such connect session.');
  requireNotDeleted(state);
  if (state.session?.sessionId === sessionId) return state.session;
  const ended = endOf(state, sessionId);
  if (ended !== undefined) throw new PosternError(refusals[ended].code, refusals[ended].message);
  throw new PosternError('session.not_found', 'There is no such connect session.');
}

/** @throws {PosternError} `session.expired` */
export function requireLiving(session: OpenSession, nowMs: number): void {
  if (nowMs >= session.expiresAtMs) throw new PosternError('session.expired', 'The connect session has expired.');
}

/**
 * The session, if its end user can still be sent to the provider in it.
 *
 * @throws {PosternError} `session.already_used` once the provider has answered, or has given a user code for it; as its end
 *   says
 */
export function requireUnused({ sessionId, nowMs }: StartCodeExchange, state: Connection): OpenSession {
  const session = requireOpen(state, sessionId);
  requireLiving(session, nowMs);
  if (session.stage === 'started') return session;
  throw new PosternError('session.already_used', 'The provider has been asked in this session already.');
}

/**
 * Records that the authorization code is about to be spent, before it is: a code works once, and a replayed callback
 * must not reach the token endpoint, where reuse may revoke what the first use brought.
 *
 * @throws {PosternError} `session.already_used` for a second callback, `session.expired`, `session.superseded`,
 *   `session.denied`, `session.not_found`, `connection.revoked`, `connection.deleted`
 * @source RFC 6749 §4.1.2, §10.5
 */
export function startCodeExchange(command: StartCodeExchange, state: Connection): ConnectionEvent[] {
  const session = requireUnused(command, state);
  if (session.grant !== undefined) {
    throw new PosternError('session.state_mismatch', 'No authorization code belongs to this session.');
  }
  return [connectionEvent('CodeExchangeStarted', { sessionId: command.sessionId })];
}

/**
 * Ends a session whose authorization the provider or the end user refused; also one that has expired meanwhile.
 *
 * @returns no events when it was denied already.
 * @throws {PosternError} `session.already_used` when an error comes to the callback after the code did, and as
 *   `startCodeExchange`
 * @source RFC 6749 §4.1.2.1, §5.2
 */
export function denyAuthorization(command: DenyAuthorization, state: Connection): ConnectionEvent[] {
  const { sessionId, stage, error, errorDescription } = command;
  requireHere(state);
  if (endOf(state, sessionId) === 'denied') return [];
  const session = requireOpen(state, sessionId);
  if (stage === 'authorization' && session.stage === 'exchanging') {
    throw new PosternError('session.already_used', 'The authorization response of this session was received already.');
  }
  const description = errorDescription === null ? null : providerWords(errorDescription);
  return [
    connectionEvent('AuthorizationDenied', {
      sessionId,
      stage,
      error: providerWords(error),
      errorDescription: description,
    }),
  ];
}

/**
 * May this session be completed for this end user now? To be asked before the vault promotes the pending token set,
 * so that nothing is promoted for a stranger.
 *
 * The platform names the user whom *it* has logged in: a connect_url mailed to a victim yields the sender nothing,
 * since the session was begun for the sender and the victim's platform session is another (login CSRF, the other way
 * round).
 *
 * @returns `completed` when it was completed already: a repeat is not an error.
 * @throws {PosternError} `session.end_user_mismatch`, `session.code_invalid` before the code was exchanged,
 *   `session.expired`, `session.superseded`, `session.denied`, `session.not_found`, `connection.revoked`,
 *   `connection.deleted`
 * @source RFC 6749 §10.12
 */
export function completionOf(
  state: Connection,
  command: Pick<CompleteAuthorization, 'sessionId' | 'endUserDigest' | 'nowMs'>,
): 'completable' | 'completed' {
  requireHere(state);
  const repeated = endOf(state, command.sessionId) === 'completed';
  const open = repeated ? null : requireOpen(state, command.sessionId);
  if (command.endUserDigest !== (open ?? state).endUserDigest) {
    throw new PosternError('session.end_user_mismatch', 'The session was begun for another end user.');
  }
  if (open === null) return 'completed';
  requireLiving(open, command.nowMs);
  if (open.stage !== 'exchanging') {
    throw new PosternError('session.code_invalid', 'The provider has not answered in this session yet.');
  }
  return 'completable';
}

/**
 * The connection can be leased from here on, under the credential version that the vault gave the session's tokens.
 *
 * Ends a live claim (its worker's late answer belongs to the old authorization) and undoes a revocation; a suspension
 * stays, because another hand ordered it. The connection is pinned to the version of the provider's file by which the
 * session began: what it was told may have been decided anew meanwhile. Whom it is derived from was said there, too.
 *
 * @returns no events when the session was completed already.
 * @throws {PosternError} as `completionOf`, and `vault.version_stale` when a newer credential is recorded
 */
export function completeAuthorization(command: CompleteAuthorization, state: Connection): ConnectionEvent[] {
  if (completionOf(state, command) === 'completed') return [];
  if (command.credentialVersion <= (state.credential?.version ?? 0)) {
    throw new PosternError('vault.version_stale', 'A newer credential is recorded.');
  }
  const { endUserDigest: _digest, nowMs: _nowMs, ...told } = command;
  const { providerVersion, delegation } = state.session ?? {};
  const data = {
    ...told,
    ...(providerVersion !== undefined && { providerVersion }),
    ...(delegation !== undefined && { delegation }),
  };
  return [connectionEvent(state.credential === null ? 'ConnectionAuthorized' : 'ConnectionReauthorized', data)];
}
