import type { Refreshed, Rejected } from '@postern/provider-client';

import { paceLimits } from './pace-limits.ts';
import { ProviderPace } from './provider-pace.ts';
import { RejectionWave } from './rejection-wave.ts';

const { rejectedInARowMax, rejectedWindowMs, waveHeldMs, breakMsMin } = paceLimits;
const startMs = 5_000;
const row = (wave: RejectionWave, times: number, nowMs = startMs) =>
  Array.from({ length: times }, () => wave.rejected(nowMs));

describe('refresh tokens that are called dead', () => {
  test('one after the other do not count from the tenth on', () => {
    const wave = new RejectionWave();
    expect(row(wave, rejectedInARowMax + 5).filter(Boolean)).toHaveLength(rejectedInARowMax - 1);
    expect(wave.isOn).toBe(true);
  });

  test('count as long as successes come between, or time', () => {
    const wave = new RejectionWave();
    for (let times = 0; times < 20; times += 1) {
      expect(row(wave, rejectedInARowMax - 1)).not.toContain(false);
      wave.succeeded();
    }
    for (let times = 0; times < 50; times += 1) {
      expect(wave.rejected(startMs + times * (rejectedWindowMs / 5))).toBe(true);
    }
  });

  test('count again once a refresh has succeeded', () => {
    const wave = new RejectionWave();
    row(wave, rejectedInARowMax);
    wave.succeeded();
    expect(wave.isOn).toBe(false);
    expect(wave.rejected(startMs)).toBe(true);
  });

  test('count again when the provider says nothing else for long, and go on counting', () => {
    const wave = new RejectionWave();
    row(wave, rejectedInARowMax);
    expect(wave.rejected(startMs + waveHeldMs - 1)).toBe(false);
    expect(row(wave, 3 * rejectedInARowMax, startMs + waveHeldMs)).not.toContain(false);
    expect(wave.isOn).toBe(false);
  });
});

describe('the pace of a provider in a wave', () => {
  const rejected: Rejected = { kind: 'rejected', error: 'invalid_grant', errorDescription: null, httpStatus: 400 };
  const refreshed = { kind: 'refreshed' } as Refreshed;
  /** What counts of an answer, and what it does to the breaker. */
  const hear = (pace: ProviderPace, said: Refreshed | Rejected, nowMs: number) => {
    const answer = pace.weighed(said, nowMs);
    return { answer, turned: pace.heard(answer, { nowMs, random: 0 }) };
  };
  const paced = () => new ProviderPace({ providerId: 'slack', registrationId: 'reg' }, { callsPerSMax: 100, nowMs: 0 });

  test('is a break: the rejection is a failure in its words, and one trial is made after a pause', () => {
    const pace = paced();
    for (let times = 1; times < rejectedInARowMax; times += 1) {
      expect(hear(pace, rejected, startMs)).toEqual({ answer: rejected, turned: undefined });
    }
    expect(hear(pace, rejected, startMs)).toMatchObject({
      answer: { kind: 'failed', error: 'invalid_grant', httpStatus: 400, mayHaveBeenProcessed: false },
      turned: 'break_began',
    });
    expect(pace.turn({ nowMs: startMs, random: 0 })).toMatchObject({ kind: 'put_back', why: 'breaker' });
    const laterMs = startMs + breakMsMin;
    expect(pace.turn({ nowMs: laterMs, random: 0 })).toEqual({ kind: 'call', isTrial: true });
    expect(hear(pace, rejected, laterMs)).toMatchObject({ answer: { kind: 'failed' }, turned: 'break_began' });
    expect(pace.reading(laterMs)).toMatchObject({ lastError: 'invalid_grant', nextTrialInMs: 2 * breakMsMin });
    expect(pace.hasWave).toBe(true);
  });

  test('ends with the first success', () => {
    const pace = paced();
    for (let times = 0; times < rejectedInARowMax; times += 1) hear(pace, rejected, startMs);
    expect(hear(pace, refreshed, startMs + breakMsMin).turned).toBe('break_ended');
    expect(hear(pace, rejected, startMs + breakMsMin).answer).toEqual(rejected);
  });
});
