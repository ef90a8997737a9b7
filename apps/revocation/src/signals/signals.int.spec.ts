import { createHmac } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { sign as githubSign } from '@octokit/webhooks-methods';
import { MikroORM } from '@mikro-orm/postgresql';
import {
  administratorToken,
  newId,
  operations,
  PosternError,
  type Signal,
  type WeighedSignal,
} from '@postern/contracts';
import {
  callOperation,
  createOperator,
  endpoint,
  publishMessage,
  serveOperations,
  serverOperatorConfig,
  type Bus,
  type ServedOperations,
} from '@postern/nats';
import { migrateDatabase } from '@postern/persistence';
import {
  describeWithServer,
  startNatsServer,
  startPostgres,
  temporaryDataDir,
  type NatsServer,
  type Postgres,
} from '@postern/servers';
import { startService, type RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';

import { revocationGrants, revocationMigrations, revocationSchema, revocationService } from '../index.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { SmallVault } from '../spec-support/small-vault.ts';
import { World, type ConnectionRef, type Party } from '../spec-support/world.ts';

const signingSecret = 'the signing secret of the app';
const serviceRole = 'revocation_signals';
const servicePassword = 'the-password-of-the-service';
const patienceMs = 30_000;

await describeWithServer('nats-server', 'signals', () => {
  const folder = temporaryDataDir('postern-signals-');
  let server: NatsServer;
  let postgres: Postgres;
  let owner: MikroORM;
  let world: World;
  let vault: SmallVault;
  let service: RunningService;
  let party: Party;
  let slack: string;
  let refreshing: ServedOperations | undefined;
  /** What `refresh` was asked for, by connection and version. */
  const asked: { connectionId: string; version: number | undefined }[] = [];
  let refreshFault: PosternError;
  let events = 0;
  const lines: string[] = [];

  const start = async () =>
    (service = await startService(revocationService, world.env, {
      logDestination: { write: (line) => void lines.push(line) },
    }));
  const startRefresh = async () => {
    refreshing = await serveOperations(await world.bus('refresh'), {
      name: 'refresh',
      version: '0.0.1',
      endpoints: [
        endpoint(operations.refreshConnection, async ({ connection_id: connectionId, credential_version: version }) => {
          asked.push({ connectionId, version });
          throw refreshFault;
        }),
      ],
    });
  };

  beforeAll(async () => {
    const bundle = await createOperator();
    postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
    await postgres.createDatabase('signals');
    const ownerUrl = postgres.urlOf('signals');
    const place = { ownerUrl, schema: revocationSchema, migrations: revocationMigrations, grants: revocationGrants };
    await migrateDatabase({ ...place, serviceRole, servicePassword });
    owner = new MikroORM({ clientUrl: ownerUrl, entities: [], discovery: { warnWhenNoEntities: false } });
    server = await startNatsServer({
      dataDir: join(folder, 'nats'),
      config: { operatorMode: serverOperatorConfig(bundle) },
    });
    world = await World.make(server.url, bundle, join(folder, 'files'));
    world.useDatabase(Object.assign(new URL(ownerUrl), { username: serviceRole, password: servicePassword }).href);
    vault = await new SmallVault(world, 'vault-1').start();
    await startRefresh();
    await start();
  }, 180_000);
  beforeEach(async () => {
    party = await world.newPlatform();
    slack = await world.newRegistration(party, 'slack');
    vault.webhookSecrets.set(slack, [signingSecret]);
    refreshFault = new PosternError('refresh.unavailable', 'Not now.');
    asked.length = 0;
    world.agoMs = 60_000;
  });
  afterAll(async () => {
    await service?.stop();
    await refreshing?.stop();
    await vault?.stop();
    await world?.close();
    await owner?.close(true);
    await server?.stop();
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const post = async (path: string, body: string, headers: Record<string, string>) => {
    const all = { 'content-type': 'application/json', ...headers };
    const { status } = await fetch(`${service.httpUrl}/webhooks/${path}`, { method: 'POST', body, headers: all });
    expect(status).toBe(200);
  };
  const nowS = () => Math.floor(Date.now() / 1000);
  const slackSays = async (event: object, { registration = slack, atS = nowS(), team = 'T1' } = {}) => {
    events += 1;
    const frame = {
      type: 'event_callback',
      token: 't',
      team_id: team,
      event_id: `Ev${events}`,
      event_time: atS,
      event,
    };
    const [body, sentS] = [JSON.stringify(frame), nowS()];
    const digest = createHmac('sha256', signingSecret).update(`v0:${sentS}:${body}`).digest('hex');
    await post(`slack/${registration}`, body, {
      'x-slack-request-timestamp': String(sentS),
      'x-slack-signature': `v0=${digest}`,
    });
    return frame.event_id;
  };
  const tokensRevoked = (...bot: string[]) => ({ type: 'tokens_revoked', tokens: { bot } });
  const githubSays = async (registration: string, event: string, body: object) => {
    const text = JSON.stringify({ ...body, nonce: (events += 1) });
    const headers = { 'x-github-event': event, 'x-hub-signature-256': await githubSign(signingSecret, text) };
    await post(`github-app/${registration}`, text, headers);
  };
  const bot = (team: string, user: string) => [
    { key: 'team', values: [team] },
    { key: 'team_bot', values: [team, user] },
  ];
  const connect = async (accounts: Parameters<World['connected']>[2], registration = slack, of = party) =>
    await world.connected(of, registration, { providerId: 'slack', ...accounts });
  const listed = async (query: { unmatched?: boolean } = {}, tenantId = party.tenantId): Promise<WeighedSignal[]> => {
    const bus = await world.bus('administrator');
    const request = { tenant_id: tenantId, ...query };
    return (await callOperation(bus, operations.listSignals, { app: 'administrator' }, request)).signals;
  };
  const weighed = async (deliveryId?: string): Promise<WeighedSignal> =>
    await waitFor(
      async () => (await listed()).find((signal) => deliveryId === undefined || signal.delivery_id === deliveryId),
      { describe: 'the signal to be weighed', timeoutMs: patienceMs },
    );
  const revocationsOf = async (connection: ConnectionRef) =>
    (await world.historyOf(connection)).flatMap(({ commit }) =>
      commit.events.filter(({ type }) => type === 'ConnectionRevoked' || type === 'RevocationSuspected'),
    );

  describe('where the provider ends more than was named', () => {
    const bots = [{ key: 'team_bot', values: ['T9', 'U9'] }];
    const revoke = async ({ connectionId }: ConnectionRef, more: { cascade?: boolean } = {}, by: Party = party) => {
      const request = { connection_id: connectionId, ...more };
      const bus = by.platformId === administratorToken ? await world.bus('administrator') : await world.platformBus(by);
      return await callOperation(bus, operations.revokeConnection, by, request);
    };
    const failureOf = async (connection: ConnectionRef) =>
      await waitFor(
        async () =>
          (await world.historyOf(connection))
            .flatMap(({ commit }) => commit.events)
            .find(({ type, data }) => type === 'UpstreamRevocationFailed' && Reflect.get(data, 'final') === true)?.data,
        { describe: 'the provider to be spared', timeoutMs: 60_000 },
      );

    test('the caller is told before which connections of theirs would end, and nothing has happened', async () => {
      const [one, two] = [await connect({ accounts: bots }), await connect({ accounts: bots })];
      const other = await world.newPlatform(party.tenantId);
      await connect({ accounts: bots }, slack, other);
      await expect(revoke(one)).rejects.toMatchObject({
        code: 'connection.siblings_would_end',
        details: { siblings: [two.connectionId] },
      });
      expect(await world.typesOf(one)).not.toContain('ConnectionRevoked');
      const { cascaded } = await revoke(one, { cascade: true });
      expect(cascaded).toEqual([two.connectionId]);
      const revocation = (await world.historyOf(two)).find(
        ({ commit }) => commit.events[0]?.type === 'ConnectionRevoked',
      );
      expect(revocation?.commit).toMatchObject({
        actor: { type: 'platform', id: party.platformId },
        events: [{ type: 'ConnectionRevoked', data: { cause: 'requested_by_platform', evidence: null } }],
      });
    });

    test('an administrator is told of every platform’s; another registration’s and tenant’s are not concerned', async () => {
      const one = await connect({ accounts: bots });
      const other = await world.newPlatform(party.tenantId);
      const two = await connect({ accounts: bots }, slack, other);
      const spared = [
        await connect({ accounts: bots }, await world.newRegistration(party, 'slack')),
        await connect({ accounts: [{ key: 'team_bot', values: ['T9', 'U8'] }] }),
      ];
      const administrator = { ...party, platformId: administratorToken };
      await expect(revoke(one, {}, administrator)).rejects.toMatchObject({ details: { siblings: [two.connectionId] } });
      const { cascaded } = await revoke(one, { cascade: true }, administrator);
      expect(cascaded).toEqual([two.connectionId]);
      for (const connection of spared) expect(await world.typesOf(connection)).not.toContain('ConnectionRevoked');
    });

    test('what somebody authorized since is not ended at the provider, and that is said', async () => {
      const one = await connect({ accounts: bots });
      vault.tokens.set(one.connectionId, { accessToken: 'a', refreshToken: null });
      vault.releaseFault = new PosternError('vault.database_unavailable', 'The database is away.');
      await revoke(one);
      world.agoMs = 0;
      const newer = await connect({ accounts: bots });
      vault.releaseFault = undefined;
      expect(await failureOf(one)).toEqual({
        credentialVersion: 1,
        error: 'would_end_another_authorization',
        final: true,
      });
      expect(await world.stateOf(newer)).toMatchObject({ authorization: 'authorized' });
      // A repeat is about what stood when it was asked.
      expect((await revoke(one, { cascade: true })).cascaded).toEqual([]);
    });
  });

  describe('a proof', () => {
    test('ends the connection, and the log names the evidence', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      const atS = nowS();
      const deliveryId = await slackSays(tokensRevoked('U2'), { atS });
      const { position } = await weighed(deliveryId);
      expect(await revocationsOf(connection)).toEqual([
        {
          type: 'ConnectionRevoked',
          version: 2,
          data: {
            cause: 'revoked_at_provider',
            reason: null,
            evidence: {
              source: 'slack',
              type: 'tokens_revoked',
              deliveryId,
              position,
              occurredAtMs: atS * 1000,
              receivedAtMs: expect.any(Number) as number,
              matchedBy: 'team_bot',
            },
          },
        },
      ]);
      expect(await world.stateOf(connection)).toMatchObject({
        authorization: 'revoked',
        upstreamRevocation: 'completed',
      });
      expect(await weighed(deliveryId)).toMatchObject({ outcome: 'revoked', matched: 1, revoked: 1, suspected: 0 });
      expect(vault.seen).not.toContain(`asked for tokens of ${connection.connectionId}`);
    });

    test('about a team ends all of it, and nobody of another team, app or tenant', async () => {
      const otherApp = await world.newRegistration(party, 'slack');
      const stranger = await world.newPlatform();
      const strangers = await world.newRegistration(stranger, 'slack');
      const ended = [await connect({ accounts: bot('T1', 'U1') }), await connect({ accounts: bot('T1', 'U2') })];
      const spared = [
        await connect({ accounts: bot('T2', 'U1') }),
        await connect({ accounts: bot('T1', 'U1') }, otherApp),
        await connect({ accounts: bot('T1', 'U1') }, strangers, stranger),
        await connect({ accounts: [] }),
      ];
      const deliveryId = await slackSays({ type: 'app_uninstalled' });
      expect(await weighed(deliveryId)).toMatchObject({ outcome: 'revoked', matched: 2, revoked: 2 });
      for (const one of ended) expect(await world.stateOf(one)).toMatchObject({ authorization: 'revoked' });
      for (const one of spared) expect(await world.stateOf(one)).toMatchObject({ authorization: 'authorized' });
      expect(await listed({}, stranger.tenantId)).toEqual([]);
    });

    test('that is older than the authorization ends nothing', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      const deliveryId = await slackSays(tokensRevoked('U2'), { atS: nowS() - 7_200 });
      expect(await weighed(deliveryId)).toMatchObject({ outcome: 'outdated', matched: 1, revoked: 0 });
      expect(await revocationsOf(connection)).toEqual([]);
    });

    test('about an account that the connection has left ends nothing', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      await world.reauthorized(connection, bot('T9', 'U9'));
      const old = await slackSays(tokensRevoked('U2'));
      await waitFor(async () => (await listed({ unmatched: true })).find((one) => one.delivery_id === old), {
        describe: 'the signal to be kept as unmatched',
        timeoutMs: patienceMs,
      });
      expect(await revocationsOf(connection)).toEqual([]);
      const newer = await slackSays(tokensRevoked('U9'), { team: 'T9' });
      expect(await weighed(newer)).toMatchObject({ outcome: 'revoked' });
    });

    test('about a deleted connection finds nobody', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      const request = { connection_id: connection.connectionId };
      await callOperation(await world.platformBus(party), operations.deleteConnection, party, request);
      await slackSays(tokensRevoked('U2'));
      await waitFor(async () => (await listed({ unmatched: true })).length === 1 || undefined, {
        describe: 'the signal to be kept as unmatched',
        timeoutMs: patienceMs,
      });
      expect(await revocationsOf(connection)).toEqual([]);
    });

    test('is decided once, though everything after the decision fails at first', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      const revokeGrant = `revoke insert on revocation.weighed_signal from ${serviceRole}`;
      await owner.em.getConnection().execute(revokeGrant);
      const deliveryId = await slackSays(tokensRevoked('U2'));
      await waitFor(async () => (await revocationsOf(connection)).length > 0 || undefined, {
        describe: 'the decision',
        timeoutMs: patienceMs,
      });
      await service.stop();
      await owner.em.getConnection().execute(`grant insert on revocation.weighed_signal to ${serviceRole}`);
      await start();
      expect(await weighed(deliveryId)).toMatchObject({ outcome: 'revoked', revoked: 1 });
      expect(await revocationsOf(connection)).toHaveLength(1);
    }, 120_000);
  });

  test('an uninstall ends hundreds in each tenant, once, and none learns of the others', async () => {
    const many = revocationLimits.indexPageMax + 50;
    const parties = [party, await world.newPlatform(), await world.newPlatform()];
    const counts = [many, 60, 40];
    const apps: string[] = [];
    const ended: ConnectionRef[] = [];
    for (const [index, of] of parties.entries()) {
      const app = await world.newRegistration(of, 'slack');
      vault.webhookSecrets.set(app, [signingSecret]);
      apps.push(app);
      for (let made = 0; made < (counts[index] ?? 0); made += 50) {
        const some = Array.from({ length: Math.min(50, (counts[index] ?? 0) - made) }, async (_, n) =>
          connect({ accounts: bot('T1', `U${made + n}`) }, app, of),
        );
        ended.push(...(await Promise.all(some)));
      }
    }
    const revocations = await world.countingRevocations();
    for (const app of apps) await slackSays({ type: 'app_uninstalled' }, { registration: app });
    await waitFor(() => revocations.of.size === ended.length || undefined, {
      describe: () => `all to be refused, ${revocations.of.size} are`,
      timeoutMs: 120_000,
    });
    for (const [index, { tenantId }] of parties.entries()) {
      const found = await waitFor(
        async () => ((all) => (all.length > 0 ? all : undefined))(await listed({}, tenantId)),
        {
          describe: 'the signal to be weighed',
          timeoutMs: patienceMs,
        },
      );
      const [matched, revoked] = [counts[index], counts[index]];
      expect(found).toMatchObject([{ outcome: 'revoked', matched, revoked, registration_id: apps[index] }]);
    }
    await revocations.stop();
    expect(ended.filter(({ connectionId }) => revocations.of.get(connectionId) !== 1)).toEqual([]);
  }, 240_000);

  describe('a hint', () => {
    let github: string;
    beforeEach(async () => {
      github = await world.newRegistration(party, 'github-app');
      vault.webhookSecrets.set(github, [signingSecret]);
    });
    const user = (id: string) => ({ providerId: 'github-app', accounts: [{ key: 'user', values: [id] }] });
    const authorizationRevoked = async (id: number) =>
      await githubSays(github, 'github_app_authorization', { action: 'revoked', sender: { id } });

    test('is recorded, and has the suspected version refreshed, once', async () => {
      const connection = await world.connected(party, github, user('7'));
      await authorizationRevoked(7);
      const first = await weighed();
      expect(first).toMatchObject({ type: 'github_app_authorization.revoked', outcome: 'suspected', suspected: 1 });
      await authorizationRevoked(7);
      await waitFor(async () => (await listed()).length === 2 || undefined, {
        describe: 'the other',
        timeoutMs: patienceMs,
      });
      expect(asked).toEqual([{ connectionId: connection.connectionId, version: 1 }]);
      expect(await revocationsOf(connection)).toMatchObject([
        { type: 'RevocationSuspected', data: { credentialVersion: 1, evidence: { occurredAtMs: null } } },
      ]);
      expect(await world.stateOf(connection)).toMatchObject({ authorization: 'authorized' });
    });

    test('is confirmed as soon as somebody can be asked', async () => {
      const connection = await world.connected(party, github, user('8'));
      await refreshing?.stop();
      await authorizationRevoked(8);
      await waitFor(async () => (await revocationsOf(connection)).length > 0 || undefined, {
        describe: 'the suspicion',
        timeoutMs: patienceMs,
      });
      expect(asked).toEqual([]);
      await startRefresh();
      expect(await weighed()).toMatchObject({ outcome: 'suspected' });
      expect(asked).toEqual([{ connectionId: connection.connectionId, version: 1 }]);
      expect(await revocationsOf(connection)).toHaveLength(1);
    });

    test.each([
      ['suspend', 'recorded'],
      ['unsuspend', 'recorded'],
      ['new_permissions_accepted', 'recorded'],
    ])('%s of an installation is %s, and ends nothing', async (action, outcome) => {
      const connection = await world.connected(party, github, user('9'));
      await githubSays(github, 'installation', { action, installation: { account: { id: 9 } } });
      expect(await weighed()).toMatchObject({ type: `installation.${action}`, outcome, matched: 1 });
      expect(await revocationsOf(connection)).toEqual([]);
      expect(asked).toEqual([]);
    });
  });

  describe('a signal that names nobody', () => {
    test('is kept, listed, and matched when somebody appears', async () => {
      const deliveryId = await slackSays(tokensRevoked('U5'), { atS: nowS() });
      const [unmatched] = await waitFor(
        async () => {
          const found = await listed({ unmatched: true });
          return found.length > 0 ? found : undefined;
        },
        { describe: 'the signal to be listed', timeoutMs: patienceMs },
      );
      expect(unmatched).toMatchObject({ delivery_id: deliveryId, matched: 0 });
      world.agoMs = 0;
      const connection = await connect({ accounts: bot('T1', 'U5') });
      await waitFor(async () => (await listed({ unmatched: true })).length === 0 || undefined, {
        describe: 'the signal to be matched',
        timeoutMs: patienceMs,
      });
      // It came before the authorization was recorded, and may be about what went before: the provider is asked.
      expect(await weighed(deliveryId)).toMatchObject({ outcome: 'suspected', matched: 1 });
      expect(asked).toEqual([{ connectionId: connection.connectionId, version: 1 }]);
    }, 120_000);
  });

  describe('the index', () => {
    test('names at once whom it knows, and afterwards who was authorized a moment ago', async () => {
      const known = await connect({ accounts: bot('T1', 'U1') });
      const left = await connect({ accounts: bot('T1', 'U3') });
      await weighed(await slackSays(tokensRevoked('U9'), { team: 'T9' }));
      let newer: ConnectionRef | undefined;
      await owner.em.fork().transactional(async (em) => {
        // It can be read, and not be written.
        await em.execute('lock table revocation.account in share mode');
        newer = await connect({ accounts: bot('T1', 'U2') });
        await world.reauthorized(left, bot('T8', 'U8'));
        await slackSays({ type: 'app_uninstalled' });
        await waitFor(async () => (await revocationsOf(known)).length > 0, { describe: 'the known one to be refused' });
        expect(await revocationsOf(newer)).toEqual([]);
      });
      await waitFor(async () => newer !== undefined && (await revocationsOf(newer)).length > 0, {
        describe: 'the other one',
        timeoutMs: patienceMs,
      });
      await waitFor(async () => (await listed()).find(({ matched }) => matched === 2), { describe: 'both to be told' });
      // Its account is another one by now, whatever the index said.
      expect(await revocationsOf(left)).toEqual([]);
    }, 60_000);

    test('is made again from the log when it is lost', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      await weighed(await slackSays(tokensRevoked('U8'), { team: 'T8' }).then(() => undefined));
      await service.stop();
      await owner.em.getConnection().execute('truncate revocation.account, revocation.log_reading');
      await start();
      expect(await weighed(await slackSays(tokensRevoked('U2')))).toMatchObject({ outcome: 'revoked', matched: 1 });
      expect(await world.stateOf(connection)).toMatchObject({ authorization: 'revoked' });
    }, 120_000);

    test('goes on from where an older copy of it stood', async () => {
      const copied = await connect({ accounts: bot('T1', 'U1') });
      await weighed(await slackSays(tokensRevoked('U8'), { team: 'T8' }).then(() => undefined));
      const [reading] = await owner.em
        .getConnection()
        .execute<{ position: string }[]>('select position from revocation.log_reading');
      const lost = await connect({ accounts: bot('T1', 'U2') });
      await weighed(await slackSays(tokensRevoked('U9'), { team: 'T9' }));
      await service.stop();
      const positions = [Number(reading?.position)];
      await owner.em.getConnection().execute('delete from revocation.account where position > ?', positions);
      await owner.em.getConnection().execute('update revocation.log_reading set position = ?', positions);
      await start();
      expect(await weighed(await slackSays({ type: 'app_uninstalled' }))).toMatchObject({ matched: 2, revoked: 2 });
      for (const one of [copied, lost]) expect(await world.stateOf(one)).toMatchObject({ authorization: 'revoked' });
    }, 120_000);
  });

  describe('a bridge', () => {
    const bridged = async ({
      speaksFor = [slack],
      creds = speaksFor,
    }: { speaksFor?: string[]; creds?: string[] } = {}) => {
      const id = newId('bridge');
      const scope = speaksFor.map((registrationId) => ({ tenantId: party.tenantId, registrationId }));
      const data = { displayName: 'An older system', speaksFor: scope };
      await world.configured({ type: 'BridgeCreated', version: 1, data }, { tenantId: party.tenantId, id });
      return { id, bus: await world.bridgeBus({ bridgeId: id, registrationIds: creds }) };
    };
    const says = async ({ id, bus }: { id: string; bus: Bus }, more: Partial<Signal> = {}) => {
      events += 1;
      const body = { team_id: 'T1', event_time: nowS(), event: tokensRevoked('U2'), type: 'event_callback' };
      const signal: Signal = {
        ...{ version: 1, source: id, tenantId: party.tenantId, registrationId: slack, deliveryId: `Br${events}` },
        ...{ type: 'tokens_revoked', receivedAtMs: Date.now(), verified: { bridgeId: id }, body },
        ...more,
      };
      const subject = `signal.${id}.${signal.registrationId}.${signal.deliveryId}`;
      await publishMessage(bus, { stream: 'SIGNALS', subject, payload: signal, messageId: subject });
      return signal.deliveryId;
    };
    const refusedOnce = async (before: number) =>
      await waitFor(() => lines.filter((line) => line.includes('signal.not_allowed')).length > before, {
        describe: 'the signal to be refused',
        timeoutMs: patienceMs,
      });
    const refusals = () => lines.filter((line) => line.includes('signal.not_allowed')).length;

    test('ends what it may speak about, by the words of the provider’s webhook', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      const bridge = await bridged();
      const deliveryId = await says(bridge);
      expect(await weighed(deliveryId)).toMatchObject({ source: bridge.id, outcome: 'revoked', revoked: 1 });
      expect(await revocationsOf(connection)).toMatchObject([
        { data: { evidence: { source: bridge.id, deliveryId } } },
      ]);
    });

    test('says security events too', async () => {
      const connection = await connect({ accounts: [{ key: 'email', values: ['ada@example.com'] }] });
      const type = 'https://schemas.openid.net/secevent/risc/event-type/account-purged';
      const body = { iat: nowS(), sub_id: { format: 'email', email: 'Ada@example.com' }, events: { [type]: {} } };
      expect(await weighed(await says(await bridged(), { type, body }))).toMatchObject({ outcome: 'revoked' });
      expect(await world.stateOf(connection)).toMatchObject({ authorization: 'revoked' });
    });

    test('cannot say when it was heard', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      const aheadS = nowS() + 3_600;
      const body = { team_id: 'T1', event_time: aheadS, event: tokensRevoked('U2') };
      const deliveryId = await says(await bridged(), { body, receivedAtMs: aheadS * 1000 });
      expect(await weighed(deliveryId)).toMatchObject({ outcome: 'suspected' });
      expect(await world.stateOf(connection)).toMatchObject({ authorization: 'authorized' });
    });

    test.each<[string, (id: string) => Partial<Signal>]>([
      ['the word of a webhook', () => ({ verified: { scheme: 'slack_v0', secretVersion: 1 } })],
      ['the word of another bridge', () => ({ verified: { bridgeId: newId('bridge') } })],
      ['a signal of another tenant', () => ({ tenantId: newId('tenant') })],
    ])('does not give %s for its own', async (_title, more) => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      const bridge = await bridged();
      const before = refusals();
      await says(bridge, more(bridge.id));
      await refusedOnce(before);
      expect(await revocationsOf(connection)).toEqual([]);
    });

    test('says nothing about a registration that is not its own, whatever its credentials let it publish', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      const other = await world.newRegistration(party, 'slack');
      const bridge = await bridged({ speaksFor: [other], creds: [other, slack] });
      const before = refusals();
      await says(bridge);
      await refusedOnce(before);
      expect(await revocationsOf(connection)).toEqual([]);
    });

    test('says nothing any more once it is disabled', async () => {
      const connection = await connect({ accounts: bot('T1', 'U2') });
      const bridge = await bridged();
      const event = { type: 'BridgeDisabled', version: 1, data: { reason: null } } as const;
      await world.configured(event, { tenantId: party.tenantId, id: bridge.id });
      const before = refusals();
      // What is said before this process has read that it is disabled is still taken; so it is about somebody else.
      await waitFor(
        async () => {
          await says(bridge, { body: { team_id: 'T9', event: tokensRevoked('U9') } });
          return refusals() > before;
        },
        { describe: 'the bridge to be refused', timeoutMs: patienceMs },
      );
      const refusedBefore = refusals();
      await says(bridge);
      await refusedOnce(refusedBefore);
      expect(await revocationsOf(connection)).toEqual([]);
    });
  });

  test('what is no signal on SIGNALS holds nobody up', async () => {
    const subject = `signal.slack.${newId('registration')}.Ev1`;
    const bus = await world.bus('revocation');
    await publishMessage(bus, { stream: 'SIGNALS', subject, payload: { version: 1, source: 'slack' } });
    await connect({ accounts: bot('T1', 'U2') });
    expect(await weighed(await slackSays(tokensRevoked('U2')))).toMatchObject({ outcome: 'revoked' });
  });
});
