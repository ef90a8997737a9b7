import { PosternError, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent, type DataOf } from './events.ts';
import { requireHere, requireNoNewRisk, requireNotDeleted, type KeptApart } from './guards.ts';
import type { Connection } from './state.ts';

export interface StartAuthorization extends DataOf<'AuthorizationStarted'>, KeptApart {
  readonly nowMs: number;
}

function requireSameOwner(command: StartAuthorization, state: Connection): void {
  requireNotDeleted(state);
  if (command.platformId !== state.platformId) {
    throw new PosternError('connection.not_found', 'There is no such connection.');
  }
  if (command.endUserDigest !== state.endUserDigest) {
    throw new PosternError('session.end_user_mismatch', 'The connection belongs to another end user.');
  }
  if (command.providerId !== state.providerId) {
    throw new PosternError('request.malformed', 'The connection is one at another provider.');
  }
}

function requirePurpose(command: StartAuthorization, state: Connection): void {
  if (command.purpose === 'reauthorize' && state.authorization === 'none') {
    throw new PosternError('connection.not_found', 'There is no such connection.');
  }
  if (command.purpose === 'connect' && state.authorization !== 'none' && state.authorization !== 'pending') {
    throw new PosternError('request.malformed', 'The connection exists; re-authorize it instead.');
  }
}

/**
 * Begins a connect session: a new connection, or a new authorization in place of an old one.
 *
 * Whoever sends the newest session's browser to the provider is the one to finish: an open session is superseded. A
 * revoked connection may be authorized again in place, a deleted one never. The connection keeps platform, provider
 * and end user for life; the client registration may change, since registrations are replaced.
 *
 * @returns no events when this very session is open already.
 * @throws {PosternError} `connection.not_found` also for another platform's connection, `connection.deleted`,
 *   `session.end_user_mismatch`, `session.already_used`, `session.expired`, `request.malformed`, `connection.high_risk`
 *   where scopes of high risk would be added to a connection that has none
 * @source RFC 6749 §4.1.1
 */
export function startAuthorization(command: StartAuthorization, state: Connection): ConnectionEvent[] {
  requireHere(state);
  requirePurpose(command, state);
  if (state.authorization !== 'none') requireSameOwner(command, state);
  if (state.session?.sessionId === command.sessionId) return [];
  if (state.pastSessions.some(({ sessionId }) => sessionId === command.sessionId)) {
    throw new PosternError('session.already_used', 'The connect session has ended.');
  }
  if (command.expiresAtMs <= command.nowMs) {
    throw new PosternError('session.expired', 'The connect session would have expired before it began.');
  }
  requireNoNewRisk(command, state);
  const { nowMs: _nowMs, highRiskScopes: _high, ...data } = command;
  return [connectionEvent('AuthorizationStarted', data)];
}
