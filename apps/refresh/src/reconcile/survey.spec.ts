import { newId } from '@postern/contracts';
import { Clock } from '@postern/service';

import { scheduleLimits } from '../schedule/schedule-limits.ts';
import { connected, stateOf, tenantId, the, tokenEndsMs } from '../spec-support/states.ts';
import { Survey, type Mending, type Suspect } from './survey.ts';

/** A survey of so many connections, none of which has the schedule that it should have. */
function surveyOf(count: number, { state = stateOf(connected), atMs = 0 } = {}) {
  const subjects = Array.from({ length: count }, () => `connection.1.${tenantId}.${newId('connection')}`);
  const parts = [
    { connections: { read: () => subjects.map((subject) => ({ subject })) } },
    { read: () => ({ kind: 'future' }) },
    { load: async () => ({ state, atMs }) },
    { of: () => ({ clock: 'access_token', atMs: tokenEndsMs, credentialVersion: 1 }) },
    { standing: async (refs: unknown[]) => refs.map(() => ({ schedule: null, dueStands: false })) },
    new Clock(),
    { info: () => undefined },
  ];
  return new Survey(...(parts as unknown as ConstructorParameters<typeof Survey>));
}

const mendingBy = (schedule: Suspect): Mending => ({ schedule, inDoubt: async () => undefined });

describe('what does not fit', () => {
  test('is mended some at a time, and never more than a batch is known', async () => {
    const mended = new Set<string>();
    let underWay = 0;
    let most = 0;
    const count = 2 * scheduleLimits.compareBatch + 1;
    await surveyOf(count).run({
      mending: mendingBy(async ({ id }) => {
        underWay += 1;
        most = Math.max(most, underWay);
        await new Promise(setImmediate);
        underWay -= 1;
        mended.add(id);
      }),
    });
    expect([mended.size, underWay, most]).toEqual([count, 0, scheduleLimits.mendConcurrencyMax]);
  });

  test('is left when one cannot be mended, after those under way', async () => {
    let begun = 0;
    let ended = 0;
    const run = surveyOf(scheduleLimits.compareBatch).run({
      mending: mendingBy(async () => {
        const turn = (begun += 1);
        await new Promise(setImmediate);
        ended += 1;
        if (turn === 1) throw new Error('the log is gone');
      }),
    });
    await expect(run).rejects.toThrow('the log is gone');
    expect([begun, ended]).toEqual([scheduleLimits.mendConcurrencyMax, scheduleLimits.mendConcurrencyMax]);
  });
});

describe('what a lost worker bought', () => {
  const inDoubt = stateOf([...connected, the.claimed(), the.released, the.interrupted, the.lostInDoubt]);
  const refused = stateOf([...connected, the.claimed(), the.released, the.interrupted, the.reauthorizationRequired]);
  const { boughtInDoubtMs } = scheduleLimits;

  test.each([
    ['is asked for while its owner is asked to connect anew', inDoubt, 60_000, 1],
    ['may still come in hours later', inDoubt, boughtInDoubtMs - 60_000, 1],
    ['is asked for no more after a day', inDoubt, boughtInDoubtMs + 60_000, 0],
    ['is in no doubt where the provider refused', refused, 60_000, 0],
    ['is in no doubt where nobody was lost', stateOf(connected), 60_000, 0],
  ])('%s', async (_, state, agoMs, times) => {
    let asked = 0;
    const mending = { schedule: async () => undefined, inDoubt: async () => void (asked += 1) };
    await surveyOf(1, { state, atMs: Date.now() - agoMs }).run({ mending });
    expect(asked).toBe(times);
  });
});
