import type { ProfileGrant, ProfileRoute, ProviderProfile, TokenRefusal } from '../profile.ts';

/** Everything comes with status 200 from the token endpoint. */
const words: Readonly<Record<TokenRefusal, readonly [string, string]>> = {
  client: ['incorrect_client_credentials', 'The client_id and/or client_secret passed are incorrect.'],
  code: ['bad_verification_code', 'The code passed is incorrect or expired.'],
  redirect_uri: [
    'redirect_uri_mismatch',
    'The redirect_uri MUST match the registered callback URL for this application.',
  ],
  code_verifier: ['bad_verification_code', 'The code passed is incorrect or expired.'],
  refresh_token: ['bad_refresh_token', 'The refresh token passed is incorrect or expired.'],
  request: ['unsupported_grant_type', 'The grant_type parameter must be set.'],
};

const badCredentials = {
  message: 'Bad credentials',
  documentation_url: 'https://docs.github.com/rest',
  status: '401',
};

const idOf = ({ account }: ProfileGrant) => 1_000 + account;

/** Told with the app's own credentials, and by a token that lives. */
const deleteGrant: ProfileRoute = {
  method: 'DELETE',
  at: 'https://api.github.com/applications/*/grant',
  answer: ({ basic, url, members, format }, desk) => {
    const client = basic === null ? undefined : desk.clientWith(basic.password);
    const isOwn = client !== undefined && url.pathname.split('/')[2] === client.clientId;
    if (!isOwn) return { status: 401, body: badCredentials };
    if (format !== 'json' || members['access_token'] === undefined)
      return { status: 422, body: { message: 'Invalid' } };
    const grant = desk.grantOf(members['access_token']);
    if (grant === undefined) return { status: 404, body: { message: 'Not Found' } };
    desk.endGrant(grant);
    return { status: 204 };
  },
};

const common = {
  authorization: {
    at: 'https://github.com/login/oauth/authorize',
    scopes: { parameter: 'scope', separator: ' ' },
  },
  pkce: 'checked',
  token: {
    at: 'https://github.com/login/oauth/access_token',
    authentication: ['post'],
    formats: ['form', 'json'],
  },
  refusal: (why) => {
    const [error, description] = words[why];
    return { status: 200, body: { error, error_description: description, error_uri: 'https://docs.github.com' } };
  },
  api: {
    at: 'https://api.github.com/user',
    alive: (grant) => ({ login: `user-${grant.account}`, id: idOf(grant) }),
    dead: { status: 401, body: badCredentials },
  },
  revocable: true,
  routes: [deleteGrant],
} as const satisfies Partial<ProviderProfile>;

/** An OAuth app: tokens without an end, scopes as the app asks for them, with commas in the answer. */
export const githubOAuthApp: ProviderProfile = {
  ...common,
  ...{ id: 'github', name: 'GitHub (OAuth app)', provider: 'github' },
  documents: [
    'https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps',
    'https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors',
    'https://docs.github.com/en/rest/apps/oauth-applications',
  ],
  client: { scopes: ['repo', 'read:org'] },
  // The documents separate by spaces; commas are taken as well, and stand in the answer.
  authorization: { ...common.authorization, scopes: { parameter: 'scope', separator: /[ ,]/ } },
  accessTokenTtlS: null,
  refresh: null,
  tokenAnswer: ({ grant, accessToken }) => ({
    access_token: accessToken,
    scope: grant.scopes.join(','),
    token_type: 'bearer',
  }),
  notice: null,
};

/** A person's tokens of a GitHub App: what the app may do is the app's setting, and a refresh ends both tokens of before. */
export const githubAppUser: ProviderProfile = {
  ...common,
  ...{ id: 'github-app', name: 'GitHub App (user)', provider: 'github-app' },
  documents: [
    'https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens',
    'https://docs.github.com/en/webhooks/webhook-events-and-payloads#github_app_authorization',
    'https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries',
  ],
  client: { scopes: [] },
  authorization: { ...common.authorization, scopes: null },
  accessTokenTtlS: 28_800,
  refresh: { rotates: true, graceS: 0, oldAccessTokenLivesS: 0 },
  tokenAnswer: ({ accessToken, refreshToken }) => ({
    access_token: accessToken,
    expires_in: 28_800,
    refresh_token: refreshToken,
    refresh_token_expires_in: 15_811_200,
    scope: '',
    token_type: 'bearer',
  }),
  notice: (grant) => ({
    body: { action: 'revoked', sender: { login: `user-${grant.account}`, id: idOf(grant), type: 'User' } },
    headers: async (text, secret) => {
      const { sign } = await import('@octokit/webhooks-methods');
      return {
        'x-github-event': 'github_app_authorization',
        'x-github-delivery': `delivery-${grant.number}`,
        'x-hub-signature-256': await sign(secret, text),
      };
    },
  }),
};
