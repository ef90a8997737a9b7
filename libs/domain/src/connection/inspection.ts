import { limits, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent } from './events.ts';
import { requireHere } from './guards.ts';
import { boughtAtMs } from './refresh-plan.ts';
import type { Connection, Credential } from './state.ts';
import { isSuspected, isUnspent } from './suspicion.ts';

export interface StartInspection {
  readonly nowMs: number;
}

/**
 * By which of its tokens a provider may be asked about a credential that nobody suspects: the refresh token, or of what
 * was made by hand the token itself.
 *
 * @returns null where neither would say that the grant lives: an access token that is had anew, or comes to an end.
 */
export function inspectableToken({
  hasRefreshToken,
  grant,
}: Pick<Credential, 'hasRefreshToken' | 'grant'>): 'refresh_token' | 'access_token' | null {
  if (hasRefreshToken) return 'refresh_token';
  return grant === 'static' ? 'access_token' : null;
}

/**
 * When the provider last had this token before it: at the authorization, a refresh, or an inspection.
 *
 * An idle connection is one of which that is long ago.
 *
 * @returns null where the provider is not to be asked: nothing would end, somebody may be spending the token, or it is
 *   asked already because of a suspicion
 */
export function lastHeardAtMs(state: Connection): number | null {
  const { authorization, credential, suspended } = state;
  if (authorization !== 'authorized' || credential === null || suspended) return null;
  if (inspectableToken(credential) === null || !isUnspent(state) || isSuspected(state)) return null;
  return Math.max(boughtAtMs(credential), credential.inspectedAtMs ?? 0);
}

/**
 * Lets the vault give the token away to be shown to the provider, though nobody suspects that the grant ended.
 *
 * The budget stands in the state: whoever may ask for this, and asks for more, gets each token once in so many hours,
 * and each time stands in the log.
 *
 * @returns no events unless an inspection may be now
 * @throws {PosternError} `connection.moved`
 * @source RFC 7662 §2
 */
export function startInspection({ nowMs }: StartInspection, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const heardAtMs = lastHeardAtMs(state);
  if (heardAtMs === null || nowMs < heardAtMs + limits.inspectionIntervalMsMin) return [];
  return [connectionEvent('InspectionStarted', { credentialVersion: state.credential?.version ?? 0 })];
}
