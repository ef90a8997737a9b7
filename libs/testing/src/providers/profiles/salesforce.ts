import type { ProviderProfile } from '../profile.ts';
import { introspectionRoute, revocationRoute, standardRefusal } from '../standard-routes.ts';

const host = 'https://login.salesforce.com/services/oauth2';

/** The answer says no lifetime, the session policy of the organization has it; rotation is the app's setting, and on here. */
export const salesforce: ProviderProfile = {
  ...{ id: 'salesforce', name: 'Salesforce', provider: 'salesforce' },
  documents: [
    'https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_web_server_flow.htm',
    'https://help.salesforce.com/s/articleView?id=005316711',
    'https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_revoke_token.htm',
  ],
  client: { parameters: { login: 'login' }, scopes: ['api', 'refresh_token'] },
  authorization: { at: `${host}/authorize`, scopes: { parameter: 'scope', separator: ' ' } },
  pkce: 'checked',
  token: { at: `${host}/token`, authentication: ['post', 'basic'], formats: ['form'] },
  accessTokenTtlS: null,
  refresh: { rotates: true, graceS: 0, reuseEndsGrant: true, wantsScope: 'refresh_token' },
  tokenAnswer: ({ accessToken, refreshToken, grant }) => ({
    access_token: accessToken,
    refresh_token: refreshToken,
    signature: 'c2lnbmF0dXJl',
    scope: grant.scopes.join(' '),
    instance_url: 'https://acme.my.salesforce.com',
    id: `https://login.salesforce.com/id/00D/${grant.account}`,
    token_type: 'Bearer',
    issued_at: String(Date.now()),
  }),
  refusal: standardRefusal(
    {
      client: { error_description: 'invalid client credentials' },
      code: { error_description: 'invalid authorization code' },
      refresh_token: { error_description: 'expired access/refresh token' },
    },
    { client: 400 },
  ),
  api: {
    at: 'https://acme.my.salesforce.com/services/oauth2/userinfo',
    alive: ({ account }) => ({ user_id: `005${account}` }),
    dead: { status: 401, body: [{ message: 'Session expired or invalid', errorCode: 'INVALID_SESSION_ID' }] },
  },
  revocable: true,
  routes: [
    revocationRoute({
      at: `${host}/revoke`,
      authentication: 'none',
      ends: 'grant',
      unknown: { status: 400, body: { error: 'invalid_token', error_description: 'the token is invalid' } },
    }),
    introspectionRoute(`${host}/introspect`, 'post'),
  ],
  notice: null,
};
