import type { ProviderProfile } from '../profile.ts';
import { hmac, revocationRoute, standardRefusal } from '../standard-routes.ts';

export const linear: ProviderProfile = {
  ...{ id: 'linear', name: 'Linear', provider: 'linear' },
  documents: ['https://linear.app/developers/oauth-2-0-authentication', 'https://linear.app/developers/webhooks'],
  client: { scopes: ['read', 'issues:create'] },
  authorization: {
    at: 'https://linear.app/oauth/authorize',
    scopes: { parameter: 'scope', separator: ',' },
  },
  pkce: 'checked',
  token: { at: 'https://api.linear.app/oauth/token', authentication: ['post'], formats: ['form'] },
  accessTokenTtlS: 86_400,
  refresh: { rotates: true, graceS: 0 },
  tokenAnswer: ({ accessToken, refreshToken, grant }) => ({
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: 86_399,
    refresh_token: refreshToken,
    scope: grant.scopes.join(' '),
  }),
  refusal: standardRefusal({ refresh_token: { error_description: 'Invalid refresh token' } }),
  api: {
    method: 'POST',
    at: 'https://api.linear.app/graphql',
    alive: ({ account }) => ({ data: { viewer: { id: `user-${account}` }, organization: { id: `org-${account}` } } }),
    dead: {
      status: 401,
      body: {
        errors: [
          { message: 'Authentication required, not authenticated', extensions: { code: 'AUTHENTICATION_ERROR' } },
        ],
      },
    },
  },
  revocable: true,
  routes: [
    revocationRoute({
      at: 'https://api.linear.app/oauth/revoke',
      ...{ authentication: 'none', ends: 'grant' },
      unknown: { status: 400, body: { error: 'invalid_token' } },
    }),
  ],
  noticeFindsNobody: 'names an organization, and the token endpoint’s answer names none',
  notice: ({ account }) => ({
    body: {
      ...{ type: 'OAuthApp', action: 'revoked', organizationId: `org-${account}` },
      ...{ oauthClientId: 'client', webhookTimestamp: Date.now(), createdAt: new Date().toISOString() },
    },
    headers: (text, secret) => ({
      'linear-event': 'OAuthApp',
      'linear-signature': hmac(text, { secret, encoding: 'hex' }),
    }),
  }),
};
