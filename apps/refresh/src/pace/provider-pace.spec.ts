import type { Failed, Refreshed } from '@postern/provider-client';

import { paceLimits } from './pace-limits.ts';
import { ProviderPace, type Answer, type Turn } from './provider-pace.ts';

const { breakMsMin, breakMsMax, failuresInARowMax, callsPerSAfterBreak } = paceLimits;
const refreshed = { kind: 'refreshed' } as Refreshed;
const failed = (more: Partial<Failed> = {}): Failed => ({
  kind: 'failed',
  error: 'http_500',
  errorDescription: null,
  httpStatus: 500,
  retryAfterMs: null,
  mayHaveBeenProcessed: true,
  ...more,
});
const refused = { error: 'x', errorDescription: null, httpStatus: 400 };

/** A provider's pace on a clock that stands until it is moved, without chance unless some is given. */
class World {
  nowMs = 5_000;
  random = 0;
  readonly pace: ProviderPace;

  constructor(callsPerSMax = 1_000) {
    this.pace = new ProviderPace({ providerId: 'slack', registrationId: 'reg' }, { callsPerSMax, nowMs: this.nowMs });
  }

  turn(): Turn {
    return this.pace.turn(this);
  }

  /** One refresh from its turn to its end. */
  call(answer: Answer): Turn['kind'] {
    const turn = this.turn();
    if (turn.kind === 'put_back') return turn.kind;
    this.pace.heard(answer, this);
    this.pace.ended({ isTrial: turn.isTrial, called: true });
    return turn.kind;
  }

  get reading() {
    return this.pace.reading(this.nowMs);
  }

  broken(): this {
    for (let n = 0; n < failuresInARowMax; n += 1) this.call(failed());
    return this;
  }

  pass(ms: number): this {
    this.nowMs += ms;
    return this;
  }
}

describe('the circuit breaker', () => {
  test('stays closed while successes come between', () => {
    const world = new World();
    for (let n = 0; n < 50; n += 1) world.call(n % failuresInARowMax === 0 ? refreshed : failed());
    expect(world.reading).toMatchObject({ breaker: 'closed', nextTrialInMs: null });
  });

  test('opens after failures in a row, and puts back what comes then until the pause is over', () => {
    const world = new World().broken();
    expect(world.reading).toMatchObject({ breaker: 'open', nextTrialInMs: breakMsMin, lastError: 'http_500' });
    const turn = world.turn();
    expect(turn).toMatchObject({ kind: 'put_back', why: 'breaker' });
    expect(turn.kind === 'put_back' && turn.delayMs).toBeGreaterThanOrEqual(breakMsMin);
  });

  test('makes one trial after the pause; its success closes it', () => {
    const world = new World().broken().pass(breakMsMin);
    const trial = world.turn();
    expect(trial).toEqual({ kind: 'call', isTrial: true });
    expect(world.turn()).toMatchObject({ kind: 'put_back', why: 'breaker' });
    world.pace.heard(refreshed, world);
    world.pace.ended({ isTrial: true, called: true });
    expect(world.reading).toMatchObject({ breaker: 'closed', failuresInARow: 0, lastError: null });
  });

  test('doubles its pause with each trial that fails, up to the longest', () => {
    const world = new World().broken();
    const pauses = Array.from({ length: 8 }, () => {
      const pauseMs = world.reading.nextTrialInMs ?? 0;
      world.pass(pauseMs).call(failed());
      return pauseMs;
    });
    expect(pauses.slice(0, 4)).toEqual([1, 2, 4, 8].map((times) => times * breakMsMin));
    expect(pauses.at(-1)).toBe(breakMsMax);
    world.pass(breakMsMax).call(refreshed);
    expect(world.pass(10_000).broken().reading.nextTrialInMs).toBe(breakMsMin);
  });

  test('a trial that was not made is another one’s', () => {
    const world = new World().broken().pass(breakMsMin);
    world.turn();
    world.pace.ended({ isTrial: true, called: false });
    expect(world.turn()).toEqual({ kind: 'call', isTrial: true });
  });

  test('calls that were under way when it opened neither prolong nor double the pause', () => {
    const world = new World().broken().pass(1_000);
    for (let n = 0; n < 30; n += 1) world.pace.heard(failed(), world);
    expect(world.reading.nextTrialInMs).toBe(breakMsMin - 1_000);
  });

  test('opens at once when the provider asks for a pause, for as long as it asks, up to the longest', () => {
    for (const [retryAfterMs, pauseMs] of [
      [7_000, 7_000],
      [10, breakMsMin],
      [24 * 3_600_000, breakMsMax],
    ] as const) {
      const world = new World();
      world.call(failed({ httpStatus: 503, retryAfterMs }));
      expect(world.reading).toMatchObject({ breaker: 'open', nextTrialInMs: pauseMs });
    }
    const world = new World();
    world.call(failed({ httpStatus: 429, error: 'slow_down' }));
    expect(world.reading).toMatchObject({ breaker: 'open', nextTrialInMs: breakMsMin, lastError: 'slow_down' });
  });

  test.each([
    ['a dead grant', { kind: 'rejected', ...refused } as const, 'closed'],
    ['a refusal of one request', failed({ httpStatus: 400 }), 'closed'],
    ['a client that is not accepted', { kind: 'client_rejected', ...refused } as const, 'open'],
    ['a provider out of reach', failed({ httpStatus: null, error: 'unreachable' }), 'open'],
    ['pages in the place of answers', failed({ httpStatus: 200, error: 'invalid_answer' }), 'open'],
  ])('%s, again and again: it is %s', (_what, answer, breaker) => {
    const world = new World();
    for (let n = 0; n < failuresInARowMax; n += 1) world.call(answer);
    expect(world.reading.breaker).toBe(breaker);
  });

  test('its pause is longer by chance, so that processes do not try together', () => {
    const pauses = [0, 0.5, 1].map((random) => {
      const world = new World();
      world.random = random;
      return world.broken().reading.nextTrialInMs;
    });
    expect(pauses).toEqual([breakMsMin, 1.125 * breakMsMin, 1.25 * breakMsMin]);
  });
});

