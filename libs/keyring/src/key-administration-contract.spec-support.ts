import type { KeyAdministration } from './key-administration.ts';
import { codeOf } from './key-service-contract.spec-support.ts';
import type { KeyService } from './key-service.ts';

/** What provisions keys, and beside it the access that the vault has: it uses keys and may change none. */
export interface KeyAdministrationHarness {
  readonly administration: KeyAdministration;
  readonly service: KeyService;
  /** The vault's access opened anew, as after a restart; closed by the contract. */
  readonly reopen: () => Promise<KeyService>;
  /** A tenant that the service may use and that has no key yet. */
  readonly freshTenant: () => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** How long a running service may take to notice what was done to its keys. */
const noticedMsMax = 10_000;
const pollMs = 20;

/** What every implementation of `KeyAdministration` keeps, seen through the `KeyService` beside it; run it on each. */
export function keyAdministrationContract(name: string, start: () => Promise<KeyAdministrationHarness>): void {
  describe(`${name} keeps the contract of a key administration:`, () => {
    let harness: KeyAdministrationHarness;
    let administration: KeyAdministration;
    let service: KeyService;
    let tenantId = '';

    beforeAll(async () => {
      harness = await start();
      ({ administration, service } = harness);
    });
    beforeEach(async () => {
      tenantId = await harness.freshTenant();
      await administration.ensureTenantKey({ tenantId });
    });
    afterAll(async () => harness.stop());

    const open = (wrapped: string) => service.unwrapDataKey({ tenantId, wrapped });
    const refusal = (wrapped: string) => codeOf(open(wrapped));

    /** Wraps until the running service uses that version: it is told by nobody. */
    async function wrapsWith(version: number) {
      return await until(async () => {
        const { keyVersions } = await service.status({ tenantId });
        return keyVersions?.latest === version ? await service.generateDataKey({ tenantId }) : undefined;
      });
    }

    /** A key wrapped by version 1, in a tenant whose latest is version 2. */
    async function rotatedOnce() {
      const before = await service.generateDataKey({ tenantId });
      expect(await administration.rotate({ tenantId })).toBe(2);
      await wrapsWith(2);
      return before;
    }

    test('a tenant without a key wraps nothing, and does once it has one', async () => {
      const keyless = await harness.freshTenant();
      expect((await administration.status({ tenantId: keyless })).keyVersions).toBeUndefined();
      expect(await codeOf(service.generateDataKey({ tenantId: keyless }))).toBe('vault.key_service_unavailable');
      await administration.ensureTenantKey({ tenantId: keyless });
      const { plaintext, wrapped } = await service.generateDataKey({ tenantId: keyless });
      expect(await service.unwrapDataKey({ tenantId: keyless, wrapped })).toEqual(plaintext);
      expect((await administration.status({ tenantId: keyless })).keyVersions).toEqual({ oldest: 1, latest: 1 });
    });

    test('asked for a key that is there, it leaves it alone', async () => {
      const { plaintext, wrapped } = await rotatedOnce();
      await administration.ensureTenantKey({ tenantId });
      expect((await administration.status({ tenantId })).keyVersions).toEqual({ oldest: 1, latest: 2 });
      expect(await open(wrapped)).toEqual(plaintext);
    });

    test('a rotation gives a new version that wraps, and the older ones still open', async () => {
      const before = await rotatedOnce();
      const after = await wrapsWith(2);
      expect(await open(before.wrapped)).toEqual(before.plaintext);
      expect(await open(after.wrapped)).toEqual(after.plaintext);
      expect((await service.status({ tenantId })).keyVersions).toEqual({ oldest: 1, latest: 2 });
      expect(await administration.rotate({ tenantId })).toBe(3);
    });

    test('a rewrapped data key is the same key and outlives the version that wrapped it first', async () => {
      const { plaintext, wrapped } = await rotatedOnce();
      const rewrapped = await service.rewrap({ tenantId, wrapped });
      await administration.retireBefore({ tenantId, version: 2 });
      await until(async () => ((await refusal(wrapped)) === undefined ? undefined : true));
      expect(await open(rewrapped)).toEqual(plaintext);
    });

    test('what a retired version wrapped does not open any more, not one, not among many, not after a restart', async () => {
      const { wrapped } = await rotatedOnce();
      const kept = await wrapsWith(2);
      await administration.retireBefore({ tenantId, version: 2 });
      await until(async () => ((await refusal(wrapped)) === undefined ? undefined : true));
      expect(await refusal(wrapped)).toBe('vault.ciphertext_invalid');
      expect(await open(kept.wrapped)).toEqual(kept.plaintext);
      expect(await codeOf(service.rewrap({ tenantId, wrapped }))).toBe('vault.ciphertext_invalid');
      const [one] = await service.unwrapMany({ tenantId, wrapped: [wrapped] });
      expect(one).toMatchObject({ ok: false, error: { code: 'vault.ciphertext_invalid' } });
      const again = await harness.reopen();
      expect(await codeOf(again.unwrapDataKey({ tenantId, wrapped }))).toBe('vault.ciphertext_invalid');
      await again.close();
      expect((await administration.status({ tenantId })).keyVersions).toEqual({ oldest: 2, latest: 2 });
    });

    test('nothing brings a retired version back: no repeat, no lower bound, no newer version', async () => {
      const { wrapped } = await rotatedOnce();
      await administration.retireBefore({ tenantId, version: 2 });
      await administration.retireBefore({ tenantId, version: 2 });
      await administration.retireBefore({ tenantId, version: 1 });
      await administration.ensureTenantKey({ tenantId });
      await administration.rotate({ tenantId });
      await wrapsWith(3);
      expect(await refusal(wrapped)).toBe('vault.ciphertext_invalid');
      expect((await administration.status({ tenantId })).keyVersions).toEqual({ oldest: 2, latest: 3 });
    });

    test("one tenant's rotation and retirement touch no other", async () => {
      const neighbour = await harness.freshTenant();
      await administration.ensureTenantKey({ tenantId: neighbour });
      const { plaintext, wrapped } = await service.generateDataKey({ tenantId: neighbour });
      await rotatedOnce();
      await administration.retireBefore({ tenantId, version: 2 });
      expect((await administration.status({ tenantId: neighbour })).keyVersions).toEqual({ oldest: 1, latest: 1 });
      expect(await service.unwrapDataKey({ tenantId: neighbour, wrapped })).toEqual(plaintext);
    });

    test('versions that cannot be the oldest one are refused, and nothing is lost', async () => {
      const { plaintext, wrapped } = await rotatedOnce();
      for (const version of [-1, 0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 3]) {
        expect(await codeOf(administration.retireBefore({ tenantId, version }))).toBe('request.malformed');
      }
      expect((await administration.status({ tenantId })).keyVersions).toEqual({ oldest: 1, latest: 2 });
      expect(await open(wrapped)).toEqual(plaintext);
    });

    test('what is no tenant id is refused', async () => {
      for (const strange of ['', '*', '../x', `${tenantId}/x`]) {
        const of = { tenantId: strange };
        expect(await codeOf(administration.ensureTenantKey(of))).toBe('request.malformed');
        expect(await codeOf(administration.rotate(of))).toBe('request.malformed');
        expect(await codeOf(administration.retireBefore({ ...of, version: 1 }))).toBe('request.malformed');
        expect(await codeOf(administration.status(of))).toBe('request.malformed');
      }
    });

    test('a tenant without a key has nothing to rotate or to retire', async () => {
      const keyless = { tenantId: await harness.freshTenant() };
      expect(await codeOf(administration.rotate(keyless))).toBe('vault.key_service_unavailable');
      expect(await codeOf(administration.retireBefore({ ...keyless, version: 1 }))).toBe(
        'vault.key_service_unavailable',
      );
    });
  });
}

/** Asks until there is an answer. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + noticedMsMax;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error('the service did not notice');
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
