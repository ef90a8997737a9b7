import { pkcePair, randomToken, Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import {
  acmeAccounts,
  acmeLoginAndConsent,
  ScriptedBrowser,
  startAcme,
  type Acme,
  type AcmeClient,
} from '@postern/testing';

import { DiscoveryCache, heldClientSecret, ProviderClient } from './index.ts';

const redirectUri = 'http://127.0.0.1:9/oauth/callback/reg';
const scopes = ['openid', 'offline_access', 'contacts:read'];
const provider = providerOf(loadCatalog(), 'openid-connect');

let acme: Acme;
let registered: AcmeClient;

beforeAll(async () => {
  acme = await startAcme();
  registered = await acme.registerClient({ redirectUris: [redirectUri] });
});
afterAll(() => acme.close());
afterEach(() => acme.faults.clear());

function client(options: { clientSecret?: string; timeoutMs?: number } = {}): ProviderClient {
  return new ProviderClient({
    provider,
    registration: {
      clientId: registered.clientId,
      tokenEndpointAuthMethod: 'client_secret_basic',
      parameters: { issuer: acme.issuer },
    },
    credentials: heldClientSecret(Secret.from(options.clientSecret ?? registered.clientSecret ?? '')),
    allowLoopback: true,
    ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
  });
}

/** Goes through Acme's pages; returns what its redirect brought and what only the client knows. */
async function authorize(decision: 'allow' | 'deny' = 'allow') {
  const state = randomToken();
  const nonce = randomToken();
  const { codeVerifier, codeChallenge } = pkcePair();
  const url = await client().authorizationUrl({ redirectUri, state, codeChallenge, scopes, nonce });
  const { email: user, password } = acmeAccounts.ada;
  const journey = { user, password, decision, returnUrl: redirectUri };
  const arrival = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
  return { state, nonce, codeVerifier, parameters: arrival.searchParams };
}

async function exchanged() {
  const { state, nonce, codeVerifier, parameters } = await authorize();
  const callback = await client().readCallback({ parameters, expectedState: state });
  if (callback.kind !== 'code') throw new Error('Acme denied');
  const outcome = await client().exchangeCode({ callback, redirectUri, codeVerifier, nonce, requestedScopes: scopes });
  if (outcome.kind !== 'exchanged') throw new Error(`not exchanged: ${outcome.error}`);
  return outcome;
}

describe('against a real authorization server', () => {
  test('a code becomes a token set, and the ID token names the account', async () => {
    const { tokenSet, account } = await exchanged();
    expect(account).toEqual({ issuer: acme.issuer, subject: expect.any(String) });
    expect(tokenSet).toMatchObject({ tokenType: 'Bearer', refreshToken: expect.any(String) });
    expect(tokenSet.grantedScopes.toSorted()).toEqual(scopes.toSorted());
    expect(tokenSet.accessTokenExpiresAtMs).toBeGreaterThan(Date.now());
  });

  test('a denied consent is told in the words of the provider', async () => {
    const { state, parameters } = await authorize('deny');
    const callback = await client().readCallback({ parameters, expectedState: state });
    expect(callback).toMatchObject({ kind: 'denied', error: 'access_denied' });
  });

  test('another state, another issuer and a missing issuer are refused before the code is spent', async () => {
    const { state, parameters } = await authorize();
    const changed = (name: string, value: string | null) => {
      const copy = new URLSearchParams(parameters);
      if (value === null) copy.delete(name);
      else copy.set(name, value);
      return client().readCallback({ parameters: copy, expectedState: state });
    };
    await expect(changed('state', 'other')).rejects.toMatchObject({ code: 'session.state_mismatch' });
    await expect(changed('state', null)).rejects.toMatchObject({ code: 'session.state_mismatch' });
    await expect(changed('iss', 'https://evil.example')).rejects.toMatchObject({ code: 'session.issuer_mismatch' });
    await expect(changed('iss', null)).rejects.toMatchObject({ code: 'session.issuer_mismatch' });
    await expect(changed('code', null)).rejects.toMatchObject({ code: 'request.malformed' });
    const twice = new URLSearchParams([...parameters, ['state', state]]);
    await expect(client().readCallback({ parameters: twice, expectedState: state })).rejects.toMatchObject({
      code: 'request.malformed',
    });
  });

  test('a code with another verifier is rejected, and so is a code used twice', async () => {
    const { state, nonce, codeVerifier, parameters } = await authorize();
    const callback = await client().readCallback({ parameters, expectedState: state });
    if (callback.kind !== 'code') throw new Error('Acme denied');
    const exchange = { callback, redirectUri, nonce, requestedScopes: scopes };
    const wrong = await client().exchangeCode({ ...exchange, codeVerifier: pkcePair().codeVerifier });
    expect(wrong).toMatchObject({ kind: 'rejected', error: 'invalid_grant', httpStatus: 400 });
    expect(await client().exchangeCode({ ...exchange, codeVerifier })).toMatchObject({ kind: 'exchanged' });
    const again = await client().exchangeCode({ ...exchange, codeVerifier });
    expect(again).toMatchObject({ kind: 'rejected', error: 'invalid_grant' });
  });

  test('an ID token made for another nonce is refused', async () => {
    const { state, codeVerifier, parameters } = await authorize();
    const callback = await client().readCallback({ parameters, expectedState: state });
    if (callback.kind !== 'code') throw new Error('Acme denied');
    const exchange = { callback, redirectUri, codeVerifier, requestedScopes: scopes };
    const outcome = await client().exchangeCode({ ...exchange, nonce: randomToken() });
    expect(outcome).toMatchObject({ kind: 'failed', error: 'invalid_answer' });
  });

  test('a refresh rotates; the spent refresh token is rejected', async () => {
    const { tokenSet } = await exchanged();
    const refreshToken = Secret.from(tokenSet.refreshToken ?? '');
    const first = await client().refresh({ refreshToken, grantedScopes: tokenSet.grantedScopes });
    expect(first).toMatchObject({ kind: 'refreshed', rotated: true });
    const again = await client().refresh({ refreshToken, grantedScopes: tokenSet.grantedScopes });
    expect(again).toMatchObject({ kind: 'rejected', error: 'invalid_grant', httpStatus: 400 });
  });

  test('a wrong client secret is our fault, not the end of the grant', async () => {
    const { tokenSet } = await exchanged();
    const refreshToken = Secret.from(tokenSet.refreshToken ?? '');
    const refresh = { refreshToken, grantedScopes: tokenSet.grantedScopes };
    const wrong = await client({ clientSecret: 'not-the-secret' }).refresh(refresh);
    expect(wrong).toMatchObject({ kind: 'client_rejected', error: 'invalid_client', httpStatus: 401 });
    expect(await client().refresh(refresh)).toMatchObject({ kind: 'refreshed' });
  });

  test('a cut connection is a failure that may have been processed', async () => {
    const { tokenSet } = await exchanged();
    acme.faults.set({ tokenEndpoint: { dropAfterProcessing: true, times: 1 } });
    const refreshToken = Secret.from(tokenSet.refreshToken ?? '');
    const outcome = await client().refresh({ refreshToken, grantedScopes: tokenSet.grantedScopes });
    expect(outcome).toMatchObject({ kind: 'failed', error: 'interrupted', mayHaveBeenProcessed: true });
  });

  test('a provider that is busy is a failure with nothing spent', async () => {
    acme.faults.set({ tokenEndpoint: { status: 503, times: 1 } });
    const outcome = await client().refresh({ refreshToken: Secret.from('any-token'), grantedScopes: [] });
    expect(outcome).toEqual({
      kind: 'failed',
      error: 'temporarily_unavailable',
      errorDescription: null,
      httpStatus: 503,
      retryAfterMs: null,
      mayHaveBeenProcessed: false,
    });
  });

  test('a revoked refresh token ends the grant; the provider says so when asked', async () => {
    const { tokenSet } = await exchanged();
    const token = Secret.from(tokenSet.refreshToken ?? '');
    expect(await client().introspect({ token, hint: 'refresh_token' })).toMatchObject({ kind: 'active' });
    expect(await client().revoke({ token, hint: 'refresh_token' })).toEqual({ kind: 'revoked' });
    expect(await client().introspect({ token, hint: 'refresh_token' })).toEqual({ kind: 'inactive' });
    expect(await client().revoke({ token, hint: 'refresh_token' })).toEqual({ kind: 'revoked' });
    const refreshed = await client().refresh({ refreshToken: token, grantedScopes: [] });
    expect(refreshed).toMatchObject({ kind: 'rejected', error: 'invalid_grant' });
  });

  test('metadata is fetched once for a process, also by clients that come at the same time', async () => {
    let fetches = 0;
    const cache = new DiscoveryCache({ entriesMax: 1 });
    const metadata = async () => {
      fetches += 1;
      return { issuer: 'https://a.example' };
    };
    await Promise.all([cache.get('a', metadata), cache.get('a', metadata)]);
    expect(fetches).toBe(1);
    await cache.get('b', metadata);
    expect(cache.size).toBe(1);
    const failing = cache.get('c', () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(cache.size).toBe(0);
  });
});
