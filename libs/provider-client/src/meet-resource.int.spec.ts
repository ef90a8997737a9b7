import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import { isPosternError } from '@postern/contracts';
import { pkcePair, Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { startAcme, startMcpServer, type Acme, type TestMcpServer } from '@postern/testing';

import { heldClientSecret, meetResource, ProviderClient, providerAddresses } from './index.ts';

const documentUrl = 'https://postern.example/oauth/clients/reg_1';
const document = {
  client_id: documentUrl,
  client_name: 'Agents & Co',
  redirect_uris: ['https://postern.example/oauth/callback/reg_1'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
};

/** As the services make it where providers on this machine are allowed. */
const ourHouse = providerAddresses({ allowed: undefined, allowLoopback: true }, {});

const meet = (url: string, more: Partial<Parameters<typeof meetResource>[0]> = {}) =>
  meetResource({ url, document, hasClient: false, allowLoopback: true, addresses: ourHouse, ...more });

async function refused(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isPosternError(error)) return error.code;
    throw error;
  }
  return 'not refused';
}

describe('a real MCP server', () => {
  let takesDocuments: Acme;
  let registers: Acme;
  let knowsNobody: Acme;
  let server: TestMcpServer;

  beforeAll(async () => {
    takesDocuments = await startAcme({ meetsClients: { fetchDocument: async () => Response.json(document) } });
    registers = await startAcme({ meetsClients: { dynamicRegistration: true } });
    knowsNobody = await startAcme();
    server = await startMcpServer(takesDocuments);
  });
  afterAll(async () => {
    await server?.close();
    await Promise.all([takesDocuments, registers, knowsNobody].map((one) => one?.close()));
  });
  beforeEach(() => server.setAuthorizationServers([takesDocuments.issuer]));

  test('tells what it is; our document is enough where such are taken', async () => {
    expect(await meet(server.url)).toEqual({
      resource: server.url,
      authorizationServers: [takesDocuments.issuer],
      issuer: takesDocuments.issuer,
      scopes: ['contacts:read', 'offline_access'],
      client: { kind: 'metadata_document' },
    });
  });

  test('where no documents are taken, we are registered as a client, which the server then knows', async () => {
    server.setAuthorizationServers([registers.issuer]);
    const { client } = await meet(server.url);
    if (client.kind !== 'registered' || client.clientSecret === null) throw new Error('not registered with a secret');
    expect(client).toMatchObject({ tokenEndpointAuthMethod: 'client_secret_basic', secretExpiresAtMs: null });
    const { clientId, tokenEndpointAuthMethod, clientSecret } = client;
    const parameters = { resource: server.url, issuer: registers.issuer };
    const known = new ProviderClient({
      provider: providerOf(loadCatalog(), 'mcp'),
      registration: { clientId, tokenEndpointAuthMethod, parameters },
      credentials: heldClientSecret(clientSecret),
      allowLoopback: true,
    });
    // Its secret is right: what is refused is the token.
    const outcome = await known.refresh({ refreshToken: Secret.from('none of its'), grantedScopes: [] });
    expect(outcome).toMatchObject({ kind: 'rejected', error: 'invalid_grant' });
  });

  test('our document counts only where it is https; without it and without registration somebody must do it by hand', async () => {
    const plain = { ...document, client_id: 'http://127.0.0.1:1/oauth/clients/reg_1' };
    expect((await meet(server.url, { document: plain })).client).toEqual({ kind: 'by_hand' });
    server.setAuthorizationServers([knowsNobody.issuer]);
    expect((await meet(server.url)).client).toEqual({ kind: 'by_hand' });
  });

  test('of several authorization servers the wanted one is taken, and none that it does not name', async () => {
    server.setAuthorizationServers([takesDocuments.issuer, registers.issuer]);
    expect(await meet(server.url, { issuer: registers.issuer, hasClient: true })).toMatchObject({
      issuer: registers.issuer,
      client: { kind: 'by_hand' },
    });
    expect(await refused(meet(server.url, { issuer: knowsNobody.issuer }))).toBe('registration.issuer_changed');
  });

  test('a registration is bound to its issuer: a server that names another one is not connected to', async () => {
    const client = new ProviderClient({
      provider: providerOf(loadCatalog(), 'mcp'),
      registration: {
        clientId: documentUrl,
        tokenEndpointAuthMethod: 'none',
        parameters: { resource: server.url, issuer: takesDocuments.issuer },
      },
      credentials: null,
      allowLoopback: true,
    });
    await client.assertIssuerNamed();
    const [redirectUri = ''] = document.redirect_uris;
    const { codeChallenge } = pkcePair();
    await client.authorizationUrl({ redirectUri, state: 's', codeChallenge, scopes: ['contacts:read'] });
    expect(takesDocuments.pushedRequests().at(-1)).toMatchObject({ resource: server.url, client_id: documentUrl });
    server.setAuthorizationServers([registers.issuer]);
    expect(await refused(client.assertIssuerNamed())).toBe('registration.issuer_changed');
  });

  test('nobody is asked at an address of our own house', async () => {
    expect(await refused(meet(server.url, { allowLoopback: false }))).toBe('registration.insecure_endpoint');
    expect(await refused(meet('https://10.0.0.1/mcp'))).toBe('registration.insecure_endpoint');
    expect(await refused(meet('https://169.254.169.254/mcp'))).toBe('registration.insecure_endpoint');
  });
});

