import { readClock } from './clock-reading.ts';

/** Clocks that stand, until a test moves them. */
function clocksAt(nowMs: number) {
  const clocks = { wallMs: nowMs, steadyMs: 50, nowMs: () => clocks.wallMs, monotonicMs: () => clocks.steadyMs };
  return clocks;
}

test('the middle of the round trip is compared with the server’s time', async () => {
  const clocks = clocksAt(1_000_000);
  const { reading } = await readClock(clocks, async () => {
    clocks.steadyMs += 400;
    return { ts: new Date(1_000_200 + 7_000).toISOString() };
  });
  expect(reading).toEqual({ serverMs: 1_007_200, ownMs: 1_000_200, skewMs: 7_000, uncertaintyMs: 200 });
});

test('a clock that is set while the answer is under way moves no reading', async () => {
  const clocks = clocksAt(1_000_000);
  const { reading } = await readClock(clocks, async () => {
    clocks.wallMs += 3_600_000;
    return { ts: '1970-01-01T00:16:40.000123456Z' };
  });
  expect(reading).toMatchObject({ skewMs: 0, uncertaintyMs: 0 });
});

test.each([{}, { ts: 'noon' }, { ts: 12 }])('an answer without a time (%j) is refused', async (answer) => {
  await expect(readClock(clocksAt(0), async () => answer)).rejects.toMatchObject({ code: 'log.unavailable' });
});
