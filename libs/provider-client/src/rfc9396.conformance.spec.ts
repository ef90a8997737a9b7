import { pkcePair, randomToken, Secret } from '@postern/crypto';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';
import { acmeAccounts, acmeLoginAndConsent, ScriptedBrowser, startAcme, type Acme } from '@postern/testing';

import { heldClientSecret, ProviderClient } from './index.ts';
import { exchange, OauthServer, redirectUri, scopes } from './spec-support/oauth-server.ts';

const payment = { type: 'payment', actions: ['initiate'], amount: { currency: 'EUR', amount: '123.50' } };
const files = { type: 'files', locations: ['https://files.example'] };
const asked = [payment, files];
const request = { redirectUri, state: 's', codeChallenge: 'c'.repeat(43), scopes, authorizationDetails: asked };

describe('at a server that answers as it is told', () => {
  let server: OauthServer;
  beforeAll(async () => (server = await OauthServer.start()));
  afterAll(() => server.close());
  beforeEach(() => server.reset());

  test('§3 the authorization request carries them as JSON, once, and none where none are asked for', async () => {
    const { searchParams } = await server.client().authorizationUrl(request);
    expect(searchParams.getAll('authorization_details').map((text) => JSON.parse(text) as unknown)).toEqual([asked]);
    const { authorizationDetails: _details, ...plain } = request;
    expect((await server.client().authorizationUrl(plain)).searchParams.has('authorization_details')).toBe(false);
  });

  test('§3 a pushed request carries them, and the browser does not', async () => {
    server.metadata = { pushed_authorization_request_endpoint: `${server.issuer}/par` };
    server.answer = { status: 201, body: { request_uri: 'urn:ietf:params:oauth:request_uri:1', expires_in: 60 } };
    const { searchParams } = await server.client().authorizationUrl(request);
    expect([...searchParams.keys()].toSorted()).toEqual(['client_id', 'request_uri']);
    expect(JSON.parse(new Map(server.only().form).get('authorization_details') ?? '')).toEqual(asked);
  });

  test.each<[string, Record<string, unknown>, Partial<Provider>, boolean]>([
    ['its metadata name them all', { authorization_details_types_supported: ['files', 'payment'] }, {}, true],
    ['its file names them all', {}, { authorizationDetailsTypes: ['files', 'payment'] }, true],
    ['one is named by nobody', { authorization_details_types_supported: ['payment'] }, {}, false],
    ['nobody names any', {}, {}, false],
  ])(
    '§10 where %s, a type is taken or refused before anybody is sent there',
    async (_who, metadata, provider, taken) => {
      server.metadata = metadata;
      const checked = server.client({ provider }).requireFeatures({ detailTypes: ['payment', 'files'] });
      if (taken) return await expect(checked).resolves.toBeUndefined();
      await expect(checked).rejects.toMatchObject({ code: 'provider.feature_unsupported' });
      return await expect(server.client({ provider }).requireFeatures()).resolves.toBeUndefined();
    },
  );

  test('§7 what was granted is kept as the answer has it, and what cannot be read costs no token', async () => {
    const answered = async (details: unknown) => {
      const body = { access_token: 'a', token_type: 'Bearer', authorization_details: details };
      server.answer = { status: 200, body };
      return await exchange(server.client());
    };
    const enriched = [{ ...payment, account: 'DE40100100103307118608' }];
    expect(await answered(enriched)).toMatchObject({ tokenSet: { authorizationDetails: enriched } });
    for (const malformed of ['all', [{ actions: ['read'] }]]) {
      const outcome = await answered(malformed);
      expect(outcome).toMatchObject({ kind: 'exchanged', tokenSet: { accessToken: 'a' } });
      expect(outcome).not.toHaveProperty('tokenSet.authorizationDetails', expect.anything());
    }
  });

  test('§7 a refresh whose answer has none keeps those of before, and one that has some replaces them', async () => {
    const held = { refreshToken: Secret.from('r'), grantedScopes: scopes, authorizationDetails: asked };
    expect(await server.client().refresh(held)).toMatchObject({ tokenSet: { authorizationDetails: asked } });
    const body = { access_token: 'a', token_type: 'Bearer', authorization_details: [files] };
    server.answer = { status: 200, body };
    expect(await server.client().refresh(held)).toMatchObject({ tokenSet: { authorizationDetails: [files] } });
  });
});

describe('at a real authorization server', () => {
  let acme: Acme;
  beforeAll(async () => {
    const detailTypes = { payment: () => ({ ...payment, account: 'DE40100100103307118608' }), files: () => undefined };
    acme = await startAcme({ detailTypes });
  });
  afterAll(() => acme.close());

  test('§7.1 what it narrowed and enriched is kept, also after a refresh', async () => {
    const { clientId, clientSecret = '' } = await acme.registerClient({ redirectUris: [redirectUri] });
    const client = new ProviderClient({
      provider: providerOf(loadCatalog(), 'openid-connect'),
      registration: { clientId, tokenEndpointAuthMethod: 'client_secret_basic', parameters: { issuer: acme.issuer } },
      credentials: heldClientSecret(Secret.from(clientSecret)),
      allowLoopback: true,
    });
    await client.requireFeatures({ detailTypes: ['payment', 'files'] });
    const unknown = client.requireFeatures({ detailTypes: ['photos'] });
    await expect(unknown).rejects.toMatchObject({ code: 'provider.feature_unsupported' });
    const { codeVerifier, codeChallenge } = pkcePair();
    const state = randomToken();
    const url = await client.authorizationUrl({ ...request, state, codeChallenge, scopes: ['offline_access'] });
    const { email: user, password } = acmeAccounts.ada;
    const journey = { user, password, decision: 'allow' as const, returnUrl: redirectUri };
    const { searchParams: parameters } = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
    const callback = await client.readCallback({ parameters, expectedState: state });
    if (callback.kind !== 'code') throw new Error(callback.error);
    const spent = { callback, redirectUri, codeVerifier, nonce: null, requestedScopes: ['offline_access'] };
    const connected = await client.exchangeCode(spent);
    if (connected.kind !== 'exchanged') throw new Error(connected.error);
    const granted = [{ ...payment, account: 'DE40100100103307118608' }];
    const { refreshToken, ...kept } = connected.tokenSet;
    expect(kept.authorizationDetails).toEqual(granted);
    const refreshed = await client.refresh({ ...kept, refreshToken: Secret.from(refreshToken ?? '') });
    expect(refreshed).toMatchObject({ kind: 'refreshed', tokenSet: { authorizationDetails: granted } });
  });
});
