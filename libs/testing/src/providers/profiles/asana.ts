import type { ProviderProfile } from '../profile.ts';
import { revocationRoute, standardRefusal } from '../standard-routes.ts';

export const asana: ProviderProfile = {
  ...{ id: 'asana', name: 'Asana', provider: 'asana' },
  documents: ['https://developers.asana.com/docs/oauth'],
  client: { scopes: ['tasks:read', 'projects:read'] },
  authorization: {
    at: 'https://app.asana.com/-/oauth_authorize',
    scopes: { parameter: 'scope', separator: ' ' },
  },
  pkce: 'checked',
  token: { at: 'https://app.asana.com/-/oauth_token', authentication: ['post'], formats: ['form'] },
  accessTokenTtlS: 3_600,
  refresh: { rotates: false, graceS: 0 },
  tokenAnswer: ({ accessToken, refreshToken, grant }) => ({
    access_token: accessToken,
    token_type: 'bearer',
    expires_in: 3_600,
    data: { id: grant.account, gid: String(grant.account), name: 'Somebody', email: 'somebody@example.com' },
    ...(refreshToken !== null && { refresh_token: refreshToken }),
  }),
  refusal: standardRefusal({
    code: { error_description: 'The code has expired or been used.' },
    refresh_token: { error_description: 'The refresh token is invalid.' },
  }),
  api: {
    at: 'https://app.asana.com/api/1.0/users/me',
    alive: ({ account }) => ({ data: { gid: String(account) } }),
    dead: { status: 401, body: { errors: [{ message: 'Not Authorized' }] } },
  },
  revocable: true,
  routes: [
    revocationRoute({
      at: 'https://app.asana.com/-/oauth_revoke',
      ...{ authentication: 'post', ends: 'grant' },
      takes: 'refresh_token',
      unknown: { status: 400, body: { error: 'invalid_grant' } },
    }),
  ],
  notice: null,
};
