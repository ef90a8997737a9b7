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

/** Is there nobody who could be sent to the provider to mend this connection? */
export function isUnattended({ credential, session }: Pick<Connection, 'credential' | 'session'>): boolean {
  const grant = credential === null ? session?.grant : credential.grant;
  return grant !== undefined && unattendedGrants.includes(grant);
}
