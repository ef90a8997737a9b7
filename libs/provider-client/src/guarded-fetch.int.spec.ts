import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import { AddressGuard } from './address-guard.ts';
import { callErrorReason, callErrorStatus, guardedFetch } from './guarded-fetch.ts';

let server: Server;
let port: number;
beforeAll(async () => {
  server = createServer((request, response) => does[request.url ?? '']?.(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as AddressInfo);
});
afterAll(async () => {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
});

describe.each([
  ['as fetch has it', undefined],
  ['over a connection of its own', new AddressGuard(['127.0.0.1'])],
  ['over one that is kept', new AddressGuard(['127.0.0.1'], undefined, { keepsConnections: true })],
])('an answer that is none, %s', (_how, addresses) => {
  const here = (more: object = {}) => guardedFetch({ allowLoopback: true, addresses, timeoutMs: 300, ...more });
  const ask = async (path: string, send = here()) => {
    const form = { method: 'POST', headers: {}, body: new URLSearchParams({ a: 'b c' }) };
    return await send(`http://127.0.0.1:${port}${path}`, form);
  };

  test.each([
    ['ends in the middle', '/broken', 'interrupted', 200],
    ['does not end', '/trickle', 'timeout', null],
    ['does not begin', '/silent', 'timeout', null],
    ['is too long', '/endless', 'too_large', 200],
    ['leads elsewhere', '/elsewhere', 'redirected', 302],
  ])('%s', async (_what, path, reason, status) => {
    const error: unknown = await ask(path).catch((thrown: unknown) => thrown);
    expect([callErrorReason(error), callErrorStatus(error)]).toEqual([reason, status]);
  });

  test('an answer without a body, and one whose body nobody wants, are answers', async () => {
    expect((await ask('/none')).status).toBe(204);
    const discarded = await ask('/endless', here({ discardsBody: true }));
    expect([discarded.status, await discarded.text()]).toEqual([200, '']);
  });

  test('what is sent is a form and says so, and what the answer says beside its body is handed on', async () => {
    const response = await ask('/echo');
    expect(response.headers.get('www-authenticate')).toBe('Basic, DPoP algs="ES256"');
    expect(response.headers.get('x-other')).toBeNull();
    expect(await response.json()).toEqual({ type: 'application/x-www-form-urlencoded;charset=UTF-8', body: 'a=b+c' });
  });

  test('whoever hangs up is not told of a timeout', async () => {
    const hanging = new AbortController();
    const init = { method: 'GET', headers: {}, signal: hanging.signal };
    const asked = here({ timeoutMs: 10_000 })(`http://127.0.0.1:${port}/silent`, init);
    setTimeout(() => hanging.abort(), 50);
    expect(await asked.then(() => 'answered', callErrorReason)).toBe('interrupted');
  });
});

/** What a server does that means harm, or has trouble. */
const does: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>> = {
  '/broken': (_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('{"access_');
    setTimeout(() => response.destroy(), 20);
  },
  '/trickle': (_request, response) => {
    const timer = setInterval(() => response.write(' '), 20);
    response.once('close', () => clearInterval(timer));
  },
  '/silent': () => undefined,
  '/endless': (_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x20)));
    };
    response.on('drain', more);
    more();
  },
  '/elsewhere': (_request, response) => void response.writeHead(302, { location: 'http://127.0.0.1/' }).end('gone'),
  '/none': (_request, response) => void response.writeHead(204).end(),
  '/echo': (request, response) => {
    response.setHeader('www-authenticate', ['Basic', 'DPoP algs="ES256"']).setHeader('x-other', 'no');
    void text(request).then((body) => response.end(JSON.stringify({ type: request.headers['content-type'], body })));
  },
};
