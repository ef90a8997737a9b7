import { PassThrough } from 'node:stream';

import { RawBodies } from './index.ts';

const limits = { bytesMax: 100, timeoutMs: 60_000, unfinishedBytesMax: 150 };
const codeOf = (reading: Promise<Buffer>) =>
  reading.then(
    () => 'read',
    (error: { code?: string }) => error.code,
  );

test('a body is read as it comes', async () => {
  const bodies = new RawBodies(limits);
  const stream = new PassThrough();
  const reading = bodies.read(stream, undefined);
  stream.write('one ');
  stream.end('two');
  expect((await reading).toString()).toBe('one two');
  expect(bodies.unfinishedBytes).toBe(0);
});

test('one that is announced or turns out too large is refused', async () => {
  const bodies = new RawBodies(limits);
  expect(await codeOf(bodies.read(new PassThrough(), 101))).toBe('request.too_large');
  const stream = new PassThrough();
  const reading = codeOf(bodies.read(stream, undefined));
  stream.write('x'.repeat(101));
  expect(await reading).toBe('request.too_large');
  expect(bodies.unfinishedBytes).toBe(0);
});

test('one that ends before its end is refused', async () => {
  const stream = new PassThrough();
  const reading = codeOf(new RawBodies(limits).read(stream, 50));
  stream.write('x');
  stream.destroy();
  expect(await reading).toBe('request.malformed');
});

test('one that does not come in time is refused', async () => {
  const bodies = new RawBodies({ ...limits, timeoutMs: 1 });
  expect(await codeOf(bodies.read(new PassThrough(), 50))).toBe('request.too_slow');
});

test('when unfinished bodies need too much memory the eldest goes, and who is quick is served', async () => {
  const bodies = new RawBodies(limits);
  const dripping = [new PassThrough(), new PassThrough()];
  const [elder, younger] = dripping.map((stream) => codeOf(bodies.read(stream, undefined)));
  for (const stream of dripping) stream.write('x'.repeat(60));
  const quick = new PassThrough();
  const reading = codeOf(bodies.read(quick, undefined));
  quick.end('x'.repeat(60));
  expect(await elder).toBe('request.too_slow');
  expect(await reading).toBe('read');
  expect(bodies.unfinishedBytes).toBe(60);
  dripping[1]?.end();
  expect(await younger).toBe('read');
});
