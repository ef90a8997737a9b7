import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';

import { AddressGuard, heldClientSecret, providerAddresses, ProviderClient, type ResolveName } from './index.ts';
import { OauthServer } from './spec-support/oauth-server.ts';

/** What a hostile authorization server tries with a client that believes its metadata. */
let server: OauthServer;
let house: Server;
let houseUrl: string;
const heard: string[] = [];

beforeAll(async () => {
  server = await OauthServer.start();
  house = createServer((request, response) => {
    heard.push(request.url ?? '');
    response.end('{"access_token":"stolen","token_type":"Bearer"}');
  });
  await new Promise<void>((resolve) => house.listen(0, '127.0.0.2', resolve));
  houseUrl = `http://127.0.0.2:${(house.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await server.close();
  house.closeAllConnections();
  await new Promise((resolve) => house.close(resolve));
});
beforeEach(() => {
  server.reset();
  heard.splice(0);
});

const refreshToken = Secret.from('the refresh token');

function client(addresses: AddressGuard | undefined): ProviderClient {
  return new ProviderClient({
    provider: providerOf(loadCatalog(), 'openid-connect'),
    registration: {
      ...{ clientId: 'app', tokenEndpointAuthMethod: 'client_secret_post', parameters: { issuer: server.issuer } },
    },
    credentials: heldClientSecret(Secret.from('the client secret')),
    allowLoopback: true,
    addresses,
  });
}

const refreshAt = async (addresses: AddressGuard | undefined) =>
  await client(addresses).refresh({ refreshToken, grantedScopes: [] });

describe('metadata that leads into our own house', () => {
  test('§addresses an endpoint at an address that is not public is not asked, and nothing is spent', async () => {
    server.metadata = { token_endpoint: `${houseUrl}/token` };
    const onlyTheIssuer = new AddressGuard(['127.0.0.1']);
    expect(await refreshAt(onlyTheIssuer)).toMatchObject({ kind: 'client_rejected', error: 'address_refused' });
    expect(heard).toEqual([]);
    // The same endpoint where it is allowed: it is the guard that kept us away.
    expect(await refreshAt(new AddressGuard(['127.0.0.0/8']))).toMatchObject({ kind: 'failed' });
    expect(heard).toEqual(['/token']);
  });

  test('§addresses an issuer at an address that is not public is not asked for its metadata', async () => {
    const discovering = client(new AddressGuard([])).discover();
    await expect(discovering).rejects.toMatchObject({ code: 'registration.insecure_endpoint' });
  });

  test('§addresses a name whose second answer is another address is connected to at the first', async () => {
    const { port } = new URL(server.issuer);
    server.metadata = { token_endpoint: `http://localhost:${port}/token` };
    let asked = 0;
    const resolve: ResolveName = (name, done) => {
      if (name === 'localhost') asked += 1;
      done(null, [{ address: asked > 1 ? '127.0.0.2' : '127.0.0.1', family: 4 }]);
    };
    expect(await refreshAt(new AddressGuard(['127.0.0.1'], resolve))).toMatchObject({ kind: 'refreshed' });
    expect([asked, server.only().url, heard]).toEqual([1, '/token', []]);
    expect(await refreshAt(new AddressGuard(['127.0.0.1'], resolve))).toMatchObject({ error: 'address_refused' });
    expect(heard).toEqual([]);
  });

  test('§redirects an answer that leads elsewhere is not followed', async () => {
    server.answer = { status: 307, body: '' };
    expect(await refreshAt(undefined)).toMatchObject({ kind: 'failed', error: 'redirected' });
    expect(server.seen).toHaveLength(1);
  });
});

describe('which addresses count as allowed', () => {
  test('§addresses loopback where it is, what the operator lists, and nothing else that is not public', () => {
    const guard = providerAddresses({ allowed: '10.1.0.0/16, fd00::7', allowLoopback: true }, {});
    const asked = ['127.0.0.1', '::1', '10.1.2.3', 'fd00::7', '8.8.8.8', '10.2.0.1', '169.254.169.254', 'fd00::8'];
    expect(asked.map((one) => guard?.allows(one))).toEqual([true, true, true, true, true, false, false, false]);
    const without = providerAddresses({ allowed: undefined, allowLoopback: false }, {});
    expect([without?.allows('127.0.0.1'), without?.allows('::1'), without?.allows('8.8.8.8')]).toEqual([
      ...[false, false, true],
    ]);
  });

  test('§addresses behind an HTTP proxy nobody looks: it is the proxy that connects', () => {
    const options = { allowed: undefined, allowLoopback: false };
    expect(providerAddresses(options, { NODE_USE_ENV_PROXY: '1', HTTPS_PROXY: 'http://proxy:3128' })).toBeUndefined();
    expect(providerAddresses(options, { HTTPS_PROXY: 'http://proxy:3128' })).toBeDefined();
    expect(providerAddresses(options, { NODE_USE_ENV_PROXY: '1' })).toBeDefined();
  });
});

describe('answers that are meant to hurt', () => {
  test('§size a small answer that unpacks to a huge one is given up', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '));
    const packed = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.end(bomb);
    });
    await new Promise<void>((resolve) => packed.listen(0, '127.0.0.1', resolve));
    try {
      server.metadata = { token_endpoint: `http://127.0.0.1:${(packed.address() as AddressInfo).port}/token` };
      expect(await refreshAt(undefined)).toMatchObject({ kind: 'failed', error: 'too_large' });
    } finally {
      packed.closeAllConnections();
      await new Promise((resolve) => packed.close(resolve));
    }
  });

  test('§form members that would change every object change none', async () => {
    server.answer.body =
      '{"access_token":"a","token_type":"Bearer","__proto__":{"scope":"all"},"constructor":{"prototype":{"scope":"all"}}}';
    expect(await refreshAt(undefined)).toMatchObject({ kind: 'refreshed', tokenSet: { grantedScopes: [] } });
    expect(Reflect.get({}, 'scope')).toBeUndefined();
  });

  test('§form a token that no header could carry is none', async () => {
    for (const token of ['a\r\nX-Injected: 1', '', 'ä', 'a\u0000', '\u007f']) {
      server.answer.body = { access_token: token, token_type: 'Bearer' };
      expect([token, await refreshAt(undefined)]).toMatchObject([token, { kind: 'failed' }]);
    }
  });

  test('§form an answer of a thousand levels, or of a million members, is given up or read, and nobody crashes', async () => {
    for (const body of [`${'['.repeat(100_000)}`, `{"access_token":${'{"a":'.repeat(20_000)}`]) {
      server.answer.body = body;
      expect(await refreshAt(undefined)).toMatchObject({ kind: 'failed', error: 'invalid_answer' });
    }
  });
});
