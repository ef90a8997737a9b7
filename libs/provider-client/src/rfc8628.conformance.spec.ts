import { isPosternError } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { acmeAccounts, acmeEnterUserCode, ScriptedBrowser, startAcme, type Acme } from '@postern/testing';

import { heldClientSecret, nextIntervalS, ProviderClient } from './index.ts';
import { OauthServer, redirectUri, scopes } from './spec-support/oauth-server.ts';

const deviceCode = Secret.from('the device code');
const asked = { deviceCode, requestedScopes: scopes };
const given = {
  ...{ device_code: 'the device code', user_code: 'WDJB-MJHT', expires_in: 600, interval: 7 },
  verification_uri: 'https://acme.example/device',
};
const grantType = 'urn:ietf:params:oauth:grant-type:device_code';

describe('at a server that answers as it is told', () => {
  let server: OauthServer;
  beforeAll(async () => (server = await OauthServer.start()));
  afterAll(() => server.close());
  beforeEach(() => {
    server.reset();
    server.metadata = { device_authorization_endpoint: `${server.issuer}/device_authorization` };
  });
  const says = (body: object, status = 200) => (server.answer = { status, body });
  const refusal = async (promise: Promise<unknown>) =>
    await promise.then(
      () => 'not refused',
      (error: unknown) => (isPosternError(error) ? error.code : error),
    );

  test('§3.1 the client authenticates as at the token endpoint, and says nothing twice', async () => {
    says(given);
    await server.client().authorizeDevice({ scopes });
    const { method, url, headers, form } = server.only();
    expect({ method, url }).toEqual({ method: 'POST', url: '/device_authorization' });
    expect(headers.authorization).toMatch(/^Basic /);
    expect(new Set(form.map(([name]) => name)).size).toBe(form.length);
    expect(Object.fromEntries(form)).toMatchObject({ scope: scopes.join(' ') });
    server.seen.length = 0;
    await server.client({ method: 'none' }).authorizeDevice({ scopes: [] });
    expect(server.only().form).toEqual([['client_id', 'app']]);
  });

  test('§3.1 neither the endpoint nor the place where people go may be reached without TLS', async () => {
    server.metadata = { device_authorization_endpoint: 'http://acme.example/device_authorization' };
    expect(await server.client().authorizeDevice({ scopes })).toMatchObject({ error: 'insecure_url' });
    server.metadata = { device_authorization_endpoint: `${server.issuer}/device_authorization` };
    for (const uri of ['http://acme.example/device', 'javascript:alert(1)']) {
      says({ ...given, verification_uri: uri });
      expect(await server.client().authorizeDevice({ scopes })).toMatchObject({ kind: 'client_rejected' });
    }
  });

  test('§3.2 the interval is 5 seconds where none is given', async () => {
    says(given);
    expect(await server.client().authorizeDevice({ scopes })).toMatchObject({
      kind: 'device_authorized',
      intervalS: 7,
      deviceCode: { userCode: 'WDJB-MJHT', verificationUri: 'https://acme.example/device' },
    });
    const { interval: _interval, ...without } = given;
    says(without);
    expect(await server.client().authorizeDevice({ scopes })).toMatchObject({ intervalS: 5 });
  });

  test('§3.3 the user code is kept, and a URL with the code in it is not', async () => {
    says({ ...given, verification_uri_complete: 'https://acme.example/device?user_code=WDJB-MJHT' });
    const outcome = await server.client().authorizeDevice({ scopes });
    expect(outcome).toMatchObject({ deviceCode: { userCode: 'WDJB-MJHT' } });
    expect(JSON.stringify(outcome)).not.toContain('user_code=');
  });

  test('where a provider gives no user codes, by its file or its metadata, nobody is asked', async () => {
    server.metadata = {};
    expect(await refusal(server.client().authorizeDevice({ scopes }))).toBe('provider.feature_unsupported');
    const provider = { grantTypes: ['authorization_code'] };
    expect(await refusal(server.client({ provider }).authorizeDevice({ scopes }))).toBe('provider.flow_unsupported');
    expect(server.seen).toEqual([]);
  });

  test('§3.4 it asks with the device code, by the grant type of device codes', async () => {
    says({ access_token: 'a', token_type: 'Bearer', refresh_token: 'r' });
    expect(await server.client({ method: 'none' }).askForDevice(asked)).toMatchObject({
      kind: 'exchanged',
      tokenSet: { accessToken: 'a', refreshToken: 'r', grantedScopes: scopes },
    });
    expect(Object.fromEntries(server.only().form)).toEqual({
      ...{ grant_type: grantType, client_id: 'app', device_code: 'the device code' },
    });
  });

  test.each([
    ['authorization_pending', 400, { kind: 'undecided', slowDown: false }],
    ['slow_down', 400, { kind: 'undecided', slowDown: true }],
    // GitHub says so with a 200.
    ['authorization_pending', 200, { kind: 'undecided', slowDown: false }],
    ['access_denied', 400, { kind: 'rejected', error: 'access_denied' }],
    ['expired_token', 400, { kind: 'rejected', error: 'expired_token' }],
    ['invalid_grant', 400, { kind: 'rejected', error: 'invalid_grant' }],
    ['invalid_client', 401, { kind: 'client_rejected' }],
    ['temporarily_unavailable', 503, { kind: 'failed' }],
  ])('§3.5 only what is undecided or may pass is asked again: %s with %i', async (error, status, expected) => {
    says({ error }, status);
    expect(await server.client().askForDevice(asked)).toMatchObject(expected);
  });

  test('§3.5 it waits as long as before while it is pending, 5 seconds more after slow_down, twice as long after silence', () => {
    const failed = { kind: 'failed', error: 'timeout', errorDescription: null, httpStatus: null } as const;
    const silence = { ...failed, retryAfterMs: null, mayHaveBeenProcessed: true };
    expect(nextIntervalS(7, { kind: 'undecided', slowDown: false })).toBe(7);
    expect(nextIntervalS(7, { kind: 'undecided', slowDown: true })).toBe(12);
    expect(nextIntervalS(7, silence)).toBe(14);
    expect(nextIntervalS(50, silence)).toBe(60);
    expect(nextIntervalS(90, silence)).toBe(90);
  });

  test('what it asks with does not come back in the words of a refusal', async () => {
    says({ error: 'invalid_grant', error_description: 'no such code: the device code' }, 400);
    expect(JSON.stringify(await server.client().askForDevice(asked))).not.toContain('the device code');
  });
});

