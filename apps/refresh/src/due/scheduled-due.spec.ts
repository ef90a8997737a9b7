import type { ConnectionEvent } from '@postern/contracts';
import { connectionEvolver, type Connection } from '@postern/domain';
import type { VersionedCatalog } from '@postern/provider-catalog';

import { Plans } from '../schedule/plans.ts';
import { noRollouts } from '../simulation/providers.ts';
import {
  afterItsEnd,
  claimId,
  connected,
  connectionId,
  stateOf,
  tenantId,
  the,
  tokenEndsMs,
  whileItLives,
} from '../spec-support/states.ts';
import { ScheduledDue } from './scheduled-due.ts';

const daysMs = 86_400_000;
const yearlong = { leadS: 60, idleTtlS: null, absoluteTtlS: 365 * 86_400 };
const endless = { leadS: 60, idleTtlS: null, absoluteTtlS: null };

/** A scheduled message that comes at this time, about a connection with this history. */
async function arrive(
  events: readonly ConnectionEvent[],
  options: { nowMs: number; dueAtMs?: number; policy?: object; remembered?: readonly ConnectionEvent[] },
) {
  const { nowMs, dueAtMs = nowMs, policy = endless, remembered } = options;
  let loads = 0;
  const put: number[] = [];
  const written: ConnectionEvent[] = [];
  let state = stateOf(events);
  const connections = {
    peek: () => remembered && { state: stateOf(remembered) },
    load: async () => {
      loads += 1;
      return { state };
    },
    execute: async (_ref: unknown, decide: (current: Connection) => ConnectionEvent[]) => {
      const decided = decide(state);
      written.push(...decided);
      const meta = { tenantId, aggregateId: connectionId, atMs: nowMs, actor: { type: 'service' as const } };
      for (const event of decided) state = connectionEvolver.evolve(state, event, meta);
      return { state };
    },
  };
  const plans = new Plans(
    noRollouts,
    new Map([['openid-connect', { refresh: policy }]]) as unknown as VersionedCatalog,
  );
  const due = new ScheduledDue(
    connections as never,
    plans,
    { nowMs: () => nowMs } as never,
    {
      debug: () => undefined,
    } as never,
  );
  const message = { nak: (ms?: number) => void put.push(ms ?? 0) };
  const ripeness = await due.ripeness(
    { tenantId, connectionId, reason: 'scheduled', credentialVersion: 1, position: 1, dueAtMs },
    message,
  );
  return { ripeness, put, written: written.map(({ type }) => type), state, loads };
}

describe('a scheduled message', () => {
  test('at its time is a refresh', async () => {
    expect(await arrive(connected, { nowMs: tokenEndsMs - 30_000 })).toMatchObject({ ripeness: 'refresh', put: [] });
  });

  test('of a plan that has changed is none', async () => {
    expect(await arrive(connected, { nowMs: whileItLives })).toMatchObject({ ripeness: 'nothing', put: [] });
    expect(await arrive([...connected, the.revoked], { nowMs: afterItsEnd })).toMatchObject({ ripeness: 'nothing' });
  });

  test('by a clock that is ahead of ours waits, a minute at most, and refreshes nothing early', async () => {
    const early = { nowMs: whileItLives, dueAtMs: tokenEndsMs - 60_000 };
    expect(await arrive(connected, early)).toMatchObject({ ripeness: 'waits', put: [60_000] });
    const alittle = { nowMs: tokenEndsMs - 50_000, dueAtMs: tokenEndsMs - 45_000 };
    expect(await arrive(connected, alittle)).toMatchObject({ ripeness: 'refresh', put: [] });
  });

  test('for a retry waits to the instant: before it nothing may be tried', async () => {
    const failing = [...connected, the.claimed(), the.failed(afterItsEnd + 700)];
    const early = { nowMs: afterItsEnd, dueAtMs: afterItsEnd + 700 };
    expect(await arrive(failing, early)).toMatchObject({ ripeness: 'waits', put: [700] });
    expect(await arrive(failing, { nowMs: afterItsEnd + 700 })).toMatchObject({ ripeness: 'refresh' });
  });

  test('that finds a claim is left to whoever watches claims', async () => {
    const claimed = [...connected, the.claimed({ claimId })];
    expect(await arrive(claimed, { nowMs: whileItLives })).toMatchObject({ ripeness: 'refresh' });
  });
});

