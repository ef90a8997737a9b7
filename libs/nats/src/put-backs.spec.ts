import { jest } from '@jest/globals';

import type { Bus } from './bus.ts';
import { putBackIntervalMs, PutBacks } from './put-backs.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

interface Said {
  readonly reply: string;
  readonly atMs: number;
  readonly delayMs: number;
}

function listening() {
  const said: Said[] = [];
  let isClosed = false;
  const connection = {
    isClosed: () => isClosed,
    isDraining: () => false,
    publish: (reply: string, word: string) => {
      const { delay } = JSON.parse(word.slice('-NAK '.length)) as { delay: number };
      said.push({ reply, atMs: performance.now(), delayMs: delay / 1e6 });
    },
  };
  const putBacks = new PutBacks({ connection } as unknown as Bus);
  return { said, putBacks, close: () => (isClosed = true) };
}

test('what is put back at any time is told, and comes again, at few moments', () => {
  const { said, putBacks } = listening();
  const asked = new Map<string, number>();
  for (let n = 0; n < 1_000; n += 1) {
    const delayMs = 50 + ((n * 7_919) % 60_000);
    asked.set(String(n), performance.now() + delayMs);
    putBacks.add(String(n), delayMs);
    jest.advanceTimersByTime(3);
  }
  jest.advanceTimersByTime(putBackIntervalMs);
  expect(said.map(({ reply }) => reply)).toEqual([...asked.keys()]);
  const moments = (at: (one: Said) => number) => new Set(said.map((one) => Math.round(at(one)))).size;
  expect(moments(({ atMs }) => atMs)).toBeLessThanOrEqual(3_000 / putBackIntervalMs + 1);
  const comesAtMs = ({ atMs, delayMs }: Said) => Math.floor((atMs + delayMs) / putBackIntervalMs);
  expect(moments(comesAtMs)).toBeLessThanOrEqual(63_000 / putBackIntervalMs + 1);
  for (const one of said) {
    const lateMs = one.atMs + one.delayMs - (asked.get(one.reply) ?? 0);
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(putBackIntervalMs + 2);
  }
});

test('whoever leaves tells at once, and nothing twice', () => {
  const { said, putBacks } = listening();
  putBacks.add('a', 100);
  putBacks.tell();
  jest.advanceTimersByTime(10 * putBackIntervalMs);
  expect(said.map(({ reply }) => reply)).toEqual(['a']);
});

test('a connection that is closed is not spoken to: the message comes again when its acknowledgement is overdue', () => {
  const { said, putBacks, close } = listening();
  putBacks.add('a', 100);
  close();
  jest.advanceTimersByTime(putBackIntervalMs);
  expect(said).toEqual([]);
});
