import type { ProviderProfile } from '../profile.ts';
import { standardRefusal } from '../standard-routes.ts';

const dead = { errors: ['The access token is invalid or expired'] };

/** A refresh token is used once, and once only: what was lost stays lost. */
export const gong: ProviderProfile = {
  ...{ id: 'gong', name: 'Gong', provider: 'gong' },
  documents: [
    'https://help.gong.io/docs/create-an-app-for-gong',
    'https://nango.dev/blog/gong-oauth-refresh-token-invalid-grant',
  ],
  client: { scopes: ['api:calls:read:basic', 'api:users:read'] },
  authorization: {
    at: 'https://app.gong.io/oauth2/authorize',
    scopes: { parameter: 'scope', separator: ' ' },
  },
  pkce: 'ignored',
  token: {
    at: 'https://app.gong.io/oauth2/generate-customer-token',
    authentication: ['basic'],
    formats: ['form'],
  },
  accessTokenTtlS: 86_400,
  refresh: { rotates: true, graceS: 0 },
  tokenAnswer: ({ grant, accessToken, refreshToken }) => ({
    access_token: accessToken,
    refresh_token: refreshToken,
    token_type: 'bearer',
    expires_in: 86_400,
    scope: grant.scopes.join(' '),
    api_base_url_for_customer: 'https://us-12345.api.gong.io',
  }),
  // The sentence stands in Gong's own list of errors.
  refusal: (why) =>
    why === 'refresh_token'
      ? { status: 400, body: { requestId: 'r1', errors: ['Refresh token code is invalid'] } }
      : standardRefusal()(why),
  api: {
    at: 'https://us-12345.api.gong.io/v2/users',
    alive: () => ({ requestId: 'r1', users: [] }),
    dead: { status: 401, body: dead },
  },
  revocable: false,
  routes: [],
  notice: null,
};