describe('the rate', () => {
  /** How many of these attempts, spread evenly over a time, may call. */
  function allowed(world: World, { attempts, overMs }: { attempts: number; overMs: number }): number {
    let calls = 0;
    for (let n = 0; n < attempts; n += 1) {
      if (world.call(failed({ httpStatus: 400 })) === 'call') calls += 1;
      world.pass(overMs / attempts);
    }
    return calls;
  }

  test('is kept over a while, with a burst of a quarter of a second', () => {
    const calls = allowed(new World(100), { attempts: 10_000, overMs: 10_000 });
    expect(calls).toBeGreaterThan(990);
    expect(calls).toBeLessThanOrEqual(1_000 + 25 + 1);
  });

  test('who comes too early is put back to a time of its own', () => {
    const world = new World(4);
    expect(world.call(refreshed)).toBe('call');
    const turns = Array.from({ length: 20 }, () => world.turn());
    expect(turns.every((turn) => turn.kind === 'put_back' && turn.why === 'rate')).toBe(true);
    const delays = turns.map((turn) => (turn.kind === 'put_back' ? turn.delayMs : 0));
    expect(new Set(delays).size).toBe(20);
  });

  test('a call that was not made does not count', () => {
    const world = new World(4);
    for (let n = 0; n < 20; n += 1) {
      expect(world.turn()).toEqual({ kind: 'call', isTrial: false });
      world.pace.ended({ isTrial: false, called: false });
    }
  });

  test('begins slowly after an outage and rises with each success to what it was', () => {
    const world = new World(200).broken().pass(breakMsMin);
    world.call(refreshed);
    expect(world.reading.callsPerS).toBe(callsPerSAfterBreak);
    let inTheFirstSecond = 0;
    let seconds = 0;
    for (; world.reading.callsPerS < 200 && seconds < 600; seconds += 1) {
      for (let n = 0; n < 1_000; n += 1) {
        if (world.pass(1).call(refreshed) === 'call' && seconds === 0) inTheFirstSecond += 1;
      }
    }
    expect(inTheFirstSecond).toBeLessThan(2 * callsPerSAfterBreak);
    expect(seconds).toBeGreaterThan(3);
    expect(seconds).toBeLessThan(60);
  });

  test('a rate of which the provider complained is approached slowly the next time', () => {
    const world = new World(100);
    world.call(failed({ httpStatus: 429 }));
    world.pass(breakMsMin).call(refreshed);
    for (let n = 0; n < 2_000; n += 1) world.pass(100).call(refreshed);
    expect(world.reading.callsPerS).toBeGreaterThan(paceLimits.calmShare * 100);
    expect(world.reading.callsPerS).toBeLessThan(100);
  });
});
