import { spawn, type ChildProcess } from 'node:child_process';
import { createHmac, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { operations, type WeighedSignal } from '@postern/contracts';
import { callOperation, createOperator, serverOperatorConfig } from '@postern/nats';
import { migrateDatabase } from '@postern/persistence';
import {
  describeWithServer,
  freePort,
  startNatsServer,
  startPostgres,
  temporaryDataDir,
  type NatsServer,
  type Postgres,
} from '@postern/servers';
import { waitFor } from '@postern/testing';

import { revocationGrants, revocationMigrations, revocationSchema } from '../accounts/tables.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { SmallVault } from '../spec-support/small-vault.ts';
import { World, type ConnectionRef } from '../spec-support/world.ts';

const program = join(import.meta.dirname, '../../../cli/bin/postern.mjs');
const signingSecret = 'the signing secret of the app';
const servicePassword = 'the-password-of-the-service';
const seed = Number(process.env['POSTERN_SPEC_SEED'] ?? randomInt(2 ** 31));
/** More of them than in every run: POSTERN_SPEC_KILLS=50. */
const kills = Number(process.env['POSTERN_SPEC_KILLS'] ?? 6);
const signals = 6 * kills;
/** More than are looked up at a time. */
const fanOut = revocationLimits.indexPageMax + 100;
const wholeTimeoutMs = 60_000 * (kills + 2);
const patienceMs = 90_000;

await describeWithServer('nats-server', `revocation, killed again and again (seed ${seed})`, () => {
  const folder = temporaryDataDir('postern-killed-');
  let server: NatsServer;
  let postgres: Postgres;
  let world: World;
  let vault: SmallVault;
  let child: ChildProcess | undefined;
  let port: number;

  beforeAll(async () => {
    const bundle = await createOperator();
    postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
    await postgres.createDatabase('killed');
    const place = { schema: revocationSchema, migrations: revocationMigrations, grants: revocationGrants };
    const login = { serviceRole: 'revocation_killed', servicePassword };
    await migrateDatabase({ ownerUrl: postgres.urlOf('killed'), ...place, ...login });
    server = await startNatsServer({
      dataDir: join(folder, 'nats'),
      config: { operatorMode: serverOperatorConfig(bundle) },
    });
    world = await World.make(server.url, bundle, join(folder, 'files'));
    world.useDatabase(
      Object.assign(new URL(postgres.urlOf('killed')), { username: login.serviceRole, password: servicePassword }).href,
    );
    vault = await new SmallVault(world, 'vault-1').start();
    port = await freePort();
  }, 180_000);
  afterAll(async () => {
    await kill();
    await vault?.stop();
    await world?.close();
    await server?.stop();
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = () => {
    const env = { ...process.env, ...world.env, POSTERN_HTTP_PORT: String(port), POSTERN_LOG_LEVEL: 'silent' };
    child = spawn(process.execPath, [program, 'serve', 'revocation'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  const kill = async () => {
    const dying = child;
    child = undefined;
    if (dying === undefined || dying.exitCode !== null) return;
    dying.kill('SIGKILL');
    await once(dying, 'exit');
  };
  /** Seeded: a run that failed can be run again. */
  let state = seed;
  const random = (below: number) => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 1) % below;

  test(
    'every verified signal ends in exactly one decision',
    async () => {
      const party = await world.newPlatform();
      const slack = await world.newRegistration(party, 'slack');
      vault.webhookSecrets.set(slack, [signingSecret]);
      world.agoMs = 60_000;
      const connections: ConnectionRef[] = [];
      for (let n = 0; n < signals; n += 1) {
        const accounts = [{ key: 'team_bot', values: ['T1', `U${n}`] }];
        connections.push(await world.connected(party, slack, { providerId: 'slack', accounts }));
      }
      const ofTeam = { providerId: 'slack', accounts: [{ key: 'team', values: ['T2'] }] };
      const inTeam = Array.from({ length: fanOut }, async () => await world.connected(party, slack, ofTeam));
      connections.push(...(await Promise.all(inTeam)));
      const answered = new Set<number>();
      /** As Slack does: again and again until it is answered. */
      const send = async (n: number, event: object, team = 'T1') => {
        const body = JSON.stringify({
          ...{ type: 'event_callback', team_id: team, event_id: `Ev${n}`, event_time: Math.floor(Date.now() / 1000) },
          event,
        });
        await waitFor(
          async () => {
            const sentS = Math.floor(Date.now() / 1000);
            const digest = createHmac('sha256', signingSecret).update(`v0:${sentS}:${body}`).digest('hex');
            const headers = {
              'content-type': 'application/json',
              'x-slack-request-timestamp': String(sentS),
              'x-slack-signature': `v0=${digest}`,
            };
            const url = `http://127.0.0.1:${port}/webhooks/slack/${slack}`;
            return await fetch(url, { method: 'POST', body, headers }).then(
              ({ status }) => status === 200,
              () => false,
            );
          },
          { timeoutMs: wholeTimeoutMs, describe: `signal ${n} to be answered` },
        );
        answered.add(n);
      };
      const revocations = await world.countingRevocations();
      const decided = () => revocations.of.size;

      start();
      const sending = (async () => {
        for (let n = 0; n < signals; n += 1) await send(n, { type: 'tokens_revoked', tokens: { bot: [`U${n}`] } });
      })();
      for (let killed = 0; killed < kills; killed += 1) {
        // Somewhere between the answer to one signal and the decision about another.
        const goal = Math.min(signals, answered.size + 1 + random(Math.ceil(signals / kills)));
        const onDecision = random(2) === 0;
        await waitFor(() => (onDecision ? decided() : answered.size) >= goal, {
          timeoutMs: patienceMs,
          describe: () => `${goal} of ${signals}, answered ${answered.size}`,
        });
        await kill();
        start();
      }
      await sending;
      // One uninstall that ends the rest, and it dies in the middle of that.
      await send(signals, { type: 'app_uninstalled' }, 'T2');
      await waitFor(() => decided() > signals, { timeoutMs: patienceMs, describe: 'the uninstall to be decided upon' });
      await kill();
      start();
      await waitFor(() => decided() === connections.length, {
        timeoutMs: patienceMs,
        describe: () => `all to be decided, ${decided()} of ${connections.length} are`,
      });
      const list = async () => {
        const bus = await world.bus('administrator');
        const found: WeighedSignal[] = [];
        try {
          for (let before: number | null | undefined; before !== null;) {
            const request = { tenant_id: party.tenantId, ...(before !== undefined && { before }) };
            const page = await callOperation(bus, operations.listSignals, { app: 'administrator' }, request);
            found.push(...page.signals);
            before = page.next;
          }
          return found;
        } catch {
          // Nobody is there while it is started once more.
          return [];
        }
      };
      const listed = await waitFor(async () => ((found) => found.length === signals + 1 && found)(await list()), {
        timeoutMs: patienceMs,
        describe: 'all to be listed',
      });
      for (const { type, outcome, matched, revoked } of listed) {
        const count = type === 'app_uninstalled' ? fanOut : 1;
        expect({ outcome, matched, revoked }).toEqual({ outcome: 'revoked', matched: count, revoked: count });
      }
      expect(await world.signalsOf('slack', slack)).toHaveLength(signals + 1);
      await revocations.stop();
      const notOnce = connections.filter(({ connectionId }) => revocations.of.get(connectionId) !== 1);
      expect(notOnce).toEqual([]);
    },
    wholeTimeoutMs,
  );
});
