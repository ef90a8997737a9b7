import { jest } from '@jest/globals';
import { connectionEvolver, rolloutEvolver, type Connection } from '@postern/domain';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';

import { neverNamed } from './scope-facts.ts';

const newest = providerOf(loadCatalog(), 'hubspot');
const opensNothing = newest.scopeMatrix?.rows.find(({ allows, risk }) => allows.length === 0 && risk === 'read');
const older = { ...newest, version: 1, scopeMatrix: null } as Provider;

afterEach(() => {
  jest.restoreAllMocks();
});

test('which scopes open nothing is said by the version that the connection used', () => {
  const catalog = loadCatalog();
  jest.spyOn(catalog, 'version').mockImplementation((_id, version) => (version === 1 ? older : newest));
  const scope = opensNothing?.scope ?? '';
  const used = { leases: 0, without_scopes: 0, scopes: [] };
  const pinned = (providerVersion: number) =>
    ({ ...connectionEvolver.initialState, providerId: 'hubspot', credential: { providerVersion } }) as Connection;
  expect(scope).not.toBe('');
  expect(neverNamed([scope], used, pinned(1), undefined)).toEqual([scope]);
  expect(neverNamed([scope], used, pinned(newest.version), undefined)).toEqual([]);
  const carried = { version: newest.version, carriesConnections: true };
  const promoted = { ...rolloutEvolver.initialState, exists: true, current: carried };
  expect(neverNamed([scope], used, pinned(1), promoted)).toEqual([]);
});
