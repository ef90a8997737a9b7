import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { AddressGuard } from './address-guard.ts';
import { callErrorReason, guardedFetch } from './guarded-fetch.ts';

const hosts: (string | undefined)[] = [];
let server: Server;
let port: number;
beforeAll(async () => {
  server = createServer((request, response) => {
    hosts.push(request.headers.host);
    response.end('answer');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as AddressInfo);
});
afterAll(async () => await new Promise((resolve) => server.close(resolve)));
beforeEach(() => void hosts.splice(0));

const reasonOf = async (work: Promise<unknown>) => await work.then(() => 'answered', callErrorReason);
const post = { method: 'POST', headers: {}, body: 'x' };

test.each([
  ...['0.0.0.0', '10.255.0.1', '100.64.0.1', '127.0.0.1', '169.254.169.254', '172.31.255.255', '192.168.1.1'],
  ...['198.19.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', '::ffff:10.0.0.1', '::ffff:8.8.8.8', 'fe80::1'],
  ...['fd00::1', 'ff02::1', '64:ff9b::a00:1', '2002:a00:1::1', '2001::1', '2001:db8::1', 'no address'],
])('%s is not public', (address) => {
  expect(new AddressGuard().allows(address)).toBe(false);
});

test.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1', '2a00:1450::1'])('%s is public', (address) => {
  expect(new AddressGuard().allows(address)).toBe(true);
});

test('what is allowed is reached, and its neighbours are not', () => {
  const guard = new AddressGuard(['10.1.0.0/16', '::1']);
  expect(['10.1.255.255', '10.2.0.0', '::1', '127.0.0.1'].map((address) => guard.allows(address))).toEqual([
    ...[true, false, true, false],
  ]);
});

test.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', 'localhost', '::/129', ''])('%j is no range', (range) => {
  expect(() => new AddressGuard([range])).toThrow(/neither an address nor a range/);
});

test('a name is resolved once, and what was looked at is connected to', async () => {
  let asked = 0;
  const guard = new AddressGuard(['127.0.0.1'], (_name, done) => {
    asked += 1;
    // The second answer would be another one.
    done(null, [{ address: asked === 1 ? '127.0.0.1' : '127.0.0.9', family: 4 }]);
  });
  const answer = await guard.send(new URL(`http://hooks.example:${port}/`), { ...post, timeoutMs: 10_000 });
  expect(Buffer.from((await answer.read(100)) ?? []).toString()).toBe('answer');
  expect([asked, hosts]).toEqual([1, [`hooks.example:${port}`]]);
});

test('a name that leads into our own house is refused, also beside an address that is public', async () => {
  const answers = [
    [{ address: '127.0.0.1', family: 4 }],
    [
      { address: '127.0.0.1', family: 4 },
      { address: '::ffff:127.0.0.1', family: 6 },
    ],
  ];
  for (const addresses of answers) {
    const guard = new AddressGuard([], (_name, done) => done(null, addresses));
    const fetched = guardedFetch({ allowLoopback: true, addresses: guard });
    expect(await reasonOf(fetched(`http://localhost:${port}/`, post))).toBe('address_refused');
  }
  expect(hosts).toEqual([]);
});

test('an address in the URL is looked at too, in whatever way it is written', async () => {
  const fetched = guardedFetch({ allowLoopback: true, addresses: new AddressGuard() });
  for (const host of ['127.0.0.1', '127.1', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]']) {
    expect(await reasonOf(fetched(`https://${host}:${port}/`, post))).toBe('address_refused');
  }
  expect(hosts).toEqual([]);
});

test('a name that nobody knows, and a port that nobody listens on, are told from a refusal', async () => {
  const unknown = new AddressGuard([], (_name, done) => done(Object.assign(new Error(), { code: 'ENOTFOUND' }), []));
  expect(await reasonOf(guardedFetch({ allowLoopback: true, addresses: unknown })('https://x.example/', post))).toBe(
    'unreachable',
  );
  const here = guardedFetch({ allowLoopback: true, addresses: new AddressGuard(['127.0.0.1']) });
  expect(await reasonOf(here('http://127.0.0.1:1/', post))).toBe('unreachable');
  expect(await (await here(`http://127.0.0.1:${port}/`, post)).text()).toBe('answer');
});
