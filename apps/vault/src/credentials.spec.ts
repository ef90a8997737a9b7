import { randomBytes } from 'node:crypto';

import { jest } from '@jest/globals';
import { newId } from '@postern/contracts';
import type { Connection } from '@postern/domain';

import { Credentials } from './credentials.ts';
import { HeldKey, type DataKeys, type Opening } from './data-keys.ts';
import { ownerOf } from './connections.ts';
import type { SealedRows } from './sealed-rows.ts';
import { bindingOf, sealJson } from './sealed-token-set.ts';
import type { VaultDatabase } from './vault-database.ts';
import { vaultLimits } from './vault-limits.ts';

const dataKey = randomBytes(32);
const version = 1;

/** One connection's credential, opened once; `looks` counts how often its data key was asked for. */
async function setUp() {
  const state = {
    ...{ tenantId: newId('tenant'), connectionId: newId('connection'), providerId: 'acme' },
  } as unknown as Connection;
  const owner = ownerOf(state);
  const part = { accessToken: 'access-a', tokenType: 'Bearer', accessTokenExpiresAtMs: null };
  const sealed = sealJson(dataKey, bindingOf(owner, version, 'access_token'), {
    ...{ ...part, grantedScopes: ['read'], refreshTokenRotated: false },
  });
  const row = { key: { wrapped: 'w', generation: 1 }, access: { version, sealed, keyGeneration: 1 } };
  const rows = { find: () => Promise.resolve(row) } as unknown as SealedRows;
  const dataKeys = {
    use: async (_owner: unknown, { read, open }: Opening<never, unknown>) => open(dataKey, await read(false)),
    peek: () => new HeldKey(dataKey, 1),
  } as unknown as DataKeys;
  const credentials = new Credentials({} as VaultDatabase, rows, dataKeys);
  await credentials.openAccess(owner, version);
  const peek = (of = state, at = version) =>
    credentials.peekAccess(of, at)?.withToken((token) => Buffer.from(token).toString('utf8'));
  return { credentials, owner, state, peek };
}

describe('an access token in memory', () => {
  test('is found by the state that names it, again and again, and by a newer one', async () => {
    const { state, peek } = await setUp();
    for (let time = 0; time < 40; time += 1) expect(peek()).toBe('access-a');
    expect(peek({ ...state })).toBe('access-a');
  });

  test('is not found for another version, nor under another provider', async () => {
    const { state, peek } = await setUp();
    expect(peek()).toBe('access-a');
    expect(peek(state, 2)).toBeUndefined();
    expect(peek({ ...state, providerId: 'other' })).toBeUndefined();
  });

  test('is not found once it was forgotten, whichever state named it before', async () => {
    const { credentials, owner, state, peek } = await setUp();
    const other = { ...state };
    for (const one of [state, other]) expect(peek(one)).toBe('access-a');
    credentials.forget(owner);
    for (const one of [state, other]) expect(peek(one)).toBeUndefined();
    await credentials.openAccess(owner, version);
    for (const one of [state, other]) expect(peek(one)).toBe('access-a');
    credentials.onApplicationShutdown();
    for (const one of [state, other]) expect(peek(one)).toBeUndefined();
  });

  test('is not found when its time is over, however often it was used', async () => {
    const clock = jest.spyOn(performance, 'now');
    try {
      let nowMs = 1_000;
      clock.mockImplementation(() => nowMs);
      const { peek } = await setUp();
      expect(peek()).toBe('access-a');
      nowMs += vaultLimits.ciphertextCachedMsMax - 1;
      expect(peek()).toBe('access-a');
      nowMs += 1;
      expect(peek()).toBeUndefined();
    } finally {
      clock.mockRestore();
    }
  });
});
