import { isPosternError } from '@postern/contracts';
import { generateJwtKey, jwtSigner, pkcePair, randomToken } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { acmeAccounts, acmeLoginAndConsent, ScriptedBrowser, startAcme, type Acme } from '@postern/testing';

import { ProviderClient, type RequestSigner } from './index.ts';
import { OauthServer, redirectUri, scopes } from './spec-support/oauth-server.ts';

const request = { redirectUri, state: 's', codeChallenge: 'c'.repeat(43), scopes, nonce: 'n' };
const features = { requireSignedRequestObject: true };
const refusal = async (promise: Promise<unknown>) =>
  await promise.then(
    () => undefined,
    (error: unknown) => (isPosternError(error) ? error.code : error),
  );

/** As the vault signs. */
function signerFor(audience: string, more: object = {}): { sign: RequestSigner; jwks: { keys: object[] } } {
  const { publicJwk, sign } = jwtSigner(generateJwtKey('ES256'));
  const iat = Math.floor(Date.now() / 1000);
  return {
    jwks: { keys: [publicJwk] },
    sign: (parameters) => {
      const times = { iat, nbf: iat, exp: iat + 60, jti: randomToken() };
      const claims = { ...parameters, iss: parameters['client_id'], aud: audience, ...times, ...more };
      return Promise.resolve(sign({ header: { typ: 'oauth-authz-req+jwt', kid: publicJwk.kid }, claims }));
    },
  };
}

describe('at a server that answers as it is told', () => {
  let server: OauthServer;
  beforeAll(async () => (server = await OauthServer.start()));
  afterAll(() => server.close());
  beforeEach(() => {
    server.reset();
    server.metadata = { request_parameter_supported: true };
  });

  test('§5 the browser carries the client and the request object, and nothing beside them', async () => {
    const asked: Readonly<Record<string, string>>[] = [];
    const signRequest: RequestSigner = (parameters) => {
      asked.push(parameters);
      return Promise.resolve('a.b.c');
    };
    const url = await server.client({ features, signRequest }).authorizationUrl(request);
    expect([...url.searchParams]).toEqual([
      ['client_id', 'app'],
      ['request', 'a.b.c'],
    ]);
    expect(asked).toEqual([
      expect.objectContaining({
        ...{ response_type: 'code', client_id: 'app', redirect_uri: redirectUri, state: 's', nonce: 'n' },
        ...{ code_challenge: 'c'.repeat(43), code_challenge_method: 'S256', scope: scopes.join(' ') },
      }),
    ]);
  });

  test('where nobody signs, nobody is sent anywhere with a plain request', async () => {
    expect(await refusal(server.client({ features }).authorizationUrl(request))).toBe('provider.client_rejected');
    expect(server.seen).toEqual([]);
  });

  test.each([
    ['the metadata say nothing', {}, {}, 'provider.feature_unsupported'],
    ['the metadata take them', { request_parameter_supported: true }, {}, undefined],
    [
      'in no algorithm of ours',
      { request_parameter_supported: true, request_object_signing_alg_values_supported: ['RS256'] },
      {},
      'provider.feature_unsupported',
    ],
    ['the file knows better', {}, { signedRequestObjects: 'supported' as const }, undefined],
    [
      'the file says no',
      { request_parameter_supported: true },
      { signedRequestObjects: 'unsupported' as const },
      'provider.feature_unsupported',
    ],
  ])(
    '§10.5 signed requests are asked for where they are taken, and refused before anybody is sent: %s',
    async (...given) => {
      const [, metadata, provider, code] = given;
      server.metadata = metadata;
      expect(await refusal(server.client({ provider, features }).requireFeatures())).toBe(code);
    },
  );

  test('§10.5 a server that takes signed requests alone gets no plain one', async () => {
    server.metadata = { require_signed_request_object: true };
    expect(await refusal(server.client().requireFeatures())).toBe('provider.feature_unsupported');
    expect(await refusal(server.client({ features }).requireFeatures())).toBeUndefined();
  });
});

describe.each([
  ['pushed', 'supported' as const],
  ['carried by the browser', 'unsupported' as const],
])('at a real authorization server, %s', (way, pushedAuthorizationRequests) => {
  let acme: Acme;
  beforeAll(async () => (acme = await startAcme()));
  afterAll(() => acme.close());

  async function arrive({ forged = false } = {}) {
    const { sign, jwks } = signerFor(acme.issuer);
    const { clientId } = await acme.registerClient({
      ...{ redirectUris: [redirectUri], tokenEndpointAuthMethod: 'none', signsRequests: true, jwks },
    });
    const client = new ProviderClient({
      provider: { ...providerOf(loadCatalog(), 'openid-connect'), pushedAuthorizationRequests },
      registration: {
        ...{ clientId, tokenEndpointAuthMethod: 'none', parameters: { issuer: acme.issuer }, ...features },
      },
      credentials: null,
      allowLoopback: true,
      signRequest: forged ? signerFor(acme.issuer).sign : sign,
    });
    await client.requireFeatures();
    const { codeVerifier, codeChallenge } = pkcePair();
    const asked = { redirectUri, state: randomToken(), codeChallenge, scopes: ['openid', 'contacts:read'], nonce: 'n' };
    const url = await client.authorizationUrl(asked);
    const { email: user, password } = acmeAccounts.ada;
    const journey = { user, password, decision: 'allow' as const, returnUrl: redirectUri };
    const { searchParams: parameters } = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
    const callback = await client.readCallback({ parameters, expectedState: asked.state });
    if (callback.kind !== 'code') return callback;
    const spent = { callback, redirectUri, codeVerifier, nonce: 'n', requestedScopes: asked.scopes };
    return await client.exchangeCode(spent);
  }

  test('§4 a request object is taken, with its state, challenge and nonce', async () => {
    expect(await arrive()).toMatchObject({ kind: 'exchanged' });
  });

  test('§6.2 one that another key has signed is not', async () => {
    const outcome = await arrive({ forged: true }).catch((error: unknown) => error);
    // Pushed, it is refused to ourselves; carried by the browser, that hears it.
    expect(outcome).toEqual(
      way === 'pushed'
        ? expect.objectContaining({ code: 'provider.client_rejected' })
        : expect.objectContaining({ kind: 'denied', error: 'invalid_request_object' }),
    );
  });
});
