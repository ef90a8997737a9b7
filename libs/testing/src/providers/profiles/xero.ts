import type { ProviderProfile } from '../profile.ts';
import { revocationRoute, standardRefusal } from '../standard-routes.ts';

/** A refresh token whose answer was lost may be sent again for half an hour. */
export const xero: ProviderProfile = {
  ...{ id: 'xero', name: 'Xero', provider: 'xero' },
  documents: [
    'https://developer.xero.com/documentation/guides/oauth2/auth-flow/',
    'https://developer.xero.com/faq/oauth2',
  ],
  client: { scopes: ['accounting.transactions', 'offline_access'] },
  authorization: {
    at: 'https://login.xero.com/identity/connect/authorize',
    scopes: { parameter: 'scope', separator: ' ' },
  },
  pkce: 'checked',
  token: {
    at: 'https://identity.xero.com/connect/token',
    authentication: ['basic', 'post'],
    formats: ['form'],
  },
  accessTokenTtlS: 1_800,
  refresh: { rotates: true, graceS: 1_800, wantsScope: 'offline_access' },
  tokenAnswer: ({ accessToken, refreshToken, grant }) => ({
    access_token: accessToken,
    expires_in: 1_800,
    token_type: 'Bearer',
    refresh_token: refreshToken,
    scope: grant.scopes.join(' '),
  }),
  refusal: standardRefusal({}, { client: 400 }),
  api: {
    at: 'https://api.xero.com/connections',
    alive: ({ account }) => [{ tenantId: `tenant-${account}` }],
    dead: { status: 401, body: { Title: 'Unauthorized', Status: 401, Detail: 'TokenExpired' } },
  },
  revocable: true,
  routes: [
    revocationRoute({
      at: 'https://identity.xero.com/connect/revocation',
      ...{ authentication: 'basic', ends: 'grant' },
    }),
  ],
  notice: null,
};