describe('at a real authorization server', () => {
  let acme: Acme;
  let client: ProviderClient;
  beforeAll(async () => {
    acme = await startAcme();
    const { clientId, clientSecret = '' } = await acme.registerClient({
      redirectUris: [redirectUri],
      deviceFlow: true,
    });
    client = new ProviderClient({
      provider: providerOf(loadCatalog(), 'openid-connect'),
      registration: {
        ...{ clientId, tokenEndpointAuthMethod: 'client_secret_basic', parameters: { issuer: acme.issuer } },
      },
      credentials: heldClientSecret(Secret.from(clientSecret)),
      allowLoopback: true,
    });
  });
  afterAll(() => acme.close());

  const all = ['openid', 'offline_access', 'contacts:read'];
  const { email: user, password } = acmeAccounts.ada;
  async function decide(decision: 'allow' | 'deny') {
    const begun = await client.authorizeDevice({ scopes: all });
    if (begun.kind !== 'device_authorized') throw new Error(begun.error);
    const { deviceCode: code, userCode, verificationUri } = begun.deviceCode;
    const question = { deviceCode: Secret.from(code), requestedScopes: all };
    expect(await client.askForDevice(question)).toEqual({ kind: 'undecided', slowDown: false });
    await acmeEnterUserCode(new ScriptedBrowser(), verificationUri, { userCode, user, password, decision });
    return { question, outcome: await client.askForDevice(question) };
  }

  test('tokens are had once the end user has entered the code and agreed, and once', async () => {
    const { question, outcome } = await decide('allow');
    expect(outcome).toMatchObject({ kind: 'exchanged', account: { issuer: acme.issuer } });
    if (outcome.kind !== 'exchanged') throw new Error('no tokens');
    const { accessToken, refreshToken, grantedScopes } = outcome.tokenSet;
    expect(grantedScopes).toEqual(all);
    const called = await fetch(acme.endpoints.contacts, { headers: { authorization: `Bearer ${accessToken}` } });
    expect(called.status).toBe(200);
    const refresh = { refreshToken: Secret.from(refreshToken ?? ''), grantedScopes };
    expect(await client.refresh(refresh)).toMatchObject({ kind: 'refreshed' });
    expect(await client.askForDevice(question)).toMatchObject({ kind: 'rejected', error: 'invalid_grant' });
  });

  test('a denial is an end', async () => {
    expect((await decide('deny')).outcome).toMatchObject({ kind: 'rejected', error: 'access_denied' });
  });
});
