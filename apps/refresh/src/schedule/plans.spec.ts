import { PosternError } from '@postern/contracts';
import { rolloutEvolver, type Rollout } from '@postern/domain';
import type { VersionedCatalog } from '@postern/provider-catalog';

import { connectionId, stateOf, the, tokenEndsMs } from '../spec-support/states.ts';
import { unknownPolicy, planRefresh } from './plan-refresh.ts';
import { Plans } from './plans.ts';

const dayS = 86_400;
const newest = { version: 3, refresh: { leadS: 120, idleTtlS: 30 * dayS, absoluteTtlS: null } };
/** Another lead, another rest, and an end that the newest has not. */
const older = { version: 2, refresh: { leadS: 60, idleTtlS: dayS, absoluteTtlS: 365 * dayS } };

const files = {
  has: (id: string) => id === 'openid-connect',
  get: () => newest,
  version: (_id: string, version: number) => [older, newest].find((one) => one.version === version),
};
const catalog = files as unknown as VersionedCatalog;

const made = (providerVersion?: number) =>
  stateOf([the.started, the.exchanging, the.authorized(providerVersion === undefined ? {} : { providerVersion })]);
const rollout = (some: Partial<Rollout>): Rollout => ({ ...rolloutEvolver.initialState, exists: true, ...some });
const canary = (version: number, ids: string[]) => ({
  ...{ providerId: 'openid-connect', version, sharePercent: 0 },
  ...{ connectionIds: ids, registrationIds: [] },
});

/** By which lead, rest and end a connection is planned. */
function planned(providerVersion: number | undefined, decided?: () => Rollout | undefined) {
  const plans = new Plans({ of: decided ?? (() => undefined) }, catalog);
  const state = made(providerVersion);
  const leadMs = tokenEndsMs - (plans.of(state)?.atMs ?? 0);
  const boughtMs = state.credential?.authorizedAtMs ?? 0;
  const days = (atMs: number | null) => (atMs === null ? null : (atMs - boughtMs) / dayS / 1_000);
  const leadS = [60, 120].find((one) => leadMs <= one * 1_000 && leadMs >= one * 700);
  return { leadS, restDays: days(plans.restEndOf(state)), endDays: days(plans.authorizationEndOf(state)) };
}
const byNewest = { leadS: 120, restDays: 30, endDays: null };
const byOlder = { leadS: 60, restDays: 1, endDays: 365 };

describe('the clocks of a connection', () => {
  test('are those of the version that it was made with, not of the newest', () => {
    expect(planned(2)).toEqual(byOlder);
    expect(planned(3)).toEqual(byNewest);
  });

  test('are those of the newest where it has no pin, or where its version is gone', () => {
    expect(planned(undefined)).toEqual(byNewest);
    expect(planned(1)).toEqual(byNewest);
  });

  test('follow a canary, a promotion and a rollback as its calls do', () => {
    expect(planned(2, () => rollout({ canary: canary(3, [connectionId]) }))).toEqual(byNewest);
    expect(planned(2, () => rollout({ canary: canary(3, []) }))).toEqual(byOlder);
    expect(planned(2, () => rollout({ current: { version: 3, carriesConnections: true } }))).toEqual(byNewest);
    expect(planned(2, () => rollout({ current: { version: 3, carriesConnections: false } }))).toEqual(byOlder);
    const back = { current: { version: 2, carriesConnections: false }, withdrawn: [3] };
    expect(planned(3, () => rollout(back))).toEqual(byOlder);
  });

  test('go on by its pin where the rollout cannot be read, and nothing else is forgiven', () => {
    const unreadable = () => {
      throw new PosternError('log.version_unknown', 'Of the future.');
    };
    expect(planned(2, unreadable)).toEqual(byOlder);
    const broken = () => {
      throw new Error('a bug');
    };
    expect(() => planned(2, broken)).toThrow('a bug');
  });

  test('are those of one of which nothing is known where the provider left the catalog', () => {
    const plans = new Plans({ of: () => undefined }, { ...files, has: () => false } as unknown as VersionedCatalog);
    const state = made(2);
    expect(plans.of(state)).toEqual(planRefresh(state, unknownPolicy));
    expect([plans.restEndOf(state), plans.authorizationEndOf(state)]).toEqual([null, null]);
  });
});
