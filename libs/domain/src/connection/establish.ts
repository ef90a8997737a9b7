import { derivedGrants, PosternError, unattendedGrants, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent, type DataOf } from './events.ts';
import { isUnattended } from './grants.ts';
import { requireHere, requireNoNewRisk, requireNotDeleted, type KeptApart } from './guards.ts';
import type { Connection } from './state.ts';

export interface StartEstablishment extends DataOf<'EstablishmentStarted'>, KeptApart {
  readonly nowMs: number;
}

/** What a connection keeps for life; one made anew under the same id must agree in it. @throws {PosternError} @internal */
export function requireSameConnection(command: StartEstablishment, state: Connection): void {
  requireNotDeleted(state);
  if (command.platformId !== state.platformId) {
    throw new PosternError('connection.not_found', 'There is no such connection.');
  }
  const { providerId, endUserDigest } = command;
  if (providerId === state.providerId && (endUserDigest ?? '') === state.endUserDigest) return;
  if (command.purpose === 'reauthorize') {
    throw new PosternError('request.malformed', 'The connection is one at another provider, or of another end user.');
  }
  throw new PosternError('connection.establish_key_used', 'The key was used for another connection.');
}

/** Two connections that are derived from others are the same only where those are. */
function isDerivedAlike(command: StartEstablishment, { credential }: Connection): boolean {
  const [one, other] = [command.delegation, credential?.delegation];
  return one?.subjectConnectionId === other?.subjectConnectionId && one?.actorConnectionId === other?.actorConnectionId;
}

function requireUnattended(state: Connection): void {
  if (state.authorization === 'none') throw new PosternError('connection.not_found', 'There is no such connection.');
  if (isUnattended(state) || state.authorization === 'pending') return;
  throw new PosternError('request.malformed', 'An end user authorized the connection, and can authorize it again.');
}

/**
 * Records that the provider is about to be asked for a connection in which no browser has a part, before it is asked.
 *
 * It takes the place of a connect session: one open at a time, the newest, completed by the same event; but there is
 * nothing to send anybody to, so that it begins where a session is when its code is spent.
 *
 * @returns no events when this very one is open already, and where a new connection was established under this id before:
 *   a repeat is not an error.
 * @throws {PosternError} `connection.not_found` also for another platform's connection, `connection.deleted`,
 *   `connection.establish_key_used` where a new connection's id stands for another one, `request.malformed` for a grant
 *   that needs a browser, and for a connection that an end user authorized; `connection.high_risk`
 * @source RFC 6749 §4.4, RFC 8693 §2.1
 */
export function startEstablishment(command: StartEstablishment, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const { nowMs, highRiskScopes: _high, ...data } = command;
  if (!unattendedGrants.includes(command.grant)) {
    throw new PosternError('request.malformed', `A connection by ${command.grant} is not established so.`);
  }
  if (derivedGrants.includes(command.grant) !== (command.delegation !== undefined)) {
    throw new PosternError(
      'request.malformed',
      'A connection is derived from others where it is had by what those hold.',
    );
  }
  if (command.purpose === 'reauthorize') requireUnattended(state);
  if (state.authorization !== 'none') requireSameConnection(command, state);
  if (state.session?.sessionId === command.sessionId) return [];
  if (command.purpose === 'connect' && state.credential !== null) {
    const isSame = state.credential.grant === command.grant && state.registrationId === command.registrationId;
    if (isSame && isDerivedAlike(command, state)) return [];
    throw new PosternError('connection.establish_key_used', 'The key was used for another connection.');
  }
  requireNoNewRisk(command, state);
  if (command.expiresAtMs <= nowMs) {
    throw new PosternError('session.expired', 'The time for it would have been over before it began.');
  }
  return [connectionEvent('EstablishmentStarted', data)];
}
