import { limits } from '@postern/contracts';
import { Clock, Metrics } from '@postern/service';

import { claimId, connectionId, tenantId } from '../spec-support/states.ts';
import type { Due } from './due-messages.ts';
import { WorkDue } from './work-due.ts';

const payload = { reason: 'expired', credential_version: 1, position: 1 };
const standing = { kind: 'standing', subject: 's', claim: { claimId }, atMs: 0 };

interface Situation {
  readonly remainingMs?: number;
  readonly inHand?: boolean;
  readonly ripeness?: string;
  readonly seat?: object;
  /** For its seat. */
  readonly waitedMs?: number;
  /** How long the provider takes. */
  readonly takesMs?: number;
  readonly turn?: object;
  /** The claim that stands as far as this process knows. */
  readonly known?: object;
  /** The vault holds what an interrupted claim bought. */
  readonly recovered?: boolean;
  /** How its claims end, one after the other. */
  readonly ends?: readonly string[];
}
const called = '{"called":true}';
const notCalled = '{"called":false}';

/** A worker before whom these claims stand, one after the other. */
function worker(
  taken: readonly object[],
  { remainingMs = 0, inHand = false, ripeness = 'refresh', recovered = false, ends = [], ...pace }: Situation = {},
) {
  const done: string[] = [];
  const asked: Due[] = [];
  const left = [...taken];
  const spent = [...ends];
  const timers = new Map<() => void, number>();
  const after = (ms: number, ring: () => void) => {
    timers.set(ring, ms);
    return () => timers.delete(ring);
  };
  const work = new WorkDue(
    { take: async (due: Due) => (asked.push(due), left.shift() ?? standing) } as never,
    { remainingMs: () => remainingMs } as never,
    { recover: async () => recovered, end: async () => void done.push('taken over') } as never,
    {
      isInHand: () => inHand,
      spend: async ({ held }: { held: object }) => {
        for (const [ring, ms] of timers) if (ms <= (pace.takesMs ?? 0)) ring();
        done.push(held && 'spent');
        return spent.shift() ?? 'settled';
      },
    } as never,
    { ripeness: async () => ripeness } as never,
    { ensure: async () => void done.push('schedule ensured') } as never,
    { load: async () => ({ state: { claim: pace.known ?? null, credential: { version: 3 } }, position: 9 }) } as never,
    {
      seat: () => pace.seat ?? { kind: 'seat', waitedMs: pace.waitedMs ?? 0, leave: () => void done.push('seat left') },
      turn: () => pace.turn ?? { kind: 'permit', end: (how: object) => void done.push(JSON.stringify(how)) },
    } as never,
    Object.assign(new Clock(), { after }),
    new Metrics(),
  );
  const nak = (delayMs?: number) => void done.push(`put back for ${delayMs}`);
  const working = () => void done.push('in work');
  const passOver = (delayMs: number) => void done.push(`passed over for ${delayMs}`);
  const message = { subject: `refresh.due.${tenantId}.${connectionId}`, nak, passOver, working } as never;
  return { done, asked, timers, run: (more = {}) => work.due({ ...payload, ...more }, message) };
}

test('a live claim puts the message back until the claim ends', async () => {
  const { done, run } = worker([standing], { remainingMs: 1_234.5 });
  await run();
  expect(done).toEqual([notCalled, 'put back for 1235', 'seat left']);
});

test('the server hears of whoever waits and works for long, since it waits for the acknowledgement', async () => {
  const leftMs = limits.refreshAckWaitMs - 2_000 - 15_000;
  const worked = async (takesMs: number) => {
    const { done, timers, run } = worker([{ kind: 'claimed', held: {} }], { waitedMs: 15_000, takesMs });
    await run();
    expect(timers.size).toBe(0);
    return done;
  };
  expect(await worked(leftMs - 1)).toEqual(['spent', called, 'seat left']);
  expect(await worked(leftMs)).toEqual(['in work', 'spent', called, 'seat left']);
});

