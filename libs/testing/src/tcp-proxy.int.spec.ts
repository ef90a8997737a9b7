import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

import { closeServer, listenOnLoopback } from './loopback.ts';
import { startTcpProxy } from './tcp-proxy.ts';
import type { TcpProxy } from './tcp-proxy.ts';
import { waitFor } from './wait-for.ts';

/** Answers every chunk with `ack:` before it, and remembers what it got. */
let received: string;
let server: Server;
let proxy: TcpProxy;
const sockets: Socket[] = [];

beforeEach(async () => {
  received = '';
  server = createServer((socket) => {
    sockets.push(socket.on('error', () => undefined));
    socket.on('data', (chunk) => {
      received += chunk.toString();
      socket.write(`ack:${chunk.toString()}`);
    });
  });
  proxy = await startTcpProxy({ targetPort: await listenOnLoopback(server) });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all([proxy.close(), closeServer(server)]);
});

function dial(): Socket {
  const client = connect(proxy.port, '127.0.0.1').on('error', () => undefined);
  sockets.push(client);
  return client;
}

async function ask(client: Socket, text: string): Promise<string> {
  client.write(text);
  const [chunk] = (await once(client, 'data')) as [Buffer];
  return chunk.toString();
}

test('what is said passes both ways, in order, also when it is delayed', async () => {
  const client = dial();
  expect(await ask(client, 'a')).toBe('ack:a');
  proxy.delayMs = 5;
  expect(await ask(client, 'b')).toBe('ack:b');
  expect([received, proxy.connections()]).toEqual(['ab', 1]);
});

test('a large answer arrives whole', async () => {
  const client = dial();
  let bytes = 0;
  client.on('data', (chunk) => (bytes += chunk.length));
  client.write(Buffer.alloc(4_000_000, 'x'));
  await waitFor(() => bytes >= 4_000_000, { describe: () => `${bytes} bytes came` });
});

test('a cut ends connections and refuses new ones until it is healed', async () => {
  const client = dial();
  await ask(client, 'a');
  proxy.cut();
  await once(client, 'close');
  await once(dial(), 'close');
  await waitFor(() => proxy.connections() === 0, { describe: 'the connections to be gone' });
  proxy.heal();
  expect(await ask(dial(), 'b')).toBe('ack:b');
});

test('a lost acknowledgement: the server has acted, the client never hears and is cut off', async () => {
  const plan = proxy.dropServerToClient((chunk) => chunk.includes('ack:b'));
  const client = dial();
  let heard = '';
  client.on('data', (chunk) => (heard += chunk.toString()));
  await ask(client, 'a');
  client.write('b');
  await once(client, 'close');
  expect([received, heard, plan.lost()]).toEqual(['ab', 'ack:a', 1]);
  expect(await ask(dial(), 'b')).toBe('ack:b');
});

test('a silent loss leaves the connection open, and nothing comes through it any more', async () => {
  proxy.dropServerToClient((chunk) => chunk.includes('ack:a'), { effect: 'silence' });
  const client = dial();
  let heard = '';
  client.on('data', (chunk) => (heard += chunk.toString()));
  client.write('a');
  await waitFor(() => received === 'a', { describe: 'the first message' });
  client.write('b');
  await waitFor(() => received === 'ab', { describe: 'the second message' });
  expect(await ask(dial(), 'c')).toBe('ack:c');
  expect([heard, client.closed]).toEqual(['', false]);
});

test('a server that hangs up ends the client', async () => {
  const client = dial();
  await ask(client, 'a');
  for (const socket of sockets.splice(0)) if (socket !== client) socket.end();
  await once(client, 'close');
});
