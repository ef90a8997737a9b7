import type { ProviderProfile } from '../profile.ts';
import { standardRefusal } from '../standard-routes.ts';

const graceS = 600;

/** Jira and Confluence: both tokens of before live for ten minutes more, and a dead refresh token is answered with 403. */
export const atlassian: ProviderProfile = {
  ...{ id: 'atlassian', name: 'Jira, Confluence', provider: 'atlassian' },
  documents: [
    'https://developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens/',
    'https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/',
    'https://community.developer.atlassian.com/t/83103',
  ],
  client: { scopes: ['read:jira-work', 'offline_access'] },
  authorization: {
    at: 'https://auth.atlassian.com/authorize',
    wants: { audience: 'api.atlassian.com', prompt: 'consent' },
    scopes: { parameter: 'scope', separator: ' ' },
  },
  pkce: 'ignored',
  token: { at: 'https://auth.atlassian.com/oauth/token', authentication: ['post'], formats: ['form', 'json'] },
  accessTokenTtlS: 3_600,
  refresh: { rotates: true, graceS, oldAccessTokenLivesS: graceS, wantsScope: 'offline_access' },
  tokenAnswer: ({ accessToken, refreshToken, grant }) => ({
    access_token: accessToken,
    ...(refreshToken !== null && { refresh_token: refreshToken }),
    expires_in: 3_600,
    token_type: 'Bearer',
    scope: grant.scopes.join(' '),
  }),
  refusal: standardRefusal(
    {
      client: { error: 'access_denied', error_description: 'Unauthorized' },
      refresh_token: { error_description: 'Unknown or invalid refresh token.' },
    },
    { client: 401, refresh_token: 403, code: 403 },
  ),
  api: {
    at: 'https://api.atlassian.com/oauth/token/accessible-resources',
    alive: ({ account }) => [{ id: `cloud-${account}` }],
    dead: { status: 401, body: { code: 401, message: 'Unauthorized' } },
  },
  revocable: false,
  routes: [],
  notice: null,
};
