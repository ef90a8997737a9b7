import { createHash } from 'node:crypto';

import { isPosternError } from '@postern/contracts';
import { generateJwtKey, jwtSigner, pkcePair, randomToken, Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { acmeAccounts, acmeLoginAndConsent, ScriptedBrowser, startAcme, type Acme } from '@postern/testing';

import { DpopNonces, ProviderClient, type DpopProofRequest, type DpopProver } from './index.ts';
import { exchange, OauthServer, redirectUri, scopes } from './spec-support/oauth-server.ts';

/** A key as the vault has one for each connection. */
function key(): { prove: DpopProver; asked: DpopProofRequest[] } {
  const { publicJwk, sign } = jwtSigner(generateJwtKey('ES256'));
  const { kid, alg: _alg, use: _use, ...jwk } = publicJwk;
  const asked: DpopProofRequest[] = [];
  const prove: DpopProver = async (request) => {
    asked.push(request);
    const { htm, htu, nonce, accessToken } = request;
    const ath = accessToken && createHash('sha256').update(accessToken.reveal()).digest('base64url');
    const claims = { jti: randomToken(), htm, htu, iat: Math.floor(Date.now() / 1000), nonce, ath };
    return { proof: sign({ header: { typ: 'dpop+jwt', jwk }, claims }), jkt: kid };
  };
  return { prove, asked };
}

const claimsOf = (proof: unknown): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(proof).split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

const refreshToken = Secret.from('the refresh token');
const bound = { access_token: 'a', token_type: 'DPoP', refresh_token: 'r' };

describe('at a server that answers as it is told', () => {
  let server: OauthServer;
  beforeAll(async () => (server = await OauthServer.start()));
  afterAll(() => server.close());
  beforeEach(() => {
    server.reset();
    server.answer = { status: 200, body: bound };
  });

  test('§5 each token request carries a proof for the token endpoint, a fresh one each time', async () => {
    const client = server.client({ prove: key().prove });
    expect(await exchange(client)).toMatchObject({ kind: 'exchanged', tokenSet: { tokenType: 'DPoP' } });
    expect(await client.refresh({ refreshToken, grantedScopes: scopes })).toMatchObject({ kind: 'refreshed' });
    const claims = server.seen.map(({ headers }) => claimsOf(headers['dpop']));
    for (const one of claims) expect(one).toMatchObject({ htm: 'POST', htu: `${server.issuer}/token` });
    expect(new Set(claims.map(({ jti }) => jti)).size).toBe(2);
  });

  test('§5 a token that is not bound is discarded where a bound one was asked for', async () => {
    server.answer = { status: 200, body: { ...bound, token_type: 'Bearer' } };
    const client = server.client({ prove: key().prove });
    expect(await exchange(client)).toMatchObject({ kind: 'failed', error: 'invalid_answer' });
    const refreshed = await client.refresh({ refreshToken, grantedScopes: scopes });
    expect(refreshed).toMatchObject({ kind: 'failed', error: 'invalid_answer', mayHaveBeenProcessed: true });
  });

  test('§8 a request is repeated once with the nonce that the server wants, by a proof of its own', async () => {
    const { prove, asked } = key();
    server.answers = [{ status: 400, body: { error: 'use_dpop_nonce' }, headers: { 'dpop-nonce': 'n-1' } }];
    const client = server.client({ prove });
    expect(await client.refresh({ refreshToken, grantedScopes: scopes })).toMatchObject({ kind: 'refreshed' });
    expect(asked.map(({ nonce }) => nonce)).toEqual([undefined, 'n-1']);
    const [first, second] = server.seen.map(({ headers }) => claimsOf(headers['dpop']));
    expect(second?.['nonce']).toBe('n-1');
    expect(first?.['jti']).not.toBe(second?.['jti']);
    expect(server.seen[0]?.form).toEqual(server.seen[1]?.form);
  });

  test('§8 a server that is never content is asked twice and no more, and nothing counts as spent', async () => {
    const never = (nonce: string) => ({
      status: 400,
      body: { error: 'use_dpop_nonce' },
      headers: { 'dpop-nonce': nonce },
    });
    server.answers = [never('n-1'), never('n-2'), never('n-3')];
    const outcome = await server.client({ prove: key().prove }).refresh({ refreshToken, grantedScopes: scopes });
    expect(outcome).toMatchObject({ kind: 'failed', error: 'use_dpop_nonce', mayHaveBeenProcessed: false });
    expect(server.seen).toHaveLength(2);
  });

  test('§8.2 the newest nonce of a server goes with the next request, whichever connection that is for', async () => {
    const dpopNonces = new DpopNonces();
    server.answers = [
      { status: 200, body: bound, headers: { 'dpop-nonce': 'n-1' } },
      { status: 200, body: bound, headers: { 'dpop-nonce': 'n-2' } },
    ];
    for (const expected of [undefined, 'n-1', 'n-2']) {
      const { prove, asked } = key();
      await server.client({ prove, dpopNonces }).refresh({ refreshToken, grantedScopes: scopes });
      expect(asked.map(({ nonce }) => nonce)).toEqual([expected]);
    }
  });

  test('§7.1 a call of the API with a bound token goes by the scheme DPoP, with a proof that names the token', async () => {
    server.metadata = { userinfo_endpoint: `${server.issuer}/userinfo` };
    server.answer = { status: 200, body: { sub: 'ada' } };
    const accessToken = Secret.from('an access token');
    expect(await server.client({ prove: key().prove }).probe(accessToken)).toMatchObject({ kind: 'alive' });
    const { headers } = server.only();
    expect(headers.authorization).toBe('DPoP an access token');
    const ath = createHash('sha256').update('an access token').digest('base64url');
    expect(claimsOf(headers['dpop'])).toMatchObject({ htm: 'GET', htu: `${server.issuer}/userinfo`, ath });
  });

  test('§9 an API that wants a nonce says so in its challenge', async () => {
    server.metadata = { userinfo_endpoint: `${server.issuer}/userinfo` };
    const headers = { 'dpop-nonce': 'n-1', 'www-authenticate': 'DPoP error="use_dpop_nonce"' };
    server.answers = [{ status: 401, body: {}, headers }];
    server.answer = { status: 200, body: { sub: 'ada' } };
    const outcome = await server.client({ prove: key().prove }).probe(Secret.from('an access token'));
    expect(outcome).toMatchObject({ kind: 'alive' });
    expect(claimsOf(server.seen[1]?.headers['dpop'])).toMatchObject({ nonce: 'n-1' });
  });

  test.each([
    ['the metadata names no algorithm', {}, {}, 'provider.feature_unsupported'],
    ['the metadata names others', { dpop_signing_alg_values_supported: ['PS256'] }, {}, 'provider.feature_unsupported'],
    ['the metadata names ours', { dpop_signing_alg_values_supported: ['PS256', 'ES256'] }, {}, undefined],
    ['the file knows better than metadata that say nothing', {}, { dpop: 'supported' as const }, undefined],
    [
      'the file says that it does not work',
      { dpop_signing_alg_values_supported: ['ES256'] },
      { dpop: 'unsupported' as const },
      'provider.feature_unsupported',
    ],
  ])('§5.1 binding is asked for where it can be had, and refused before anything is sent: %s', async (...given) => {
    const [, metadata, provider, code] = given;
    server.metadata = metadata;
    const asked = server.client({ provider, features: { dpopBoundAccessTokens: true } }).requireFeatures();
    const outcome = await asked.then(
      () => undefined,
      (error: unknown) => (isPosternError(error) ? error.code : error),
    );
    expect(outcome).toBe(code);
    expect(server.seen).toEqual([]);
    await server.client({ provider }).requireFeatures();
  });

  test('where nobody signs, nothing is sent', async () => {
    const prove = () => Promise.reject(new Error('the vault is away'));
    const outcome = server.client({ prove }).refresh({ refreshToken, grantedScopes: scopes });
    await expect(outcome).rejects.toThrow('the vault is away');
    expect(server.seen).toEqual([]);
  });
});

describe('at a real authorization server that wants its nonce in each proof', () => {
  let acme: Acme;
  let clientId: string;
  beforeAll(async () => {
    acme = await startAcme({ dpopNonces: true });
    ({ clientId } = await acme.registerClient({ redirectUris: [redirectUri], tokenEndpointAuthMethod: 'none' }));
  });
  afterAll(() => acme.close());

  const client = (prove: DpopProver) =>
    new ProviderClient({
      provider: providerOf(loadCatalog(), 'openid-connect'),
      registration: { clientId, tokenEndpointAuthMethod: 'none', parameters: { issuer: acme.issuer } },
      credentials: null,
      allowLoopback: true,
      prove,
    });

  /** Goes to Acme as the holder of one key; spends the code as the holder of another, if there is one. */
  async function connect(own: DpopProver, spends: DpopProver = own) {
    const { codeVerifier, codeChallenge } = pkcePair();
    const [state, nonce] = [randomToken(), randomToken()];
    const { jkt: dpopJkt } = await own({ htm: 'POST', htu: 'https://postern.invalid/' });
    const asked = ['openid', 'offline_access', 'contacts:read'];
    const request = { redirectUri, state, codeChallenge, scopes: asked, nonce, dpopJkt };
    const url = await client(own).authorizationUrl(request);
    expect(acme.pushedRequests().at(-1)).toMatchObject({ dpop_jkt: dpopJkt });
    const { email: user, password } = acmeAccounts.ada;
    const journey = { user, password, decision: 'allow' as const, returnUrl: redirectUri };
    const { searchParams: parameters } = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
    const callback = await client(own).readCallback({ parameters, expectedState: state });
    if (callback.kind !== 'code') throw new Error(callback.error);
    return await client(spends).exchangeCode({ callback, redirectUri, codeVerifier, nonce, requestedScopes: asked });
  }

  test('§5 the tokens are bound to the key: it refreshes them, and another does not', async () => {
    const { prove } = key();
    const connected = await connect(prove);
    if (connected.kind !== 'exchanged') throw new Error(connected.error);
    const { tokenSet } = connected;
    expect(tokenSet.tokenType).toBe('DPoP');
    const refresh = { refreshToken: Secret.from(tokenSet.refreshToken ?? ''), grantedScopes: tokenSet.grantedScopes };
    expect(await client(key().prove).refresh(refresh)).toMatchObject({ kind: 'rejected', error: 'invalid_grant' });
    expect(await client(prove).refresh(refresh)).toMatchObject({ kind: 'refreshed', tokenSet: { tokenType: 'DPoP' } });
  });

  test('§10 a code is of no use to who has another key than the one that was pushed', async () => {
    expect(await connect(key().prove, key().prove)).toMatchObject({ kind: 'rejected', error: 'invalid_grant' });
  });
});
