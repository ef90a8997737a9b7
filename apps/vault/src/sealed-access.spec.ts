import { randomBytes } from 'node:crypto';

import { isPosternError, newId } from '@postern/contracts';

import { HeldKey } from './data-keys.ts';
import { bindingOf, SealedAccess, sealJson, type AccessPart } from './sealed-token-set.ts';

const dataKey = randomBytes(32);
const owner = { tenantId: newId('tenant'), providerId: 'example', connectionId: newId('connection') };
const part = (accessToken: string): AccessPart => ({
  accessToken,
  tokenType: 'Bearer',
  accessTokenExpiresAtMs: null,
  grantedScopes: ['read'],
  refreshTokenRotated: false,
});
const sealedOf = (accessToken: string) => sealJson(dataKey, bindingOf(owner, 1, 'access_token'), part(accessToken));
const accessOf = (accessToken: string) => new SealedAccess(owner, 1, sealedOf(accessToken));

describe('a sealed access token', () => {
  test('is known once it was opened: its terms, and where its bytes stand', () => {
    const access = accessOf('tökén-of-read');
    expect(access.terms).toBeUndefined();
    expect(() => access.withToken(dataKey, () => undefined)).toThrow('nobody knows yet');
    expect(access.open(dataKey).accessToken).toBe('tökén-of-read');
    expect(access.terms).toEqual({ tokenType: 'Bearer' });
    expect(access.withToken(dataKey, (token) => Buffer.from(token).toString('utf8'))).toBe('tökén-of-read');
  });

  test('is overwritten once it was used', () => {
    const access = accessOf('access-a');
    access.open(dataKey);
    const kept = access.withToken(dataKey, (token) => token);
    expect([...kept]).toEqual(Array.from({ length: 8 }, () => 0));
  });

  test('stays unknown where JSON spells it otherwise', () => {
    const access = accessOf('a"quoted\\one');
    expect(access.open(dataKey).accessToken).toBe('a"quoted\\one');
    expect(access.terms).toBeUndefined();
  });

  test('does not open where a bit was changed, however well it was known', () => {
    const sealed = sealedOf('access-a');
    const access = new SealedAccess(owner, 1, sealed);
    access.open(dataKey);
    sealed[20] = (sealed[20] ?? 0) ^ 1;
    expect(codeOf(() => access.withToken(dataKey, () => undefined))).toBe('vault.ciphertext_invalid');
  });
});

describe('a data key in memory', () => {
  test('opens nothing once it was wiped, and is overwritten', () => {
    const plaintext = Buffer.from(dataKey);
    const held = new HeldKey(plaintext, 1);
    expect(held.open((key) => Buffer.compare(key, dataKey))).toBe(0);
    held.wipe();
    expect(held.open(() => 'used')).toBeUndefined();
    expect(() => held.plaintext).toThrow('after it was wiped');
    expect(plaintext.every((byte) => byte === 0)).toBe(true);
  });
});

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (error) {
    if (isPosternError(error)) return error.code;
    throw error;
  }
}
