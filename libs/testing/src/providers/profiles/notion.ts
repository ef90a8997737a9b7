import type { ProviderProfile, TokenRefusal } from '../profile.ts';
import { introspectionRoute, revocationRoute } from '../standard-routes.ts';

const oauth = 'https://api.notion.com/v1/oauth';

const words: Readonly<Record<TokenRefusal, string>> = {
  client: 'invalid_client',
  code: 'invalid_grant',
  redirect_uri: 'invalid_grant',
  code_verifier: 'invalid_grant',
  refresh_token: 'invalid_grant',
  request: 'invalid_request',
};

/** No scopes: the person picks pages. JSON and HTTP Basic at every endpoint. */
export const notion: ProviderProfile = {
  ...{ id: 'notion', name: 'Notion', provider: 'notion' },
  documents: [
    'https://developers.notion.com/reference/create-a-token',
    'https://developers.notion.com/reference/refresh-a-token',
    'https://developers.notion.com/reference/revoke-token',
    'https://developers.notion.com/docs/authorization',
  ],
  client: { scopes: [] },
  authorization: { at: `${oauth}/authorize`, wants: { owner: 'user' }, scopes: null },
  pkce: 'ignored',
  token: { at: `${oauth}/token`, authentication: ['basic'], formats: ['json'] },
  accessTokenTtlS: null,
  refresh: { rotates: true, graceS: 0 },
  tokenAnswer: ({ accessToken, refreshToken, grant }) => ({
    access_token: accessToken,
    token_type: 'bearer',
    refresh_token: refreshToken,
    bot_id: `bot-${grant.account}`,
    workspace_icon: null,
    workspace_name: 'A workspace',
    workspace_id: `workspace-${grant.account}`,
    owner: { type: 'user', user: { object: 'user', id: `user-${grant.account}` } },
    duplicated_template_id: null,
    request_id: 'request-1',
  }),
  refusal: (why) => ({
    status: why === 'client' ? 401 : 400,
    body: { error: words[why], error_description: 'Token has been expired or revoked.', request_id: 'request-1' },
  }),
  api: {
    at: 'https://api.notion.com/v1/users/me',
    alive: ({ account }) => ({ object: 'user', id: `bot-${account}` }),
    dead: {
      status: 401,
      body: { object: 'error', status: 401, code: 'unauthorized', message: 'API token is invalid.' },
    },
  },
  revocable: true,
  routes: [
    revocationRoute({
      at: `${oauth}/revoke`,
      ...{ authentication: 'basic', format: 'json', ends: 'token' },
      done: { status: 200, body: { request_id: 'request-1' } },
      unknown: { status: 400, body: { code: 'invalid_grant', message: 'Invalid token' } },
    }),
    introspectionRoute(`${oauth}/introspect`, 'basic', 'json'),
  ],
  notice: null,
};
