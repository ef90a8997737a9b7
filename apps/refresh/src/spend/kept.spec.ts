import { Kept } from './kept.ts';

function setUp() {
  const timers: { ms: number; run: () => void }[] = [];
  const after = (ms: number, run: () => void) => {
    const timer = { ms, run };
    timers.push(timer);
    return () => void timers.splice(timers.indexOf(timer), 1);
  };
  return { timers, kept: new Kept<number>({ after }, 1_000) };
}

describe('what is kept for a moment', () => {
  test('is made once for all who come within it, and anew after it', async () => {
    const { timers, kept } = setUp();
    let made = 0;
    const make = async () => (made += 1);
    expect(await Promise.all([kept.of('a', make), kept.of('a', make)])).toEqual([1, 1]);
    expect(await kept.of('b', make)).toBe(2);
    expect(timers.map(({ ms }) => ms)).toEqual([1_000, 1_000]);
    timers[0]?.run();
    expect(kept.size).toBe(1);
    expect(await kept.of('a', make)).toBe(3);
  });

  test('is told to nobody later when it could not be made', async () => {
    const { timers, kept } = setUp();
    const fails = async () => await Promise.reject<number>(new Error('not now'));
    await expect(kept.of('a', fails)).rejects.toThrow('not now');
    expect([kept.size, timers.length]).toEqual([0, 0]);
    expect(await kept.of('a', async () => 7)).toBe(7);
  });

  test('is made anew once it is to be forgotten', async () => {
    const { timers, kept } = setUp();
    await kept.of('a', async () => 7);
    kept.forget('a');
    expect([kept.size, timers.length]).toEqual([0, 0]);
    expect(await kept.of('a', async () => 8)).toBe(8);
  });

  test('goes when everything ends', async () => {
    const { timers, kept } = setUp();
    await kept.of('a', async () => 7);
    kept.clear();
    expect([kept.size, timers.length]).toEqual([0, 0]);
  });
});