describe('metadata of a server that nobody knows', () => {
  let server: Server;
  let origin: string;
  let answers: Record<string, { status?: number; headers?: Record<string, string>; body?: unknown }> = {};
  let asked: string[] = [];
  let sent = new URLSearchParams();

  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = request.url ?? '';
      asked.push(path);
      void text(request).then((form) => (sent = new URLSearchParams(form)));
      const { status = 200, headers, body } = answers[path] ?? { status: 404 };
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(body === undefined ? '' : JSON.stringify(body));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    asked = [];
    answers = {};
  });

  const resource = (more: object = {}) => ({
    body: { resource: `${origin}/mcp`, authorization_servers: [`${origin}/as`], scopes_supported: ['a', 'b'], ...more },
  });
  const issuer = (more: object = {}) => ({
    body: {
      issuer: `${origin}/as`,
      authorization_endpoint: `${origin}/as/authorize`,
      token_endpoint: `${origin}/as/token`,
      code_challenge_methods_supported: ['S256'],
      client_id_metadata_document_supported: true,
      ...more,
    },
  });
  const metadataOfIssuer = '/.well-known/oauth-authorization-server/as';
  const challengeOf = (parameters: string) => ({
    status: 401,
    headers: { 'www-authenticate': `Bearer ${parameters}` },
  });

  test('is found where the challenge says, with the scopes that it names', async () => {
    answers = {
      '/mcp': challengeOf(`resource_metadata="${origin}/elsewhere", scope="c d"`),
      '/elsewhere': resource(),
      [metadataOfIssuer]: issuer(),
    };
    expect(await meet(`${origin}/mcp`)).toMatchObject({ scopes: ['c', 'd'], client: { kind: 'metadata_document' } });
  });

  test('is looked for at the path, then at the root; of the issuer by RFC 8414, then by both ways of OpenID', async () => {
    answers = {
      '/.well-known/oauth-protected-resource': resource(),
      '/as/.well-known/openid-configuration': issuer(),
    };
    expect(await meet(`${origin}/mcp`)).toMatchObject({ scopes: ['a', 'b'], issuer: `${origin}/as` });
    expect(asked).toEqual([
      '/mcp',
      '/.well-known/oauth-protected-resource/mcp',
      '/.well-known/oauth-protected-resource',
      metadataOfIssuer,
      '/.well-known/openid-configuration/as',
      '/as/.well-known/openid-configuration',
    ]);
  });

  test('the root may speak for the whole host, and nobody else for more than itself', async () => {
    answers = {
      '/.well-known/oauth-protected-resource': resource({ resource: origin }),
      [metadataOfIssuer]: issuer(),
    };
    expect((await meet(`${origin}/mcp`)).resource).toBe(origin);
    answers['/.well-known/oauth-protected-resource/mcp'] = resource({ resource: origin });
    expect(await refused(meet(`${origin}/mcp`))).toBe('provider.answer_invalid');
    answers['/mcp'] = challengeOf(`resource_metadata="${origin}/elsewhere"`);
    answers['/elsewhere'] = resource({ resource: `${origin}/neighbour` });
    expect(await refused(meet(`${origin}/mcp`))).toBe('provider.answer_invalid');
  });

  test.each([
    ['names another issuer', { issuer: 'https://evil.example' }],
    ['does not say that it knows S256', { code_challenge_methods_supported: ['plain'] }],
    ['says nothing of PKCE', { code_challenge_methods_supported: undefined }],
  ])('an authorization server that %s is not used', async (_case, more) => {
    answers = { '/.well-known/oauth-protected-resource/mcp': resource(), [metadataOfIssuer]: issuer(more) };
    expect(await refused(meet(`${origin}/mcp`))).toBe('provider.answer_invalid');
  });

  test('an issuer is compared letter for letter', async () => {
    const named = resource({ authorization_servers: [origin] });
    answers = { '/.well-known/oauth-protected-resource/mcp': named };
    answers['/.well-known/oauth-authorization-server'] = issuer({ issuer: `${origin}/` });
    expect(await refused(meet(`${origin}/mcp`))).toBe('provider.answer_invalid');
    answers['/.well-known/oauth-authorization-server'] = issuer({ issuer: origin });
    expect((await meet(`${origin}/mcp`)).issuer).toBe(origin);
  });

  test('a resource without authorization server cannot be connected to', async () => {
    answers = { '/.well-known/oauth-protected-resource/mcp': resource({ authorization_servers: [] }) };
    expect(await refused(meet(`${origin}/mcp`))).toBe('provider.answer_invalid');
  });

  test('its resource goes with the code and with every refresh', async () => {
    answers = {
      [metadataOfIssuer]: issuer(),
      '/as/token': { body: { access_token: 'a', token_type: 'bearer' } },
    };
    const parameters = { resource: `${origin}/mcp`, issuer: `${origin}/as` };
    const client = new ProviderClient({
      provider: providerOf(loadCatalog(), 'mcp'),
      registration: { clientId: documentUrl, tokenEndpointAuthMethod: 'none', parameters },
      credentials: null,
      allowLoopback: true,
    });
    const answer = new URLSearchParams({ code: 'c', state: 's' });
    const callback = await client.readCallback({ parameters: answer, expectedState: 's' });
    if (callback.kind !== 'code') throw new Error('no code');
    const redirectUri = 'https://postern.example/oauth/callback/reg_1';
    const codeVerifier = Secret.from('v'.repeat(43));
    const exchange = { callback, redirectUri, codeVerifier, nonce: null, requestedScopes: ['a'] };
    expect(await client.exchangeCode(exchange)).toMatchObject({ kind: 'exchanged' });
    expect([sent.get('grant_type'), sent.getAll('resource')]).toEqual(['authorization_code', [parameters.resource]]);
    const spent = await client.refresh({ refreshToken: Secret.from('r'), grantedScopes: ['a'] });
    expect(spent).toMatchObject({ kind: 'refreshed' });
    expect([sent.get('grant_type'), sent.getAll('resource')]).toEqual(['refresh_token', [parameters.resource]]);
  });

  test('a registration that is refused is said to be so, and one in another way than asked is not taken', async () => {
    const registers = { client_id_metadata_document_supported: false, registration_endpoint: `${origin}/register` };
    answers = {
      '/.well-known/oauth-protected-resource/mcp': resource(),
      [metadataOfIssuer]: issuer(registers),
      '/register': { status: 400, body: { error: 'invalid_redirect_uri' } },
    };
    expect(await refused(meet(`${origin}/mcp`))).toBe('provider.rejected');
    answers['/register'] = {
      status: 201,
      body: { client_id: 'x', redirect_uris: [], token_endpoint_auth_method: 'private_key_jwt' },
    };
    expect(await refused(meet(`${origin}/mcp`))).toBe('provider.answer_invalid');
  });
});
