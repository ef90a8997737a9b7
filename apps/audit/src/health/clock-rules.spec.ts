import { jest } from '@jest/globals';
import { rolloutEvolver, type Rollout } from '@postern/domain';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';
import { Repository } from '@postern/event-log';

import { facts, nowMs } from '../spec-support/health-facts.ts';
import { ClockRulesOf } from './clock-rules.ts';
import { healthOf } from './health-of.ts';

const dayS = 86_400;
const providerId = 'hubspot';
const newest = providerOf(loadCatalog(), providerId);
const older = {
  ...newest,
  version: 1,
  refresh: { ...newest.refresh, idleTtlS: null, absoluteTtlS: 3 * dayS },
} as Provider;
const newer = { ...newest, refresh: { ...newest.refresh, idleTtlS: null, absoluteTtlS: null } } as Provider;

/** How a connection fares that was authorized two days ago. */
async function state(fileVersion: number | null, decided: Partial<Rollout> = {}): Promise<string> {
  const catalog = loadCatalog();
  jest
    .spyOn(catalog, 'version')
    .mockImplementation((_id, version) => [older, newer].find((one) => one.version === version));
  jest.spyOn(catalog, 'get').mockImplementation(() => newer);
  const rollout: Rollout = { ...rolloutEvolver.initialState, ...decided };
  jest.spyOn(Repository.prototype, 'load').mockResolvedValue({ state: rollout } as never);
  const one = facts({ providerId, fileVersion });
  const rulesOf = await new ClockRulesOf({} as never, {} as never).each('ten_one', [one]);
  return healthOf(one, { use: { lastUsedAtMs: null, refused: {} }, rules: rulesOf(one), nowMs }).state;
}

afterEach(() => {
  jest.restoreAllMocks();
});

test('what ends by itself is said by the version that a connection uses', async () => {
  expect(await state(1)).toBe('expiring');
  expect(await state(newer.version)).not.toBe('expiring');
  expect(await state(null)).not.toBe('expiring');
  const promoted = { exists: true, current: { version: newer.version, carriesConnections: true } };
  expect(await state(1, promoted)).not.toBe('expiring');
});

test('a provider that left the catalog ends nothing', async () => {
  const gone = facts({ providerId: 'of-another-release', fileVersion: 1 });
  const rulesOf = await new ClockRulesOf({} as never, {} as never).each('ten_one', [gone]);
  expect(rulesOf(gone)).toEqual({ idleTtlS: null, absoluteTtlS: null });
});
