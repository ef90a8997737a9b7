import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';

import { describeWithServer } from '@postern/servers';
import { TestVault } from '@postern/testing';

import { transitLimits } from './transit-limits.ts';
import { VaultTransport } from './vault-transport.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

await describeWithServer('vault', 'the way to Vault', () => {
  let vault: TestVault;
  let transport: VaultTransport;
  /** A server with Vault's own certificate that answers as the test wants. */
  let server: Server;
  let answer: Answer;
  let asked: string[];
  let url: string;

  beforeAll(async () => {
    vault = await TestVault.open();
    const tls = (name: string) => readFileSync(join(vault.folder, 'vault', 'tls', name), 'utf8');
    transport = new VaultTransport(tls('ca.pem'));
    server = createServer({ key: tls('key.pem'), cert: tls('cert.pem') }, (request, response) => {
      asked.push(`${request.method} ${request.url}`);
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    url = `https://127.0.0.1:${address.port}`;
  }, 120_000);
  afterAll(async () => {
    transport?.close();
    server?.close();
    await vault?.close();
  });
  beforeEach(() => (asked = []));

  const send = async (path: string, json?: object) =>
    await transport.send({
      method: json ? 'POST' : 'GET',
      uri: `${url}${path}`,
      headers: { 'X-Vault-Token': 't' },
      ...(json && { json }),
    });

  test('carries what it is given, and gives any answer', async () => {
    answer = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.statusCode = 403;
        const token = request.headers['x-vault-token'];
        response.end(JSON.stringify({ token, got: JSON.parse(Buffer.concat(chunks).toString()) as unknown }));
      });
    };
    const { statusCode, body, request } = await send('/v1/a', { text: 'schlüssel' });
    expect([statusCode, body]).toEqual([403, { token: 't', got: { text: 'schlüssel' } }]);
    expect(request.path).toBe('/v1/a');
    answer = (_request, response) => response.end('no JSON');
    expect(await send('/v1/b')).toMatchObject({ statusCode: 200, body: undefined });
  });

  test('follows a standby to the active node, by the same method, within TLS, and not for ever', async () => {
    answer = (request, response) => {
      if (request.url === '/v1/active') return response.end('{"done":true}');
      response.writeHead(307, { location: `${url}/v1/active` });
      response.end();
    };
    expect(await send('/v1/standby', {})).toMatchObject({ statusCode: 200, body: { done: true } });
    expect(asked).toEqual(['POST /v1/standby', 'POST /v1/active']);

    answer = (_request, response) => response.writeHead(307, { location: `${url}/v1/round` }).end();
    expect((await send('/v1/round')).statusCode).toBe(307);
    expect(asked).toHaveLength(2 + 1 + transitLimits.redirectsMax);

    answer = (_request, response) =>
      response.writeHead(307, { location: `${url.replace('https', 'http')}/v1/plain` }).end();
    await expect(send('/v1/away')).rejects.toThrow('TLS only');
  });

  test('takes no more than an answer of Vault can have', async () => {
    answer = (_request, response) => {
      response.on('error', () => undefined);
      response.end(Buffer.alloc(transitLimits.answerBytesMax + 1, 0x20));
    };
    await expect(send('/v1/flood')).rejects.toThrow('too much');
  });

  test('trusts the given authority alone', async () => {
    const other = new VaultTransport(undefined);
    answer = (_request, response) => response.end('{}');
    const refused = other.send({ method: 'GET', uri: `${url}/v1/a`, headers: {} });
    await expect(refused).rejects.toHaveProperty('code', expect.stringMatching(/CERT|SIGNATURE/));
    expect(asked).toEqual([]);
    other.close();
  });
});
