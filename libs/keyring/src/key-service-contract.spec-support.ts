import { newId } from '@postern/contracts';
import { dataKeyBytes, type KeyService } from './key-service.ts';

/** A key service under test, with two tenants that it knows. */
export interface KeyServiceHarness {
  readonly service: KeyService;
  readonly tenantIds: readonly [string, string];
  readonly stop: () => Promise<void>;
}

/** What every implementation of the port keeps; run it on each. */
export function keyServiceContract(name: string, start: () => Promise<KeyServiceHarness>): void {
  describe(`${name} keeps the contract of a key service:`, () => {
    let harness: KeyServiceHarness;
    let service: KeyService;
    let [tenantId, otherTenantId] = ['', ''];

    beforeAll(async () => {
      harness = await start();
      service = harness.service;
      [tenantId, otherTenantId] = harness.tenantIds;
    });
    afterAll(async () => harness.stop());

    test('a generated data key is 256 fresh bits and its wrapped form shows none of them', async () => {
      const keys = await Promise.all([1, 2, 3].map(async () => service.generateDataKey({ tenantId })));
      expect(keys.map(({ plaintext }) => plaintext.length)).toEqual([dataKeyBytes, dataKeyBytes, dataKeyBytes]);
      expect(new Set(keys.map(({ plaintext }) => plaintext.toString('hex'))).size).toBe(3);
      for (const { plaintext, wrapped } of keys) {
        expect(wrapped).not.toContain(plaintext.toString('base64url'));
        expect(wrapped).not.toContain(plaintext.toString('base64'));
      }
    });

    test('a wrapped data key opens again, one or many at a time, in order', async () => {
      const keys = await Promise.all([1, 2, 3].map(async () => service.generateDataKey({ tenantId })));
      const wrapped = keys.map((key) => key.wrapped);
      const results = await service.unwrapMany({ tenantId, wrapped });
      expect(results).toEqual(keys.map(({ plaintext }) => ({ ok: true, plaintext })));
      for (const key of keys) {
        expect(await service.unwrapDataKey({ tenantId, wrapped: key.wrapped })).toEqual(key.plaintext);
      }
      expect(await service.unwrapMany({ tenantId, wrapped: [] })).toEqual([]);
    });

    test('a data key wrapped for one tenant does not open for another', async () => {
      const { wrapped } = await service.generateDataKey({ tenantId });
      const foreign = { tenantId: otherTenantId, wrapped };
      expect(await codeOf(service.unwrapDataKey(foreign))).toBe('vault.ciphertext_invalid');
      expect(await codeOf(service.rewrap(foreign))).toBe('vault.ciphertext_invalid');
    });

    test('a changed or made-up wrapped key does not open', async () => {
      const { wrapped } = await service.generateDataKey({ tenantId });
      const middle = wrapped.length - 12;
      const flipped = `${wrapped.slice(0, middle)}${wrapped[middle] === 'A' ? 'B' : 'A'}${wrapped.slice(middle + 1)}`;
      for (const other of ['', 'x', flipped, wrapped.slice(0, -8), `${wrapped}AAAA`, wrapped.replace(/\d:/, '9:')]) {
        expect(await codeOf(service.unwrapDataKey({ tenantId, wrapped: other }))).toBe('vault.ciphertext_invalid');
      }
    });

    test('among many, one key that does not open hides no other', async () => {
      const { plaintext, wrapped } = await service.generateDataKey({ tenantId });
      const results = await service.unwrapMany({ tenantId, wrapped: [wrapped, 'made up', wrapped] });
      expect(results).toMatchObject([
        { ok: true, plaintext },
        { ok: false, error: { code: 'vault.ciphertext_invalid' } },
        { ok: true, plaintext },
      ]);
    });

    test('a rewrapped data key is the same key in another wrapping', async () => {
      const { plaintext, wrapped } = await service.generateDataKey({ tenantId });
      const rewrapped = await service.rewrap({ tenantId, wrapped });
      expect(rewrapped).not.toBe(plaintext.toString('base64url'));
      expect(await service.unwrapDataKey({ tenantId, wrapped: rewrapped })).toEqual(plaintext);
    });

    test('what is no tenant id is refused before any key is touched', async () => {
      const { wrapped } = await service.generateDataKey({ tenantId });
      for (const strange of ['', '*', '../x', `${tenantId}/x`, tenantId.toUpperCase(), newId('connection')]) {
        expect(await codeOf(service.generateDataKey({ tenantId: strange }))).toBe('request.malformed');
        expect(await codeOf(service.unwrapDataKey({ tenantId: strange, wrapped }))).toBe('request.malformed');
        expect(await codeOf(service.unwrapMany({ tenantId: strange, wrapped: [wrapped] }))).toBe('request.malformed');
        expect(await codeOf(service.rewrap({ tenantId: strange, wrapped }))).toBe('request.malformed');
      }
    });

    test('it says that it is ready, and with which key versions', async () => {
      expect(await service.status({ tenantId })).toMatchObject({ kind: service.kind, ready: true });
      expect((await service.status()).ready).toBe(true);
    });

    test('closed, it says so and opens nothing', async () => {
      const { service: closing, tenantIds, stop } = await start();
      const [tenantId] = tenantIds;
      const { wrapped } = await closing.generateDataKey({ tenantId });
      await closing.close();
      expect((await closing.status()).ready).toBe(false);
      expect(await codeOf(closing.generateDataKey({ tenantId }))).toBe('vault.key_service_unavailable');
      expect(await codeOf(closing.unwrapDataKey({ tenantId, wrapped }))).toBe('vault.key_service_unavailable');
      expect(await codeOf(closing.unwrapMany({ tenantId, wrapped: [] }))).toBe('vault.key_service_unavailable');
      expect(await codeOf(closing.rewrap({ tenantId, wrapped }))).toBe('vault.key_service_unavailable');
      await stop();
    });
  });
}

/** The code a promise was refused with. */
export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined;
}
