import { Secret } from '@postern/crypto';
import { loadCatalog } from '@postern/provider-catalog';

import type { TokenEndpointAuthMethod } from './index.ts';
import { codeVerifier, exchange, OauthServer, redirectUri, scopes } from './spec-support/oauth-server.ts';

/** What RFC 6749 asks of a client, section by section; tools/src/conformance says which test proves what. */
let server: OauthServer;

beforeAll(async () => {
  server = await OauthServer.start();
});
afterAll(() => server.close());
beforeEach(() => server.reset());

const methods: readonly TokenEndpointAuthMethod[] = ['client_secret_basic', 'client_secret_post', 'private_key_jwt'];
const refreshToken = Secret.from('the refresh token');
const request = { redirectUri, state: 's', codeChallenge: 'c'.repeat(43), scopes };
const formOf = (form: readonly (readonly [string, string])[]) => Object.fromEntries(form);

/** Every call with a credential that a client makes. */
const calls: readonly (readonly [string, (client: ReturnType<OauthServer['client']>) => Promise<unknown>])[] = [
  ['a code', (client) => exchange(client)],
  ['a refresh', (client) => client.refresh({ refreshToken, grantedScopes: scopes })],
  ['a revocation', (client) => client.revoke({ token: refreshToken, hint: 'refresh_token' })],
  ['a question', (client) => client.introspect({ token: refreshToken, hint: 'refresh_token' })],
];

function withEndpoints(): void {
  const { issuer } = server;
  server.metadata = { revocation_endpoint: `${issuer}/revoke`, introspection_endpoint: `${issuer}/introspect` };
}

describe.each(calls)('%s', (_name, call) => {
  beforeEach(withEndpoints);

  test.each(methods)('§2.3 no more than one authentication method: %s', async (method) => {
    await call(server.client({ method }));
    const { headers, form } = server.only();
    const names = form.map(([name]) => name);
    const shown = [
      headers.authorization !== undefined,
      names.includes('client_secret'),
      names.includes('client_assertion'),
    ];
    expect(shown).toEqual(methods.map((one) => one === method));
  });

  test.each(methods)('§2.3.1 no credential and no token in the request URI: %s', async (method) => {
    await call(server.client({ method }));
    expect(server.only().url).toMatch(/^\/(token|revoke|introspect)$/);
  });

  test('§3.2 by POST, and no parameter more than once', async () => {
    await call(server.client());
    const { method, form } = server.only();
    expect(method).toBe('POST');
    const names = form.map(([name]) => name);
    expect(names.toSorted()).toEqual([...new Set(names)].toSorted());
  });
});

test('§3.1 the query of the authorization endpoint is retained, and no parameter stands twice', async () => {
  server.metadata = { authorization_endpoint: `${server.issuer}/authorize?tenant=7&state=old` };
  const url = await server.client().authorizationUrl(request);
  expect(url.searchParams.get('tenant')).toBe('7');
  const names = [...url.searchParams.keys()];
  expect(names.toSorted()).toEqual([...new Set(names)].toSorted());
});

test('§3.1 no parameter is sent without a value', async () => {
  const url = await server.client().authorizationUrl({ ...request, scopes: [] });
  expect([...url.searchParams].filter(([, value]) => value === '')).toEqual([]);
  await exchange(server.client());
  expect(server.only().form.filter(([, value]) => value === '')).toEqual([]);
});

test.each(['code', 'state', 'iss'])('§3.1 a response with %s twice is refused', async (name) => {
  const parameters = new URLSearchParams({ code: 'c', state: 's', iss: server.issuer });
  parameters.append(name, parameters.get(name) ?? '');
  const read = server.client().readCallback({ parameters, expectedState: 's' });
  await expect(read).rejects.toMatchObject({ code: expect.stringMatching(/request\.malformed|session\./) });
});

test('§3.1 no endpoint of the catalog has a fragment', () => {
  const endpoints = [...loadCatalog().values()].flatMap(({ endpoints: all }) => Object.values(all ?? {}));
  expect(endpoints.length).toBeGreaterThan(400);
  expect(endpoints.filter((one: string | null) => one?.includes('#') === true)).toEqual([]);
});

test('§3.1.2.3 the redirection URI goes with each authorization request', async () => {
  expect((await server.client().authorizationUrl(request)).searchParams.get('redirect_uri')).toBe(redirectUri);
});

test('§3.2.1 a confidential client authenticates; without its credential nothing is sent', async () => {
  const client = server.client({ method: 'client_secret_basic' });
  await client.refresh({ refreshToken, grantedScopes: [] });
  const [user, password] = Buffer.from(server.only().headers.authorization?.slice(6) ?? '', 'base64')
    .toString()
    .split(':');
  expect([user, decodeURIComponent(password?.replaceAll('+', ' ') ?? '')]).toEqual(['app', 'the client secret']);
});

test('§3.2.1 a client that does not authenticate sends its client_id', async () => {
  await exchange(server.client({ method: 'none' }));
  const { headers, form } = server.only();
  expect([headers.authorization, formOf(form)['client_id']]).toEqual([undefined, 'app']);
});

test('§4.1.1 the response type is code, and no other can be asked for', async () => {
  expect((await server.client().authorizationUrl(request)).searchParams.get('response_type')).toBe('code');
  const own = { authorizationParameters: { response_type: 'token', client_id: 'another', scope: 'everything' } };
  const url = await server.client({ provider: own }).authorizationUrl(request);
  expect(Object.fromEntries(url.searchParams)).toMatchObject({
    ...{ response_type: 'code', client_id: 'app', scope: scopes.join(' ') },
  });
});

