import type { Renewal } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';

import { OauthServer } from './spec-support/oauth-server.ts';

const assertion = Secret.from('eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhcHAifQ.c2ln');
const renewal = {
  ...{ grant: 'jwt_bearer' as const, scopes: ['contacts:read', 'openid'], subject: 'ada@acme.example' },
  ...{ scopesInAssertion: false, parameters: { audience: 'crm' } },
} satisfies Renewal;
let server: OauthServer;

beforeAll(async () => {
  server = await OauthServer.start();
});
beforeEach(() => server.reset());
afterAll(async () => await server.close());

const sent = () => {
  const { form, headers } = server.only();
  expect(new Set(form.map(([name]) => name)).size).toBe(form.length);
  return { form: Object.fromEntries(form), headers };
};

test('§2.1 the grant is named, and one JWT goes with it and the scopes', async () => {
  const outcome = await server.client().renew(renewal, { assertion });
  expect(outcome).toMatchObject({ kind: 'refreshed', rotated: false, tokenSet: { refreshToken: null, renewal } });
  const { form, headers } = sent();
  expect(form).toEqual({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: assertion.reveal(),
    scope: 'contacts:read openid',
    audience: 'crm',
  });
  expect(headers.authorization).toMatch(/^Basic /);
});

test('a client that has nothing else to show is not named beside the assertion; scopes may stand inside', async () => {
  await server.client({ method: 'none' }).renew({ ...renewal, scopesInAssertion: true }, { assertion });
  const { form, headers } = sent();
  expect(Object.keys(form).toSorted()).toEqual(['assertion', 'audience', 'grant_type']);
  expect(headers.authorization).toBeUndefined();
});

test('nothing is asked without one, nor at a provider that does not take any', async () => {
  await expect(server.client().renew(renewal)).rejects.toThrow('nothing was signed');
  const provider = { grantTypes: ['authorization_code', 'client_credentials'] };
  await expect(server.client({ provider }).renew(renewal, { assertion })).rejects.toMatchObject({
    code: 'provider.flow_unsupported',
  });
  expect(server.seen).toEqual([]);
});

test('§3.1 an assertion that is refused is a verdict, and does not come back in the provider’s words', async () => {
  server.answer = {
    status: 400,
    body: { error: 'invalid_grant', error_description: `no good: ${assertion.reveal()}` },
  };
  const outcome = await server.client().renew(renewal, { assertion });
  expect(outcome).toMatchObject({ kind: 'rejected', error: 'invalid_grant' });
  expect(JSON.stringify(outcome)).not.toContain('eyJhbGci');
});

test('a refresh token that comes all the same is not kept', async () => {
  server.answer.body = { access_token: 'a', token_type: 'Bearer', refresh_token: 'r' };
  expect(await server.client().renew(renewal, { assertion })).toMatchObject({
    tokenSet: { refreshToken: null, renewal },
  });
});

describe('a token of a GitHub App’s installation', () => {
  const installation = { grant: 'installation' as const, scopes: [], installation_id: '77' };
  const expiresAt = '2030-01-01T00:00:00Z';
  const client = () =>
    server.client({
      method: 'none',
      provider: {
        ...providerOf(loadCatalog(), 'github-app-installation'),
        parameters: { issuer: { kind: 'issuer', description: 'where it is' } },
        discoveryIssuer: '{issuer}',
      },
    });

  beforeEach(() => {
    server.answer = {
      status: 201,
      body: { token: 'ghs_1', expires_at: expiresAt, permissions: { contents: 'read', metadata: 'read' } },
    };
  });

  test('is asked for below the endpoint, with the app’s JWT as bearer token, narrowed', async () => {
    const narrowed = { ...installation, repositories: ['crm'], permissions: { contents: 'read' as const } };
    const outcome = await client().renew(narrowed, { assertion });
    expect(outcome).toEqual({
      kind: 'refreshed',
      rotated: false,
      tokenSet: {
        ...{ accessToken: 'ghs_1', tokenType: 'Bearer', refreshToken: null, renewal: narrowed },
        accessTokenExpiresAtMs: Date.parse(expiresAt),
        grantedScopes: ['contents:read', 'metadata:read'],
      },
    });
    const { method, url, headers } = server.only();
    expect({ method, url }).toEqual({ method: 'POST', url: '/token/77/access_tokens' });
    expect(headers).toMatchObject({
      authorization: `Bearer ${assertion.reveal()}`,
      'content-type': 'application/json',
    });
  });

  test.each([
    ['more than was asked for', { contents: 'write' }],
    ['another permission', { contents: 'read', secrets: 'read' }],
    ['a level that nobody knows', { contents: 'owner' }],
  ])('that may do %s is not taken', async (_what, permissions) => {
    server.answer.body = { token: 'ghs_1', expires_at: expiresAt, permissions };
    const outcome = await client().renew({ ...installation, permissions: { contents: 'read' } }, { assertion });
    expect(outcome).toMatchObject({ kind: 'failed', error: 'invalid_answer' });
  });

  test.each([
    {},
    { token: 'ghs 1', expires_at: expiresAt },
    { token: 'ghs_1' },
    { token: 'ghs_1', expires_at: 'soon' },
  ])('that cannot be kept is no answer: %j', async (body) => {
    server.answer.body = body;
    expect(await client().renew(installation, { assertion })).toMatchObject({
      kind: 'failed',
      error: 'invalid_answer',
    });
  });

  test.each([
    [401, 'A JSON web token could not be decoded', 'client_rejected', 'app_unknown'],
    [403, 'This installation has been suspended', 'rejected', 'installation_suspended'],
    [403, 'API rate limit exceeded', 'failed', 'http_403'],
    [404, 'Not Found', 'rejected', 'installation_not_found'],
    [422, 'The permissions requested are not granted', 'rejected', 'permissions_not_granted'],
    [503, 'No server is available', 'failed', 'http_503'],
  ])('is refused with %d (%s): %s', async (status, message, kind, error) => {
    server.answer = { status, body: { message } };
    expect(await client().renew(installation, { assertion })).toMatchObject({
      ...{ kind, error, errorDescription: message, httpStatus: status },
    });
  });
});
