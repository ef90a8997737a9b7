import { chmodSync, copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { inspect } from 'node:util';
import { newId } from '@postern/contracts';
import { describeWithServer } from '@postern/servers';
import { startTcpProxy, waitFor } from '@postern/testing';
import { transitKeyService, transitLimits, type KeyService, type VaultAccess } from './index.ts';
import { codeOf, keyServiceContract } from './key-service-contract.spec-support.ts';
import { openTransitWorld, type TransitWorld } from './transit-world.spec-support.ts';

const unavailable = 'vault.key_service_unavailable';
const patienceMs = 60_000;
/** May look at itself, and use nothing. */
const narrowPolicy = 'path "auth/token/lookup-self" { capabilities = ["read"] }';
const vaultStartMs = 120_000;

await describeWithServer('vault', 'transit on a real Vault', () => {
  let world: TransitWorld;
  let service: KeyService;
  let tenantId = '';
  const opened: KeyService[] = [];

  beforeAll(async () => {
    world = await openTransitWorld();
    [tenantId] = await world.tenants();
    service = await opening();
  }, vaultStartMs);
  afterAll(async () => {
    for (const one of opened) await one.close();
    await world?.close();
  }, vaultStartMs);

  async function opening(access: VaultAccess = world.vault.access()): Promise<KeyService> {
    const one = await transitKeyService(access);
    opened.push(one);
    return one;
  }

  const reason = async (of: KeyService = service) => (await of.status()).reason ?? '';

  async function untilReady(of: KeyService = service): Promise<void> {
    await waitFor(async () => (await of.status()).ready, { timeoutMs: patienceMs, describe: () => reason(of) });
  }

  keyServiceContract('transit', async () => {
    const [one, other] = await world.tenants();
    const tested = await transitKeyService(world.vault.access());
    return { service: tested, tenantIds: [one, other], stop: () => tested.close() };
  });

  describe('keys', () => {
    test('a hundred and more are opened in one call, more than a call takes in several', async () => {
      const keys = await Promise.all(Array.from({ length: 120 }, () => service.generateDataKey({ tenantId })));
      const wrapped = keys.map((key) => key.wrapped);
      const expected = keys.map(({ plaintext }) => ({ ok: true, plaintext }));
      expect(await service.unwrapMany({ tenantId, wrapped })).toEqual(expected);
      const repeats = Math.ceil((transitLimits.batchItemsMax + 1) / wrapped.length);
      const many = Array.from({ length: repeats }, () => wrapped).flat();
      many.splice(7, 1, `${wrapped[7]?.slice(0, -8)}AAAAAAA=`);
      const results = await service.unwrapMany({ tenantId, wrapped: many });
      expect(results).toHaveLength(many.length);
      expect(results.filter(({ ok }) => !ok)).toHaveLength(1);
      expect(results[7]).toMatchObject({ ok: false, error: { code: 'vault.ciphertext_invalid' } });
      expect(results.at(-1)).toEqual(expected.at(-1));
    });

    test('a batch in which nothing opens says so of each', async () => {
      const { wrapped } = await service.generateDataKey({ tenantId });
      const [, otherTenantId] = await world.tenants();
      const results = await service.unwrapMany({ tenantId: otherTenantId, wrapped: [wrapped, wrapped] });
      expect(results.map((result) => !result.ok && result.error.code)).toEqual([
        'vault.ciphertext_invalid',
        'vault.ciphertext_invalid',
      ]);
    });

    test('of a tenant without a key are asked for later, not refused for ever', async () => {
      const { wrapped } = await service.generateDataKey({ tenantId });
      const nobody = newId('tenant');
      expect(await codeOf(service.generateDataKey({ tenantId: nobody }))).toBe(unavailable);
      expect(await codeOf(service.unwrapDataKey({ tenantId: nobody, wrapped }))).toBe(unavailable);
      expect(await codeOf(service.unwrapMany({ tenantId: nobody, wrapped: [wrapped] }))).toBe(unavailable);
      expect(await service.status({ tenantId: nobody })).toMatchObject({ ready: false, reason: /no key/ });
    });
  });

  describe('the token', () => {
    test(
      'is renewed before its end, and replaced where its role lets it live no longer',
      async () => {
        const role = await world.vault.role('short', { token_ttl: '4s', token_max_ttl: '10s' });
        const one = await opening(world.vault.access(role));
        await untilReady(one);
        const [first] = await world.vault.tokensOf('short');
        let now = [first];
        const look = async () => {
          // Whatever the token's life is at, the service works.
          await one.generateDataKey({ tenantId });
          return (now = [...(await world.vault.tokensOf('short'))]);
        };
        const describe = () => JSON.stringify(now);
        await waitFor(async () => (await look()).some((token) => typeof token?.['last_renewal_time'] === 'number'), {
          timeoutMs: patienceMs,
          describe,
        });
        expect(now.map((token) => token?.['accessor'])).toEqual([first?.['accessor']]);
        await waitFor(async () => (await look()).some((token) => token?.['accessor'] !== first?.['accessor']), {
          timeoutMs: patienceMs,
          describe,
        });
      },
      2 * patienceMs,
    );

    test('that Vault does not know any more is replaced at the next call', async () => {
      const role = await world.vault.role('revoked', {});
      const one = await opening(world.vault.access(role));
      const { wrapped, plaintext } = await one.generateDataKey({ tenantId });
      await world.vault.root({ method: 'POST', path: 'auth/token/tidy', body: {} });
      await world.vault.root({ method: 'PUT', path: 'sys/leases/revoke-prefix/auth/approle/login', body: {} });
      expect(await one.unwrapDataKey({ tenantId, wrapped })).toEqual(plaintext);
    });

    test('stays the same one where its policy forbids what is asked', async () => {
      await world.vault.root({ method: 'PUT', path: 'sys/policies/acl/narrow', body: { policy: narrowPolicy } });
      const role = await world.vault.role('narrow', { token_policies: ['narrow'] });
      const one = await opening(world.vault.access(role));
      await untilReady(one);
      const before = await world.vault.tokensOf('narrow');
      for (let asked = 0; asked < 3; asked += 1)
        expect(await codeOf(one.generateDataKey({ tenantId }))).toBe(unavailable);
      expect(await one.status({ tenantId })).toMatchObject({ ready: false, reason: /see its policy/ });
      expect(await world.vault.tokensOf('narrow')).toHaveLength(before.length);
    });

    test('is had once however many ask', async () => {
      const role = await world.vault.role('once', { secret_id_num_uses: 1 });
      const one = await opening(world.vault.access(role));
      const keys = await Promise.all(Array.from({ length: 20 }, () => one.generateDataKey({ tenantId })));
      expect(keys).toHaveLength(20);
    });

    test('ends with its service', async () => {
      const role = await world.vault.role('ending', {});
      const one = await transitKeyService(world.vault.access(role));
      await untilReady(one);
      expect(await world.vault.tokensOf('ending')).toHaveLength(1);
      await one.close();
      expect(await world.vault.tokensOf('ending')).toEqual([]);
    });
  });

  describe('a secret id', () => {
    test('that is wrong is told in words, without itself, and healed by its file', async () => {
      const role = await world.vault.role('wrong', {});
      const made = newId('correlation');
      const access = world.vault.access({ ...role, secretId: made });
      const one = await opening(access);
      expect(await codeOf(one.generateDataKey({ tenantId }))).toBe(unavailable);
      expect(await reason(one)).toMatch(/secret id is wrong, expired or used up.*-secret-id/);
      const error: unknown = await one.generateDataKey({ tenantId }).catch((thrown: unknown) => thrown);
      expect(inspect(error, { depth: 9 })).not.toContain(made);
      expect(String(error)).not.toContain(access.url);
      writeFileSync(access.secretIdFile, role.secretId);
      await one.generateDataKey({ tenantId });
      expect((await one.status()).ready).toBe(true);
    });

    test('that is refused is not shown again until its file changes: Vault would lock the role out', async () => {
      const role = await world.vault.role('locked', {});
      const access = world.vault.access({ ...role, secretId: 'wrong' });
      const one = await opening(access);
      // Vault locks a role out at the fifth refusal; these would be far more.
      for (let asked = 0; asked < 30; asked += 1)
        expect(await codeOf(one.generateDataKey({ tenantId }))).toBe(unavailable);
      writeFileSync(access.secretIdFile, role.secretId);
      expect((await one.generateDataKey({ tenantId })).plaintext).toHaveLength(32);
    });

    test('that has expired ends nothing before its token does, and is healed by its file', async () => {
      const name = 'expiring';
      const role = await world.vault.role(name, { token_ttl: '2s', token_max_ttl: '2s', secret_id_ttl: '1s' });
      const access = world.vault.access(role);
      const one = await opening(access);
      await untilReady(one);
      const isExpired = async () => {
        await world.vault.tidySecretIds();
        return !(await one.status()).ready;
      };
      await waitFor(isExpired, { timeoutMs: patienceMs, describe: 'it never expired' });
      expect(await reason(one)).toMatch(/secret id is wrong, expired or used up/);
      await world.vault.root({ method: 'POST', path: `auth/approle/role/${name}`, body: { secret_id_ttl: '1h' } });
      writeFileSync(access.secretIdFile, await world.vault.newSecretId(name));
      await untilReady(one);
      expect((await one.generateDataKey({ tenantId })).plaintext).toHaveLength(32);
    });

    test('and every other setting that is bad is refused at start, by its code', async () => {
      const access = world.vault.access();
      const bad: Partial<VaultAccess>[] = [
        { url: access.url.replace('https', 'http') },
        { url: `${access.url}/v1` },
        { url: 'https://user:password@127.0.0.1' },
        { url: 'nowhere' },
        { caFile: access.roleIdFile },
        { caFile: join(world.vault.folder, 'missing.pem') },
        { secretIdFile: join(world.vault.folder, 'missing') },
      ];
      for (const change of bad) {
        expect([change, await codeOf(transitKeyService({ ...access, ...change }))]).toEqual([change, 'config.invalid']);
      }
      for (const mode of [0o640, 0o604]) {
        chmodSync(access.secretIdFile, mode);
        expect(await codeOf(transitKeyService(access))).toBe('config.invalid');
      }
      writeFileSync(access.roleIdFile, ' \n');
      chmodSync(access.secretIdFile, 0o600);
      expect(await codeOf(transitKeyService(access))).toBe('config.invalid');
    });
  });

  test('nothing is taken from the surroundings: neither a proxy, nor a token, nor "no verification"', async () => {
    const before = { ...process.env };
    Object.assign(process.env, {
      HTTPS_PROXY: 'http://127.0.0.1:9',
      HTTP_PROXY: 'http://127.0.0.1:9',
      NO_PROXY: '',
      VAULT_ADDR: 'https://127.0.0.1:9',
      VAULT_TOKEN: world.vault.server.rootToken,
      VAULT_NAMESPACE: 'another',
      VAULT_PREFIX: '/another',
      VAULT_SKIP_VERIFY: 'true',
    });
    try {
      const one = await opening();
      expect((await one.generateDataKey({ tenantId })).plaintext).toHaveLength(32);
      const { caFile: _without, ...access } = world.vault.access();
      const blind = await opening(access);
      expect(await codeOf(blind.generateDataKey({ tenantId }))).toBe(unavailable);
      expect(await reason(blind)).toMatch(/CERT|SIGNATURE/);
    } finally {
      process.env = before;
    }
  });

  describe('it heals without a restart after', () => {
    let key: { readonly wrapped: string; readonly plaintext: Buffer };

    const refusedEverywhere = async (of: KeyService = service) => {
      expect(await codeOf(of.generateDataKey({ tenantId }))).toBe(unavailable);
      expect(await codeOf(of.unwrapDataKey({ tenantId, wrapped: key.wrapped }))).toBe(unavailable);
      expect(await codeOf(of.unwrapMany({ tenantId, wrapped: [key.wrapped] }))).toBe(unavailable);
      expect(await codeOf(of.rewrap({ tenantId, wrapped: key.wrapped }))).toBe(unavailable);
      expect((await of.status({ tenantId })).ready).toBe(false);
    };
    const works = async (of: KeyService = service) => {
      await untilReady(of);
      expect(await of.unwrapDataKey({ tenantId, wrapped: key.wrapped })).toEqual(key.plaintext);
    };
    beforeAll(async () => {
      key = await service.generateDataKey({ tenantId });
    });

    test('a seal in the middle', async () => {
      await world.vault.server.seal();
      await refusedEverywhere();
      expect(await reason()).toMatch(/sealed/);
      await world.vault.server.unseal();
      await works();
    });

    test(
      'a kill and a start on the same data, also where it was away when the service started',
      async () => {
        await world.vault.kill();
        const late = await opening();
        await refusedEverywhere();
        await refusedEverywhere(late);
        expect(await reason()).toMatch(/does not answer \(ECONNREFUSED\)/);
        await world.vault.startAgain();
        await works();
        await works(late);
      },
      vaultStartMs,
    );

    test('a network that swallows answers, and one that ends the connections that were kept', async () => {
      const proxy = await startTcpProxy({ targetPort: world.vault.server.port });
      try {
        const one = await opening({ ...world.vault.access(), url: `https://127.0.0.1:${proxy.port}` });
        await works(one);
        expect(proxy.connections()).toBeGreaterThan(0);
        proxy.cut();
        proxy.heal();
        expect(await one.unwrapDataKey({ tenantId, wrapped: key.wrapped })).toEqual(key.plaintext);
        proxy.cut();
        await refusedEverywhere(one);
        proxy.heal();
        await works(one);
        const loss = proxy.dropServerToClient(() => true, { effect: 'silence' });
        expect(await codeOf(one.unwrapDataKey({ tenantId, wrapped: key.wrapped }))).toBe(unavailable);
        expect(loss.lost()).toBe(1);
        await works(one);
      } finally {
        await proxy.close();
      }
    });

    test('an authority that was replaced', async () => {
      const { caFile: right, ...access } = world.vault.access();
      const caFile = join(world.vault.folder, 'ca-to-be.pem');
      writeFileSync(caFile, rootCertificates[0] ?? '');
      const one = await opening({ ...access, caFile });
      expect(await codeOf(one.generateDataKey({ tenantId }))).toBe(unavailable);
      expect(await reason(one)).toMatch(/CERT|SIGNATURE/);
      rmSync(caFile);
      expect(await reason(one)).toMatch(/CERT|SIGNATURE/);
      copyFileSync(right, caFile);
      await works(one);
    });
  });
});