test('§4.1.2 unrecognized response parameters are ignored', async () => {
  const parameters = new URLSearchParams({ code: 'c', state: 's', session_state: 'x', authuser: '0', scope: 'a' });
  const callback = await server.client().readCallback({ parameters, expectedState: 's' });
  expect(callback.kind).toBe('code');
});

test.each([undefined, '', 'S', 's ', 'other'])(
  '§4.1.2 a state that is %j is not the one that was sent',
  async (state) => {
    const parameters = new URLSearchParams({ code: 'c', ...(state !== undefined && { state }) });
    const read = server.client().readCallback({ parameters, expectedState: 's' });
    await expect(read).rejects.toMatchObject({ code: 'session.state_mismatch' });
  },
);

test('§4.1.3 the code goes with its grant type and the redirection URI of before, to the letter', async () => {
  await exchange(server.client());
  expect(formOf(server.only().form)).toEqual({
    grant_type: 'authorization_code',
    code: 'the code',
    redirect_uri: redirectUri,
    code_verifier: codeVerifier.reveal(),
  });
});

test('§5.1 unrecognized members of a token response are ignored', async () => {
  server.answer.body = { access_token: 'a', token_type: 'Bearer', hub_id: 7, nested: { access_token: 'b' } };
  expect(await exchange(server.client())).toMatchObject({ kind: 'exchanged', tokenSet: { accessToken: 'a' } });
});

test('§6 a refresh asks for no scope that was not granted: it names none', async () => {
  await server.client().refresh({ refreshToken, grantedScopes: scopes });
  expect(formOf(server.only().form)).toEqual({ grant_type: 'refresh_token', refresh_token: 'the refresh token' });
});

describe('client credentials', () => {
  const renewal = { grant: 'client_credentials' as const, scopes: ['contacts:read'], parameters: { audience: 'crm' } };

  test('§4.4 are for a confidential client alone', async () => {
    await expect(server.client({ method: 'none' }).renew(renewal)).rejects.toMatchObject({
      code: 'provider.flow_unsupported',
    });
    const provider = { grantTypes: ['authorization_code'] };
    await expect(server.client({ provider }).renew(renewal)).rejects.toMatchObject({
      code: 'provider.flow_unsupported',
    });
    expect(server.seen).toEqual([]);
  });

  test('§4.4.2 go with their grant type, and the client authenticates', async () => {
    const outcome = await server.client().renew(renewal);
    expect(outcome).toMatchObject({
      kind: 'refreshed',
      rotated: false,
      tokenSet: { grantedScopes: ['contacts:read'] },
    });
    expect(server.only().headers.authorization).toMatch(/^Basic /);
    expect(formOf(server.only().form)).toEqual({
      ...{ grant_type: 'client_credentials', scope: 'contacts:read', audience: 'crm' },
    });
    server.reset();
    await server.client().renew({ ...renewal, scopes: [] });
    expect(formOf(server.only().form)).not.toHaveProperty('scope');
  });

  test('§4.4.3 a refresh token that comes all the same is not kept', async () => {
    server.answer.body = { access_token: 'a', token_type: 'Bearer', refresh_token: 'r' };
    const outcome = await server.client().renew(renewal);
    expect(outcome).toMatchObject({ tokenSet: { refreshToken: null, renewal } });
  });
});

test('§6 a new refresh token takes the place of the old one', async () => {
  server.answer.body = { access_token: 'a', token_type: 'Bearer', refresh_token: 'the next' };
  const outcome = await server.client().refresh({ refreshToken, grantedScopes: scopes });
  expect(outcome).toMatchObject({ kind: 'refreshed', rotated: true, tokenSet: { refreshToken: 'the next' } });
});

test.each(['mac', 'DPoP', 'N_A', 'bearer-like'])('§7.1 a token of the type %s is not used', async (type) => {
  server.answer.body = { access_token: 'a', token_type: type };
  const client = server.client();
  expect(await client.refresh({ refreshToken, grantedScopes: [] })).toMatchObject({
    ...{ kind: 'failed', error: 'invalid_answer' },
  });
});

test('§10.3 §10.4 neither code nor token is sent without TLS', async () => {
  server.metadata = { token_endpoint: 'http://provider.example/token' };
  await expect(server.client().discover()).rejects.toMatchObject({ code: 'registration.insecure_endpoint' });
  const outcome = await server.client({ allowLoopback: false }).refresh({ refreshToken, grantedScopes: [] });
  expect(outcome).toMatchObject({ kind: 'client_rejected', error: 'insecure_url' });
  expect(server.seen).toEqual([]);
});

test('§10.14 what a provider says is cut and cleaned before anybody reads it', async () => {
  const nasty = `<script>\u0000\u202e${'x'.repeat(5_000)}\n`;
  const parameters = new URLSearchParams({ error: nasty, error_description: nasty, state: 's' });
  const callback = await server.client().readCallback({ parameters, expectedState: 's' });
  if (callback.kind !== 'denied') throw new Error(callback.kind);
  for (const text of [callback.error, callback.errorDescription ?? '']) {
    expect(text.length).toBeLessThan(1_000);
    // eslint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\u0000-\u001f\u202a-\u202e]/);
  }
});
