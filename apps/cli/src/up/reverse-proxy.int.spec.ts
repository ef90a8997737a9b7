import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { startReverseProxy } from './reverse-proxy.ts';

async function upstream(): Promise<{ port: number; close(): void }> {
  const server = createServer((request, response) => {
    request.setEncoding('utf8');
    let body = '';
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      response.writeHead(201, { 'x-seen': request.method ?? '', 'set-cookie': ['a=1', 'b=2'] });
      response.end(JSON.stringify({ url: request.url, body, host: request.headers.host }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

const readiness = () => ({ ready: true, checks: { gateway: true } });

test('a request passes to its app with method, query, body and host, and the answer comes back whole', async () => {
  const app = await upstream();
  const proxy = await startReverseProxy({ host: '127.0.0.1', port: 0, portOf: () => app.port, readiness });
  const answer = await fetch(`http://127.0.0.1:${proxy.port}/v1/connections?limit=2`, {
    method: 'POST',
    body: '{"a":1}',
  });
  expect([answer.status, answer.headers.get('x-seen'), answer.headers.getSetCookie()]).toEqual([
    201,
    'POST',
    ['a=1', 'b=2'],
  ]);
  expect(await answer.json()).toEqual({
    url: '/v1/connections?limit=2',
    body: '{"a":1}',
    host: `127.0.0.1:${proxy.port}`,
  });
  await proxy.stop();
  app.close();
});

test('a path of nobody is a coded 404, an app that is being restarted a coded 503 with Retry-After', async () => {
  const proxy = await startReverseProxy({
    host: '127.0.0.1',
    port: 0,
    portOf: (app) => (app === 'gateway' ? undefined : 1),
    readiness,
  });
  const nobody = await fetch(`http://127.0.0.1:${proxy.port}/nothing`);
  const restarting = await fetch(`http://127.0.0.1:${proxy.port}/v1/x`);
  const gone = await fetch(`http://127.0.0.1:${proxy.port}/connect/x`);
  expect([nobody.status, await nobody.json()]).toEqual([404, expect.objectContaining({ code: 'request.not_found' })]);
  expect([restarting.status, restarting.headers.get('retry-after')]).toEqual([503, '1']);
  expect([gone.status, await gone.json()]).toEqual([503, expect.objectContaining({ code: 'service.not_ready' })]);
  await proxy.stop();
});

test('a port that is taken is refused with a sentence', async () => {
  const app = await upstream();
  const start = startReverseProxy({ host: '127.0.0.1', port: app.port, portOf: () => undefined, readiness });
  await expect(start).rejects.toMatchObject({
    code: 'servers.start_failed',
    message: expect.stringContaining('--port'),
  });
  app.close();
});
