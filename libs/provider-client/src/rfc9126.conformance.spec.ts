import { pkcePair, Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { acmeAccounts, acmeLoginAndConsent, ScriptedBrowser, startAcme, type Acme } from '@postern/testing';

import { heldClientSecret, ProviderClient } from './index.ts';
import { OauthServer, redirectUri, scopes } from './spec-support/oauth-server.ts';

const { codeVerifier, codeChallenge } = pkcePair();
const request = { redirectUri, state: 'the state', codeChallenge, scopes, nonce: 'the nonce' };

let server: OauthServer;
let acme: Acme;
beforeAll(async () => {
  server = await OauthServer.start();
  acme = await startAcme();
});
afterAll(() => Promise.all([server.close(), acme.close()]));
beforeEach(() => {
  server.reset();
  server.metadata = { pushed_authorization_request_endpoint: `${server.issuer}/par` };
  server.answer = { status: 201, body: { request_uri: 'urn:example:1', expires_in: 60 } };
});

test('§2.1 all parameters of the authorization request are pushed, the client authenticated as at the token endpoint', async () => {
  await server.client().authorizationUrl(request);
  const { method, url, headers, form } = server.only();
  expect({ method, url }).toEqual({ method: 'POST', url: '/par' });
  expect(headers['content-type']).toMatch('application/x-www-form-urlencoded');
  expect(headers.authorization).toMatch(/^Basic /);
  expect(Object.fromEntries(form)).toMatchObject({
    response_type: 'code',
    client_id: 'app',
    redirect_uri: redirectUri,
    state: 'the state',
    nonce: 'the nonce',
    code_challenge: codeChallenge,
    code_challenge_method: 'S256',
    scope: scopes.join(' '),
  });
});

test('§2.1 a request_uri is not pushed', async () => {
  await server.client().authorizationUrl(request);
  expect(server.only().form.map(([name]) => name)).not.toContain('request_uri');
});

test('§4 the browser carries the client and the name of its request, and nothing else', async () => {
  const url = await server.client().authorizationUrl(request);
  expect(url.href).toBe(`${server.issuer}/authorize?client_id=app&request_uri=urn%3Aexample%3A1`);
});

test('§4 each authorization pushes a request of its own', async () => {
  const client = server.client();
  await client.authorizationUrl(request);
  await client.authorizationUrl(request);
  expect(server.seen).toHaveLength(2);
});

test('§5 where it is required and there is no endpoint, nobody is sent anywhere; a file that knows better does not change that', async () => {
  server.metadata = { require_pushed_authorization_requests: true };
  const sent = server.client({ provider: { pushedAuthorizationRequests: 'unsupported' } }).authorizationUrl(request);
  await expect(sent).rejects.toMatchObject({ code: 'provider.answer_invalid' });
  server.metadata = {};
  const byFile = server.client({ provider: { pushedAuthorizationRequests: 'required' } }).authorizationUrl(request);
  await expect(byFile).rejects.toMatchObject({ code: 'provider.answer_invalid' });
});

test('§5 a file may say that an endpoint does not work, unless the server requires it', async () => {
  const client = server.client({ provider: { pushedAuthorizationRequests: 'unsupported' } });
  expect((await client.authorizationUrl(request)).searchParams.get('state')).toBe('the state');
  expect(server.seen).toEqual([]);
  server.metadata = { ...server.metadata, require_pushed_authorization_requests: true };
  const required = server.client({ provider: { pushedAuthorizationRequests: 'unsupported' } });
  expect((await required.authorizationUrl(request)).search).toMatch('request_uri');
});

test('§2.3 a refused push sends nobody with a plain request instead', async () => {
  server.answer = { status: 400, body: { error: 'invalid_request', error_description: 'no' } };
  await expect(server.client().authorizationUrl(request)).rejects.toMatchObject({ code: 'provider.client_rejected' });
  server.answer = { status: 503, body: 'busy' };
  await expect(server.client().authorizationUrl(request)).rejects.toMatchObject({ code: 'provider.unreachable' });
  server.answer = { status: 200, body: { request_uri: 'urn:example:1', expires_in: 60 } };
  await expect(server.client().authorizationUrl(request)).rejects.toMatchObject({ code: 'provider.unreachable' });
});

test('a real authorization server takes the pushed request and answers it with a code for its verifier', async () => {
  const { clientId, clientSecret = '' } = await acme.registerClient({ redirectUris: [redirectUri] });
  const client = new ProviderClient({
    provider: providerOf(loadCatalog(), 'openid-connect'),
    registration: { clientId, tokenEndpointAuthMethod: 'client_secret_basic', parameters: { issuer: acme.issuer } },
    credentials: heldClientSecret(Secret.from(clientSecret)),
    allowLoopback: true,
  });
  const url = await client.authorizationUrl(request);
  expect([...url.searchParams.keys()]).toEqual(['client_id', 'request_uri']);
  const { email: user, password } = acmeAccounts.ada;
  const journey = { user, password, decision: 'allow' as const, returnUrl: redirectUri };
  const { searchParams: parameters } = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
  const callback = await client.readCallback({ parameters, expectedState: 'the state' });
  if (callback.kind !== 'code') throw new Error(callback.error);
  const exchange = { callback, redirectUri, codeVerifier, nonce: 'the nonce', requestedScopes: scopes };
  expect(await client.exchangeCode(exchange)).toMatchObject({ kind: 'exchanged' });
});
