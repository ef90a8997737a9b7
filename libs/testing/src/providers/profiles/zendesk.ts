import type { ProviderProfile } from '../profile.ts';
import { standardRefusal } from '../standard-routes.ts';

const invalid =
  'The provided access grant is invalid, expired, or revoked (e.g. invalid assertion, expired authorization token, bad end-user password credentials, or mismatching authorization code and redirection URI).';
const unauthorized = { error: "Couldn't authenticate you" };

/** Everything of before ends at once when it is refreshed. */
export const zendesk: ProviderProfile = {
  ...{ id: 'zendesk', name: 'Zendesk', provider: 'zendesk' },
  documents: [
    'https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/',
    'https://support.zendesk.com/hc/en-us/articles/4408831387930',
    'https://developer.zendesk.com/api-reference/ticketing/oauth/oauth_tokens/',
  ],
  client: { parameters: { subdomain: 'acme' }, scopes: ['tickets:read', 'users:read'] },
  authorization: {
    at: 'https://acme.zendesk.com/oauth/authorizations/new',
    scopes: { parameter: 'scope', separator: ' ' },
  },
  pkce: 'checked',
  token: { at: 'https://acme.zendesk.com/oauth/tokens', authentication: ['post'], formats: ['form', 'json'] },
  accessTokenTtlS: 1_800,
  refresh: { rotates: true, graceS: 0, oldAccessTokenLivesS: 0 },
  tokenAnswer: ({ grant, accessToken, refreshToken }) => ({
    access_token: accessToken,
    refresh_token: refreshToken,
    token_type: 'bearer',
    scope: grant.scopes.join(' '),
    expires_in: 1_800,
    refresh_token_expires_in: 2_592_000,
  }),
  refusal: standardRefusal(
    {
      code: { error_description: invalid },
      redirect_uri: { error_description: invalid },
      code_verifier: { error_description: invalid },
      refresh_token: { error_description: invalid },
    },
    { client: 401 },
  ),
  api: {
    at: 'https://acme.zendesk.com/api/v2/users/me.json',
    alive: ({ account }) => ({ user: { id: account } }),
    dead: { status: 401, body: unauthorized },
  },
  revocable: true,
  routes: [
    {
      method: 'GET',
      at: 'https://acme.zendesk.com/api/v2/oauth/tokens/current.json',
      answer: ({ bearer }, desk) => {
        const grant = desk.grantOf(bearer);
        if (grant === undefined) return { status: 401, body: unauthorized };
        return { status: 200, body: { token: { id: grant.number, scopes: grant.scopes } } };
      },
    },
    {
      method: 'DELETE',
      at: 'https://acme.zendesk.com/api/v2/oauth/tokens/*',
      answer: ({ bearer, url }, desk) => {
        const grant = desk.grantOf(bearer);
        if (grant === undefined) return { status: 401, body: unauthorized };
        if (!url.pathname.endsWith(`/${grant.number}.json`)) return { status: 404, body: { error: 'RecordNotFound' } };
        desk.endGrant(grant);
        return { status: 204 };
      },
    },
  ],
  notice: null,
};
