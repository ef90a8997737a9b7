import { rmSync, writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';

import { newId, operations, PosternError } from '@postern/contracts';
import { generateSealingKey } from '@postern/crypto';
import { transitKeyAdministration, type KeyAdministration } from '@postern/keyring';
import { callOperation, createOperator, serverOperatorConfig, type Bus } from '@postern/nats';
import {
  describeWithServer,
  startNatsServer,
  startPostgres,
  temporaryDataDir,
  type NatsServer,
  type Postgres,
} from '@postern/servers';
import type { RunningService } from '@postern/service';
import { TestVault, waitFor, type TestVaultAccess } from '@postern/testing';

import { Credentials } from './credentials.ts';
import { DataKeys } from './data-keys.ts';
import { connected, type ConnectionRef } from './spec-journeys.ts';
import { codeOf, specNats, VaultWorld, type Customer } from './spec-world.ts';

const patienceMs = 60_000;
const serversMs = 180_000;
const keysGone = 'vault.key_service_unavailable';

await describeWithServer('vault', 'when what the vault stands on fails', () => {
  const folder = temporaryDataDir('postern-failures-');
  const recipient = generateSealingKey();
  let nats: NatsServer;
  let postgres: Postgres;
  let keys: TestVault;
  let administration: KeyAdministration;
  let world: VaultWorld;
  let vault: RunningService;
  let customer: Customer;
  let platform: Bus;

  beforeAll(async () => {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle), ...specNats };
    [nats, postgres, keys] = await Promise.all([
      startNatsServer({ dataDir: `${folder}/nats`, config }),
      startPostgres({ dataDir: `${folder}/postgres` }),
      TestVault.open(),
    ]);
    await postgres.createDatabase('failures');
    administration = await transitKeyAdministration(keys.access(keys.server.roles.provisioner));
    const ownerUrl = postgres.urlOf('failures');
    world = await VaultWorld.open({
      natsUrl: nats.url,
      bundle,
      ownerUrl,
      serviceRole: 'vault_failures',
      folder: `${folder}/world`,
    });
    customer = await world.customer();
    await administration.ensureTenantKey(customer);
    platform = await world.platformBus(customer);
  }, serversMs);
  afterEach(async () => vault?.stop());
  afterAll(async () => {
    await world?.close();
    await administration?.close();
    await Promise.all([nats?.stop(), postgres?.stop(), keys?.close()]);
    rmSync(folder, { recursive: true, force: true });
  }, serversMs);

  const transit = (access: TestVaultAccess = keys.access()) => ({
    POSTERN_KEYRING: 'transit',
    POSTERN_KEYRING_VAULT_URL: access.url,
    POSTERN_KEYRING_VAULT_CA_FILE: access.caFile,
    POSTERN_KEYRING_VAULT_ROLE_ID_FILE: access.roleIdFile,
    POSTERN_KEYRING_VAULT_SECRET_ID_FILE: access.secretIdFile,
  });

  async function lease({ connectionId }: ConnectionRef) {
    const { tenantId, platformId, agentId } = customer;
    const asked = {
      connection_id: connectionId,
      agent_id: agentId,
      purpose: 'spec',
      recipient_key: recipient.publicJwk,
    };
    return await callOperation(platform, operations.leaseToken, { tenantId, platformId }, asked, { timeoutMs: 20_000 });
  }

  /** Leased when it may be: a vault that has just started, or whose key service has just come back, is on its way. */
  async function untilLeased(ref: ConnectionRef): Promise<void> {
    let last = '';
    await waitFor(async () => (last = await codeOf(lease(ref))) === 'nothing was refused', {
      timeoutMs: patienceMs,
      describe: () => `a lease, not ${last}`,
    });
  }

  async function untilRefused(ref: ConnectionRef, code: string): Promise<void> {
    let last = '';
    await waitFor(async () => (last = await codeOf(lease(ref))) === code, {
      timeoutMs: patienceMs,
      describe: () => `${code}, not ${last}`,
    });
  }

  async function readiness(): Promise<{ status: number; checks: Record<string, string> }> {
    const answer = await fetch(`${vault.httpUrl}/readyz`);
    const { checks } = (await answer.json()) as { checks: Record<string, string> };
    return { status: answer.status, checks };
  }

  async function untilCheck(name: string, wanted: RegExp, push = async (): Promise<void> => undefined): Promise<void> {
    let last = '';
    const isWanted = async () => {
      await push();
      return wanted.test((last = (await readiness()).checks[name] ?? ''));
    };
    await waitFor(isWanted, {
      timeoutMs: patienceMs,
      describe: () => `${name}: ${last}`,
    });
  }

  /** Drops from memory what a lease of this connection would find there. */
  function forget({ tenantId, connectionId }: ConnectionRef): void {
    vault.get(DataKeys).forget({ tenantId, ownerId: connectionId });
    vault.get(Credentials).forget({ tenantId, connectionId });
  }

  async function refusal(work: Promise<unknown>): Promise<PosternError> {
    const error: unknown = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error instanceof PosternError) return error;
    throw new Error('nothing was refused');
  }

  test(
    'a sealed Vault: what is in memory goes on, the rest is told to come later, and it heals',
    async () => {
      vault = await world.startVault(transit());
      await untilCheck('key_service', /^ok$/);
      const [warm, cold] = [await connected(world, customer), await connected(world, customer)];
      await untilLeased(warm);
      await untilLeased(cold);
      await keys.server.seal();
      try {
        forget(cold);
        const refused = await refusal(lease(cold));
        expect([refused.code, refused.row.retry, refused.row.status]).toEqual([keysGone, 'later', 503]);
        expect(refused.message).not.toMatch(/https|sealed/);
        expect((await lease(warm)).sealed_token).toMatch(/^ey/);
        await untilCheck('key_service', /sealed/);
        expect((await readiness()).status).toBe(503);
        expect((await fetch(`${vault.httpUrl}/healthz`)).status).toBe(200);
        // Nothing new can be stored either, and it is said in the same way.
        expect(await codeOf(connected(world, customer))).toBe(keysGone);
      } finally {
        await keys.server.unseal();
      }
      await untilLeased(cold);
      await untilCheck('key_service', /^ok$/);
      await untilLeased(await connected(world, customer));
    },
    serversMs,
  );

  test(
    'what is in memory goes on until its limit, not longer',
    async () => {
      vault = await world.startVault({ ...transit(), POSTERN_DATA_KEY_CACHED: '1s' });
      const ref = await connected(world, customer);
      await untilLeased(ref);
      await keys.server.seal();
      try {
        await untilRefused(ref, keysGone);
      } finally {
        await keys.server.unseal();
      }
      await untilLeased(ref);
    },
    serversMs,
  );

  test(
    'a Vault that is away when the vault starts: it stands, says so, and serves once Vault is there',
    async () => {
      vault = await world.startVault(transit());
      const ref = await connected(world, customer);
      await vault.stop();
      await keys.kill();
      vault = await world.startVault(transit());
      await untilCheck('key_service', /does not answer/);
      await untilRefused(ref, keysGone);
      await keys.startAgain();
      await untilLeased(ref);
      await untilCheck('key_service', /^ok$/);
    },
    serversMs,
  );

  test(
    'an expired secret id: told to the operator in words, healed by a new one in the same file',
    async () => {
      const role = await keys.role('expiring', { token_ttl: '2s', token_max_ttl: '2s', secret_id_ttl: '1s' });
      const access = keys.access(role);
      const lines: string[] = [];
      const logDestination = new Writable({
        write: (chunk: Buffer, _encoding, done) => (lines.push(chunk.toString('utf8')), done()),
      });
      vault = await world.startVault({ ...transit(access), POSTERN_LOG_LEVEL: 'info' }, { logDestination });
      const expired = /secret id is wrong, expired or used up\. Put a new one into .*-secret-id/;
      await untilCheck('key_service', expired, () => keys.tidySecretIds());
      const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(told).toContainEqual(
        expect.objectContaining({ level: 'warn', kind: 'transit', reason: expect.stringMatching(expired) }),
      );
      expect(lines.join('')).not.toContain(role.secretId);
      await keys.root({ method: 'POST', path: 'auth/approle/role/expiring', body: { secret_id_ttl: '1h' } });
      writeFileSync(access.secretIdFile, await keys.newSecretId('expiring'));
      await untilCheck('key_service', /^ok$/);
      await untilLeased(await connected(world, customer));
    },
    serversMs,
  );

  test(
    'PostgreSQL away: what is in memory goes on, the rest is told to come later, and it heals',
    async () => {
      vault = await world.startVault(transit());
      const [warm, cold] = [await connected(world, customer), await connected(world, customer)];
      await untilLeased(warm);
      await untilLeased(cold);
      const { port } = postgres;
      await postgres.kill();
      forget(cold);
      const refused = await refusal(lease(cold));
      expect([refused.code, refused.row.retry, refused.row.status]).toEqual([
        'vault.database_unavailable',
        'later',
        503,
      ]);
      expect((await lease(warm)).sealed_token).toMatch(/^ey/);
      postgres = await startPostgres({ dataDir: `${folder}/postgres`, port });
      await untilLeased(cold);
    },
    serversMs,
  );

  test(
    'PostgreSQL away when the vault starts: it waits, and serves once the database is there',
    async () => {
      vault = await world.startVault(transit());
      const ref = await connected(world, customer);
      await vault.stop();
      const { port } = postgres;
      await postgres.kill();
      const waited = Promise.withResolvers<void>();
      const logDestination = new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          if (chunk.includes('waiting for the database')) waited.resolve();
          done();
        },
      });
      const starting = world.startVault({ ...transit(), POSTERN_LOG_LEVEL: 'warn' }, { logDestination });
      await waited.promise;
      postgres = await startPostgres({ dataDir: `${folder}/postgres`, port });
      vault = await starting;
      await untilLeased(ref);
    },
    serversMs,
  );

  test('a keyring that is half configured is refused by the name of what is missing', async () => {
    const { POSTERN_KEYRING_VAULT_SECRET_ID_FILE: _left, ...half } = transit();
    const cases: [Record<string, string>, string][] = [
      [half, 'POSTERN_KEYRING_VAULT_SECRET_ID_FILE'],
      [{ POSTERN_KEYRING: 'transit' }, 'POSTERN_KEYRING_VAULT_URL'],
      [{ POSTERN_KEYRING: 'local', POSTERN_KEYRING_VAULT_URL: 'https://127.0.0.1:8200' }, 'POSTERN_KEYRING must'],
      [{ POSTERN_KEYRING: 'paper' }, 'POSTERN_KEYRING must'],
      [{ ...transit(), POSTERN_KEYRING_VAULT_URL: 'http://127.0.0.1:8200' }, 'https'],
      [{ ...transit(), POSTERN_KEYRING_VAULT_ROLE_ID_FILE: `${folder}/${newId('correlation')}` }, 'cannot be read'],
    ];
    for (const [env, words] of cases) {
      expect([words, await refusal(world.startVault(env))]).toMatchObject([words, { code: 'config.invalid' }]);
      expect((await refusal(world.startVault(env))).message).toContain(words);
    }
  });
});