test('a claim that is over is taken over, and the next claim spent', async () => {
  const { done, run } = worker([standing, { kind: 'claimed', held: {} }]);
  await run();
  expect(done).toEqual([notCalled, 'taken over', 'spent', called, 'seat left']);
});

test('what an interrupted claim bought is recorded, and nothing is claimed', async () => {
  const { done, run } = worker([{ kind: 'claimed', held: {} }], { recovered: true });
  await run();
  expect(done).toEqual(['schedule ensured', 'seat left']);
});

test('what comes in from an interrupted claim while its retry is refused is tried at once', async () => {
  const claimed = { kind: 'claimed', held: {} };
  const { done, asked, run } = worker([claimed, claimed], { ends: ['superseded'] });
  await run();
  expect(done).toEqual(['spent', called, 'spent', called, 'seat left']);
  expect(asked[1]).toEqual({ tenantId, connectionId, reason: 'requested', credentialVersion: 3, position: 9 });
});

test('a claim on which this very process still works is not taken over, however old', async () => {
  const { done, run } = worker([standing], { inHand: true });
  await run();
  expect(done).toEqual([notCalled, 'put back for 1000', 'seat left']);
});

test('claims that never end put the message back in the end', async () => {
  const { done, run } = worker([]);
  await run();
  expect(done.slice(-2)).toEqual(['put back for 1000', 'seat left']);
  expect(done.filter((what) => what === 'taken over')).toHaveLength(4);
});

test('before a message is acknowledged for which nothing was done, a schedule is made to stand', async () => {
  const { done, run } = worker([{ kind: 'nothing' }]);
  await run();
  expect(done).toEqual([notCalled, 'schedule ensured', 'seat left']);
});

test.each([
  ['whose time has come is refreshed', 'refresh', ['spent', called]],
  ['that was put back is left alone', 'waits', []],
  ['whose time is another one is scheduled anew', 'nothing', ['schedule ensured']],
])('a scheduled message %s', async (_name, ripeness, expected) => {
  const { done, run } = worker([{ kind: 'claimed', held: {} }], { ripeness });
  await run({ reason: 'scheduled' });
  expect(done).toEqual([...expected, 'seat left']);
});

describe('the pace', () => {
  const putBack = { kind: 'put_back', delayMs: 77 };

  test('without a seat nothing is looked at', async () => {
    const { done, run } = worker([{ kind: 'claimed', held: {} }], { seat: putBack });
    await run();
    expect(done).toEqual(['passed over for 77']);
  });

  test('what the provider does not take now is put back before it is claimed', async () => {
    const { done, run } = worker([{ kind: 'claimed', held: {} }], { turn: putBack });
    await run();
    expect(done).toEqual(['put back for 77', 'seat left']);
  });

  test('a claim that stands is looked after, whatever the provider does', async () => {
    const { done, run } = worker([standing, { kind: 'nothing' }], { turn: putBack, known: { claimId } });
    await run();
    expect(done).toEqual(['taken over', 'schedule ensured', 'seat left']);
  });

  test('what turns out to need nothing gives its turn back', async () => {
    const { done, run } = worker([{ kind: 'nothing' }]);
    await run();
    expect(done).toEqual([notCalled, 'schedule ensured', 'seat left']);
  });

  test('a failure leaves no seat taken and no turn pending', async () => {
    const broken = {
      kind: 'claimed',
      get held(): never {
        throw new Error('broken');
      },
    };
    const { done, run } = worker([broken]);
    await expect(run()).rejects.toThrow('broken');
    expect(done).toEqual([called, 'seat left']);
  });
});

test.each([
  ['another subject', 'refresh.schedule.x.y', payload],
  ['a payload that does not fit', `refresh.due.${tenantId}.${connectionId}`, { reason: 'whim' }],
])('%s is refused, and given up', async (_name, subject, wrong) => {
  const work = new WorkDue(
    ...(Array(10).fill({ histogram: () => undefined }) as ConstructorParameters<typeof WorkDue>),
  );
  await expect(work.due(wrong, { subject } as never)).rejects.toMatchObject({ code: 'request.malformed' });
});
