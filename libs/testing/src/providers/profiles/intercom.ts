import type { ProviderProfile } from '../profile.ts';
import { standardRefusal } from '../standard-routes.ts';

const unauthorized = { type: 'error.list', errors: [{ code: 'unauthorized', message: 'Access Token Invalid' }] };

/** What an app may do is the app's setting; a token lives until the app is uninstalled. */
export const intercom: ProviderProfile = {
  ...{ id: 'intercom', name: 'Intercom', provider: 'intercom' },
  documents: [
    'https://developers.intercom.com/docs/build-an-integration/learn-more/authentication/setting-up-oauth',
    'https://developers.intercom.com/docs/build-an-integration/learn-more/authentication/installing-uninstalling-apps',
  ],
  client: { scopes: [] },
  authorization: { at: 'https://app.intercom.com/oauth', scopes: null },
  pkce: 'ignored',
  token: { at: 'https://api.intercom.io/auth/eagle/token', authentication: ['post'], formats: ['form', 'json'] },
  accessTokenTtlS: null,
  refresh: null,
  tokenAnswer: ({ accessToken }) => ({ token_type: 'Bearer', token: accessToken, access_token: accessToken }),
  refusal: standardRefusal({}, { client: 401 }),
  api: {
    at: 'https://api.intercom.io/me',
    alive: ({ account }) => ({
      type: 'admin',
      id: `admin-${account}`,
      app: { type: 'app', id_code: `app-${account}` },
    }),
    dead: { status: 401, body: unauthorized },
  },
  revocable: true,
  routes: [
    {
      method: 'POST',
      at: 'https://api.intercom.io/auth/uninstall',
      answer: ({ bearer, headers }, desk) => {
        const grant = desk.grantOf(bearer);
        if (grant === undefined || headers['accept'] !== 'application/json') return { status: 401, body: unauthorized };
        desk.endGrant(grant);
        return { status: 200, body: {} };
      },
    },
  ],
  notice: null,
};
