import { renewableGrants, unattendedGrants } from '@postern/contracts';

import type { Connection, Credential } from './state.ts';

type Had = Pick<Credential, 'grant' | 'hasRefreshToken'>;

/** Is another access token had with what we hold ourselves, and no refresh token spent for it? */
export function isRenewable({ grant }: Pick<Had, 'grant'>): boolean {
  return grant !== undefined && renewableGrants.includes(grant);
}

/** Can another access token be had without anybody's help? */
export function canRefresh(credential: Had): boolean {
  return credential.hasRefreshToken || isRenewable(credential);
}

/**
 * Is there a page of ours on which the end user can authorize it again? A platform that shows user codes itself has none,
 * nor has a connection that was imported without a place to go back to. What exactly was asked for beyond scopes, only the
 * platform can say again: without it the end user would authorize less, or more.
 */
export function hasReauthorizePage(state: Pick<Connection, 'credential' | 'session' | 'returnUrl'>): boolean {
  if (state.credential?.authorizationDetails !== undefined) return false;
  const grant = state.credential?.grant;
  const hasNoWayBack = (grant === 'device_code' || grant === 'imported') && state.returnUrl === '';
  return !isUnattended(state) && !hasNoWayBack;
}

/** Is there nobody who could be sent to the provider to mend this connection? */
export function isUnattended({ credential, session }: Pick<Connection, 'credential' | 'session'>): boolean {
  const grant = credential === null ? session?.grant : credential.grant;
  return grant !== undefined && unattendedGrants.includes(grant);
}
