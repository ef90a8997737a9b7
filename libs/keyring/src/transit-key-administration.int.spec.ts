import { newId } from '@postern/contracts';
import { describeWithServer } from '@postern/servers';
import { waitFor } from '@postern/testing';
import { transitKeyService, type KeyAdministration, type KeyService } from './index.ts';
import { codeOf } from './key-service-contract.spec-support.ts';
import { openTransitWorld, type TransitWorld } from './transit-world.spec-support.ts';

const vaultStartMs = 120_000;
const forbidden = 403;

await describeWithServer('vault', 'the keys of transit', () => {
  let world: TransitWorld;
  let service: KeyService;
  let administration: KeyAdministration;
  let tenantId = '';

  beforeAll(async () => {
    world = await openTransitWorld();
    ({ administration } = world);
    service = await transitKeyService(world.vault.access());
  }, vaultStartMs);
  beforeEach(async () => {
    [tenantId] = await world.tenants();
  });
  afterAll(async () => {
    await service?.close();
    await world?.close();
  }, vaultStartMs);

  const versions = async () => (await administration.status({ tenantId })).keyVersions;
  const transit = async () => (await world.vault.root({ method: 'GET', path: `transit/keys/${tenantId}` }))['data'];

  test('are made once, and can be neither exported, backed up nor deleted', async () => {
    const { wrapped, plaintext } = await service.generateDataKey({ tenantId });
    await administration.ensureTenantKey({ tenantId });
    expect(await service.unwrapDataKey({ tenantId, wrapped })).toEqual(plaintext);
    expect(await transit()).toMatchObject({
      type: 'aes256-gcm96',
      latest_version: 1,
      exportable: false,
      allow_plaintext_backup: false,
      deletion_allowed: false,
    });
  });

  test('are made by several at once as one', async () => {
    const fresh = newId('tenant');
    await Promise.all([1, 2, 3].map(() => administration.ensureTenantKey({ tenantId: fresh })));
    expect((await administration.status({ tenantId: fresh })).keyVersions).toEqual({ oldest: 1, latest: 1 });
  });

  test('get versions: the newest wraps, the older ones open, and rewrapping moves a key on', async () => {
    const old = await service.generateDataKey({ tenantId });
    expect(await administration.rotate({ tenantId })).toBe(2);
    expect(await versions()).toEqual({ oldest: 1, latest: 2 });
    expect((await service.generateDataKey({ tenantId })).wrapped).toMatch(/^vault:v2:/);
    expect(await service.unwrapDataKey({ tenantId, wrapped: old.wrapped })).toEqual(old.plaintext);
    const moved = await service.rewrap({ tenantId, wrapped: old.wrapped });
    expect(moved).toMatch(/^vault:v2:/);
    expect(await service.unwrapDataKey({ tenantId, wrapped: moved })).toEqual(old.plaintext);
  });

  test('let versions go for ever: what they wrapped does not open, and no setting brings it back', async () => {
    const old = await service.generateDataKey({ tenantId });
    await administration.rotate({ tenantId });
    const middle = await service.generateDataKey({ tenantId });
    await administration.rotate({ tenantId });
    const young = await service.generateDataKey({ tenantId });
    await administration.retireBefore({ tenantId, version: 3 });
    const lost = async () => {
      for (const { wrapped } of [old, middle]) {
        expect(await codeOf(service.unwrapDataKey({ tenantId, wrapped }))).toBe('vault.ciphertext_invalid');
        expect(await codeOf(service.rewrap({ tenantId, wrapped }))).toBe('vault.ciphertext_invalid');
      }
      expect(await service.unwrapMany({ tenantId, wrapped: [old.wrapped, young.wrapped] })).toMatchObject([
        { ok: false, error: { code: 'vault.ciphertext_invalid' } },
        { ok: true },
      ]);
    };
    await lost();
    expect(await versions()).toEqual({ oldest: 3, latest: 3 });
    expect((await service.status({ tenantId })).keyVersions).toEqual({ oldest: 3, latest: 3 });
    // Not refused only: the root token itself cannot lower the bound again.
    const lower = { min_decryption_version: 1, min_encryption_version: 1 };
    const answer = await world.vault.as(world.vault.server.rootToken, {
      method: 'POST',
      path: `transit/keys/${tenantId}/config`,
      body: lower,
    });
    expect(answer.status).toBe(400);
    await lost();
  });

  test('are retired again after a crash in between, and never un-retired', async () => {
    await administration.rotate({ tenantId });
    await administration.rotate({ tenantId });
    // As if the one before had ended after the first of its two steps.
    await world.vault.root({
      method: 'POST',
      path: `transit/keys/${tenantId}/config`,
      body: { min_decryption_version: 2 },
    });
    await administration.retireBefore({ tenantId, version: 2 });
    expect(await versions()).toEqual({ oldest: 2, latest: 3 });
    await administration.retireBefore({ tenantId, version: 2 });
    await administration.retireBefore({ tenantId, version: 1 });
    expect(await versions()).toEqual({ oldest: 2, latest: 3 });
    expect(await transit()).toMatchObject({ min_decryption_version: 2, min_available_version: 2 });
  });

  test('refuse versions that do not exist, and tenants that are none or have no key', async () => {
    for (const version of [0, -1, 2, 1.5, Number.NaN]) {
      expect(await codeOf(administration.retireBefore({ tenantId, version }))).toBe('request.malformed');
    }
    const nobody = newId('tenant');
    expect(await codeOf(administration.rotate({ tenantId: nobody }))).toBe('vault.key_service_unavailable');
    expect((await administration.status({ tenantId: nobody })).ready).toBe(false);
    for (const strange of ['', '*', '../x', `${tenantId}/rotate`, newId('connection')]) {
      expect(await codeOf(administration.ensureTenantKey({ tenantId: strange }))).toBe('request.malformed');
      expect(await codeOf(administration.rotate({ tenantId: strange }))).toBe('request.malformed');
      expect(await codeOf(administration.retireBefore({ tenantId: strange, version: 1 }))).toBe('request.malformed');
    }
  });

  test('are out of reach while Vault is sealed, in words', async () => {
    await world.vault.server.seal();
    expect(await codeOf(administration.rotate({ tenantId }))).toBe('vault.key_service_unavailable');
    expect(await codeOf(administration.ensureTenantKey({ tenantId }))).toBe('vault.key_service_unavailable');
    expect(await administration.status({ tenantId })).toMatchObject({ ready: false, reason: /sealed/ });
    await world.vault.server.unseal();
    await waitFor(async () => (await administration.status({ tenantId })).ready, { describe: 'not ready' });
  });

  describe('who may do what:', () => {
    type Role = 'service' | 'provisioner';
    const ciphertext = 'vault:v1:AAAA';
    const key = () => `transit/keys/${tenantId}`;
    /** Everything that is refused to both has no name in the last column. */
    const matrix: readonly (readonly ['GET' | 'POST' | 'PUT' | 'LIST' | 'DELETE', string, object, readonly Role[]])[] =
      [
        ['POST', 'transit/datakey/plaintext/{key}', {}, ['service']],
        ['POST', 'transit/decrypt/{key}', { ciphertext }, ['service']],
        ['POST', 'transit/rewrap/{key}', { ciphertext }, ['service']],
        ['GET', 'transit/keys/{key}', {}, ['service', 'provisioner']],
        ['POST', 'transit/keys/{new}', { type: 'aes256-gcm96' }, ['provisioner']],
        ['POST', 'transit/keys/{key}/rotate', {}, ['provisioner']],
        ['POST', 'transit/keys/{key}/config', { min_decryption_version: 1 }, ['provisioner']],
        ['POST', 'transit/keys/{key}/trim', { min_available_version: 1 }, ['provisioner']],
        ['GET', 'auth/token/lookup-self', {}, ['service', 'provisioner']],
        ['POST', 'auth/token/renew-self', {}, ['service', 'provisioner']],
        ['POST', 'transit/keys/{new}', { type: 'aes256-gcm96', exportable: true }, []],
        ['POST', 'transit/keys/{new}', { type: 'aes256-gcm96', allow_plaintext_backup: true }, []],
        ['POST', 'transit/keys/{new}', { type: 'rsa-2048' }, []],
        ['POST', 'transit/keys/{key}/config', { deletion_allowed: true }, []],
        ['POST', 'transit/keys/{key}/config', { exportable: true }, []],
        ['POST', 'transit/keys/{key}/config', { allow_plaintext_backup: true }, []],
        ['POST', 'transit/keys/{key}/config', { min_decryption_version: 1, deletion_allowed: true }, []],
        ['DELETE', 'transit/keys/{key}', {}, []],
        ['POST', 'transit/keys/{new}/import', { ciphertext }, []],
        ['POST', 'transit/keys/{key}/import_version', { ciphertext }, []],
        ['GET', 'transit/export/encryption-key/{key}', {}, []],
        ['GET', 'transit/backup/{key}', {}, []],
        ['POST', 'transit/restore/{new}', { backup: 'AAAA' }, []],
        ['POST', 'transit/encrypt/{key}', { plaintext: 'AAAA' }, []],
        ['POST', 'transit/datakey/wrapped/{key}', {}, []],
        ['POST', 'transit/hmac/{key}', { input: 'AAAA' }, []],
        ['POST', 'transit/datakey/plaintext/other', {}, []],
        ['POST', 'transit/decrypt/other', { ciphertext }, []],
        ['LIST', 'transit/keys', {}, []],
        ['GET', 'transit/cache-config', {}, []],
        ['POST', 'auth/token/create', {}, []],
        ['GET', 'auth/approle/role/postern-vault/role-id', {}, []],
        ['POST', 'auth/approle/role/postern-vault/secret-id', {}, []],
        ['GET', 'sys/mounts', {}, []],
        ['GET', 'sys/policies/acl/postern-vault', {}, []],
        ['PUT', 'sys/policies/acl/postern-vault', { policy: 'path "*" { capabilities = ["sudo"] }' }, []],
        ['PUT', 'sys/seal', {}, []],
        ['GET', 'cubbyhole/x', {}, []],
      ];
    const tokens: Partial<Record<Role, string>> = {};

    beforeAll(async () => {
      await world.vault.root({ method: 'POST', path: 'transit/keys/other', body: {} });
      for (const role of ['service', 'provisioner'] as const) {
        const { roleId, secretId } = world.vault.server.roles[role];
        const body = { role_id: roleId, secret_id: secretId };
        const { auth } = await world.vault.root({ method: 'POST', path: 'auth/approle/login', body });
        tokens[role] = (auth as { client_token: string }).client_token;
      }
    });

    test.each(matrix)('%s %s %j is for %j', async (method, path, body, allowed) => {
      for (const role of ['service', 'provisioner'] as const) {
        const target = path.replace('{key}', tenantId).replace('{new}', newId('tenant'));
        const call = { method, path: target, ...(method === 'POST' || method === 'PUT' ? { body: { ...body } } : {}) };
        const { status } = await world.vault.as(tokens[role] ?? '', call);
        expect([role, status === forbidden]).toEqual([role, !allowed.includes(role)]);
      }
      expect(await world.vault.as(world.vault.server.rootToken, { method: 'GET', path: key() })).toMatchObject({
        status: 200,
      });
    });
  });
});
