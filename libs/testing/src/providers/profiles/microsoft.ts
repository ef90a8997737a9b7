import type { ProfileGrant, ProviderProfile } from '../profile.ts';
import { standardRefusal } from '../standard-routes.ts';
import { IdentityKey } from './identity.ts';

const host = 'https://login.microsoftonline.com/common';
const key = new IdentityKey('microsoft-1');

/** Everybody is of a tenant of their own here. */
const tenantOf = ({ account }: ProfileGrant) => `11111111-2222-4333-8444-${String(account).padStart(12, '0')}`;

/** Asked as `common`, answered as the person's tenant; a refresh token that was used is not taken away. */
export const microsoft: ProviderProfile = {
  ...{ id: 'microsoft', name: 'Microsoft 365', provider: 'microsoft' },
  documents: [
    'https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow',
    'https://learn.microsoft.com/entra/identity-platform/refresh-tokens',
    'https://learn.microsoft.com/entra/identity-platform/reference-error-codes',
  ],
  client: { parameters: { tenant: 'common' }, scopes: ['openid', 'offline_access', 'Mail.Read'] },
  authorization: { at: `${host}/oauth2/v2.0/authorize`, scopes: { parameter: 'scope', separator: ' ' } },
  pkce: 'checked',
  token: { at: `${host}/oauth2/v2.0/token`, authentication: ['post'], formats: ['form'] },
  accessTokenTtlS: 3_600,
  refresh: { rotates: true, graceS: 7_776_000, wantsScope: 'offline_access' },
  tokenAnswer: async ({ accessToken, refreshToken, grant, isRefresh }) => ({
    token_type: 'Bearer',
    scope: grant.scopes.join(' '),
    expires_in: 3_599,
    ext_expires_in: 3_599,
    access_token: accessToken,
    refresh_token: refreshToken,
    id_token: await key.idToken({
      ...{ iss: `https://login.microsoftonline.com/${tenantOf(grant)}/v2.0`, aud: grant.clientId },
      ...{ tid: tenantOf(grant), oid: `oid-${grant.account}`, sub: `sub-${grant.account}` },
      ...(!isRefresh && grant.nonce !== null && { nonce: grant.nonce }),
    }),
  }),
  refusal: standardRefusal({
    client: { error_description: 'AADSTS7000215: Invalid client secret provided.', error_codes: [7_000_215] },
    code: { error_description: 'AADSTS70008: The provided authorization code is expired.', error_codes: [70_008] },
    refresh_token: { error_description: 'AADSTS50173: The provided grant has expired.', error_codes: [50_173] },
  }),
  api: {
    at: 'https://graph.microsoft.com/v1.0/me',
    alive: ({ account }) => ({ id: `oid-${account}` }),
    dead: {
      status: 401,
      body: { error: { code: 'InvalidAuthenticationToken', message: 'Access token has expired or is not yet valid.' } },
    },
  },
  revocable: false,
  routes: [],
  notice: null,
};
