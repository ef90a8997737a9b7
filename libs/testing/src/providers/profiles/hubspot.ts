import type { ProviderProfile, TokenRefusal } from '../profile.ts';
import { introspectionRoute, revocationRoute } from '../standard-routes.ts';

/** The standard's members, and beside them those of before. */
const words: Readonly<Record<TokenRefusal, readonly [error: string, status: string]>> = {
  client: ['invalid_client', 'BAD_CLIENT_SECRET'],
  code: ['invalid_grant', 'BAD_AUTH_CODE'],
  redirect_uri: ['invalid_request', 'MISMATCH_REDIRECT_URI_AUTH_CODE'],
  code_verifier: ['invalid_grant', 'BAD_AUTH_CODE'],
  refresh_token: ['invalid_grant', 'BAD_REFRESH_TOKEN'],
  request: ['invalid_request', 'BAD_GRANT_TYPE'],
};

const messages: Partial<Record<TokenRefusal, string>> = {
  refresh_token: 'refresh token is invalid, expired or revoked',
};

const base = {
  authorization: {
    at: 'https://app.hubspot.com/oauth/authorize',
    scopes: { parameter: 'scope', separator: ' ' },
  },
  client: { scopes: ['oauth', 'crm.objects.contacts.read'] },
  pkce: 'checked',
  accessTokenTtlS: 1_800,
  refresh: { rotates: false, graceS: 0 },
  revocable: true,
  tokenAnswer: ({ accessToken, refreshToken, grant }) => ({
    token_type: 'bearer',
    ...(refreshToken !== null && { refresh_token: refreshToken }),
    access_token: accessToken,
    expires_in: 1_800,
    hub_id: grant.account,
    scopes: grant.scopes,
    user_id: grant.account,
  }),
  refusal: (why) => {
    const [error, status] = words[why];
    const message = messages[why] ?? status.toLowerCase();
    return { status: 400, body: { error, error_description: message, status, message } };
  },
  api: {
    at: 'https://api.hubapi.com/crm/v3/objects/contacts',
    alive: () => ({ results: [] }),
    dead: {
      status: 401,
      body: {
        status: 'error',
        message: 'The OAuth token used to make this call is expired',
        category: 'EXPIRED_AUTHENTICATION',
      },
    },
  },
  notice: null,
} as const satisfies Partial<ProviderProfile>;

function version(path: string): Pick<ProviderProfile, 'token' | 'routes'> {
  const at = `https://api.hubapi.com/oauth/${path}/token`;
  return {
    // Everything in the body, the client's credentials too.
    token: { at, authentication: ['post'], formats: ['form'] },
    routes: [
      introspectionRoute(`${at}/introspect`, 'post'),
      revocationRoute({ at: `${at}/revoke`, authentication: 'post', ends: 'token' }),
    ],
  };
}

export const hubspot: ProviderProfile = {
  ...base,
  ...{ id: 'hubspot', name: 'HubSpot (v3)', provider: 'hubspot' },
  documents: [
    'https://developers.hubspot.com/docs/api-reference/auth-oauth-v3/guide',
    'https://developers.hubspot.com/changelog/new-oauth-v3-api-endpoints-and-standardized-error-responses',
  ],
  ...version('v3'),
};

export const hubspot202603: ProviderProfile = {
  ...base,
  ...{ id: 'hubspot-2026-03', name: 'HubSpot (2026-03)', provider: 'hubspot-2026-03' },
  documents: ['https://developers.hubspot.com/docs/api-reference/latest/authentication/oauth-tokens/revoke-token'],
  ...version('2026-03'),
};
