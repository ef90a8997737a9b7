import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import { jest } from '@jest/globals';

import { AddressGuard } from './address-guard.ts';
import { guardedFetch } from './guarded-fetch.ts';
import { ageMsMax } from './kept-connections.ts';

const used: Socket[] = [];
let server: Server;
let url: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    used.push(request.socket);
    request.resume().on('end', () => response.end('answer'));
  });
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(() => void used.splice(0));

const asking = (keepsConnections: boolean) => {
  const addresses = new AddressGuard(['127.0.0.1'], undefined, { keepsConnections });
  const send = guardedFetch({ allowLoopback: true, addresses });
  return async () => expect(await (await send(url, { method: 'POST', headers: {}, body: 'x' })).text()).toBe('answer');
};

test('what comes at once after an answer goes over the same connection, where that is wanted', async () => {
  const ask = asking(true);
  await ask();
  await ask();
  expect(used).toHaveLength(2);
  expect(used[0]).toBe(used[1]);
  const askAlone = asking(false);
  await askAlone();
  await askAlone();
  expect(new Set(used).size).toBe(3);
});

test('a connection that rests is closed by us before any server would', async () => {
  const ask = asking(true);
  await ask();
  const [first] = used;
  await new Promise((resolve) => first?.once('close', resolve));
  await ask();
  expect(used[1]).not.toBe(first);
});

test('one that is old serves nobody any more, however busy', async () => {
  const ask = asking(true);
  await ask();
  const now = performance.now();
  const later = jest.spyOn(performance, 'now').mockImplementation(() => now + ageMsMax);
  try {
    await ask();
    await ask();
    expect([used[1] === used[0], used[2] === used[1]]).toEqual([true, false]);
  } finally {
    later.mockRestore();
  }
});
