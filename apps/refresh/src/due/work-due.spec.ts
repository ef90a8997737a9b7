import { Clock, Metrics } from '@postern/service';

import { claimId, connectionId, tenantId } from '../spec-support/states.ts';
import { WorkDue } from './work-due.ts';

const payload = { reason: 'expired', credential_version: 1, position: 1 };
const standing = { kind: 'standing', subject: 's', claim: { claimId }, atMs: 0 };

/** A worker before whom these claims stand, one after the other. */
function worker(taken: readonly object[], { remainingMs = 0, inHand = false, ripeness = 'refresh' } = {}) {
  const done: string[] = [];
  const left = [...taken];
  const work = new WorkDue(
    { take: async () => left.shift() ?? standing } as never,
    { remainingMs: () => remainingMs } as never,
    { end: async () => void done.push('taken over') } as never,
    { isInHand: () => inHand, spend: async () => void done.push('spent') } as never,
    { ripeness: async () => ripeness } as never,
    { ensure: async () => void done.push('schedule ensured') } as never,
    new Clock(),
    new Metrics(),
  );
  const nak = (delayMs?: number) => void done.push(`put back for ${delayMs}`);
  const message = { subject: `refresh.due.${tenantId}.${connectionId}`, nak } as never;
  return { done, run: (more = {}) => work.due({ ...payload, ...more }, message) };
}

test('a live claim puts the message back until the claim ends', async () => {
  const { done, run } = worker([standing], { remainingMs: 1_234.5 });
  await run();
  expect(done).toEqual(['put back for 1235']);
});

test('a claim that is over is taken over, and the next claim spent', async () => {
  const { done, run } = worker([standing, { kind: 'claimed', held: {} }]);
  await run();
  expect(done).toEqual(['taken over', 'spent']);
});

test('a claim on which this very process still works is not taken over, however old', async () => {
  const { done, run } = worker([standing], { inHand: true });
  await run();
  expect(done).toEqual(['put back for 1000']);
});

test('claims that never end put the message back in the end', async () => {
  const { done, run } = worker([]);
  await run();
  expect(done.at(-1)).toBe('put back for 1000');
  expect(done.filter((what) => what === 'taken over')).toHaveLength(4);
});

test('before a message is acknowledged for which nothing was done, a schedule is made to stand', async () => {
  const { done, run } = worker([{ kind: 'nothing' }]);
  await run();
  expect(done).toEqual(['schedule ensured']);
});

test.each([
  ['whose time has come is refreshed', 'refresh', ['spent']],
  ['that was put back is left alone', 'waits', []],
  ['whose time is another one is scheduled anew', 'nothing', ['schedule ensured']],
])('a scheduled message %s', async (_name, ripeness, expected) => {
  const { done, run } = worker([{ kind: 'claimed', held: {} }], { ripeness });
  await run({ reason: 'scheduled' });
  expect(done).toEqual(expected);
});

test.each([
  ['another subject', 'refresh.schedule.x.y', payload],
  ['a payload that does not fit', `refresh.due.${tenantId}.${connectionId}`, { reason: 'whim' }],
])('%s is refused, and given up', async (_name, subject, wrong) => {
  const work = new WorkDue(...(Array(8).fill({ histogram: () => undefined }) as ConstructorParameters<typeof WorkDue>));
  await expect(work.due(wrong, { subject } as never)).rejects.toMatchObject({ code: 'request.malformed' });
});