describe('what memory holds', () => {
  const nowMs = tokenEndsMs - 30_000;

  test('is enough to call a refresh ripe: its claim stands only where memory was right', async () => {
    const remembered = connected;
    expect(await arrive(connected, { nowMs, remembered })).toMatchObject({ ripeness: 'refresh', loads: 0 });
    const revoked = [...connected, the.revoked];
    expect(await arrive(revoked, { nowMs, remembered })).toMatchObject({ ripeness: 'refresh', loads: 0 });
  });

  test('is not enough to put one off, or to call it none', async () => {
    const revoked = [...connected, the.revoked];
    const asked = await arrive(connected, { nowMs, remembered: revoked });
    expect(asked).toMatchObject({ ripeness: 'refresh', loads: 1 });
    const failed = [...connected, the.claimed(), the.failed(afterItsEnd)];
    const early = { nowMs, dueAtMs: nowMs + 1, remembered: failed };
    expect(await arrive(connected, early)).toMatchObject({ ripeness: 'refresh', put: [], loads: 1 });
  });
});

describe('the age of a credential that was made by hand', () => {
  const made = {
    accessTokenExpiresAtMs: null,
    grant: 'static' as const,
    hasRefreshToken: false,
    rotateAtMs: afterItsEnd,
  };
  const history = [the.started, the.exchanging, the.authorized(made)];

  test('is told once its time has come, and costs no refresh; what memory says is asked of the leader', async () => {
    const told = await arrive(history, { nowMs: afterItsEnd + 1 });
    expect(told).toMatchObject({ ripeness: 'nothing', written: ['RotationDue'] });
    expect(told.state.credential?.rotationDueSinceMs).toBeDefined();
    const known = await arrive(history, { nowMs: afterItsEnd + 1, remembered: history });
    expect(known).toMatchObject({ ripeness: 'nothing', written: ['RotationDue'], loads: 1 });
    expect(await arrive(history, { nowMs: afterItsEnd - daysMs })).toMatchObject({ ripeness: 'nothing', written: [] });
  });
});

describe('the end of an authorization', () => {
  const tokenless = [the.started, the.exchanging, the.authorized({ accessTokenExpiresAtMs: null })];
  const noticeMs = whileItLives + 351 * daysMs;

  test('is told when its time has come, and costs no refresh', async () => {
    const told = await arrive(tokenless, { nowMs: noticeMs, policy: yearlong });
    expect(told).toMatchObject({ ripeness: 'nothing', written: ['AuthorizationExpiring'] });
    const known = await arrive(tokenless, { nowMs: noticeMs, policy: yearlong, remembered: tokenless });
    expect(known).toMatchObject({ ripeness: 'nothing', written: ['AuthorizationExpiring'], loads: 1 });
    expect(told.state.credential?.authorizationEndsAtMs).toBe(whileItLives + 365 * daysMs);
  });

  test('is not told before', async () => {
    const before = await arrive(tokenless, { nowMs: noticeMs - daysMs, policy: yearlong });
    expect(before).toMatchObject({ ripeness: 'nothing', written: [] });
  });

  test('does not hold up a refresh that is due as well', async () => {
    const both = [the.started, the.exchanging, the.authorized({ accessTokenExpiresAtMs: noticeMs + 61_000 })];
    const due = await arrive(both, { nowMs: noticeMs + 60_500, policy: yearlong });
    expect(due).toMatchObject({ ripeness: 'refresh', written: ['AuthorizationExpiring'] });
  });
});
