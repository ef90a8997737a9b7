import { jest } from '@jest/globals';

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { administratorToken, operations, subjects, type ConnectionEvent, type ConsumerKey } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { callOperation, createOperator, provision, publishMessage, serverOperatorConfig } from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { Clock, startService, type RunningService } from '@postern/service';
import { startAcme, tokenFingerprint, waitFor, type Acme } from '@postern/testing';

import { refreshService } from './index.ts';
import { Reconciler } from './reconcile/reconciler.ts';
import { Plans } from './schedule/plans.ts';
import { Schedules, type Standing } from './schedule/schedules.ts';
import { AcmeConnections } from './spec-support/acme-connections.ts';
import { storedMessages } from './spec-support/stored-messages.ts';
import { VaultDouble } from './spec-support/vault-double.ts';
import { World } from './spec-support/world.ts';

const hourMs = 3_600_000;
const minuteMs = 60_000;
/** Long enough for a machine with other things to do. */
const patienceMs = 150_000;
const setupTimeoutMs = 300_000;

jest.setTimeout(300_000);

/** The machine's clock, set forward or back. */
class SetClock extends Clock {
  offsetMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.offsetMs;
  }
}

await describeWithServer('nats-server', 'schedules', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-schedule-'));
  const lines: string[] = [];
  const logDestination = { write: (line: string) => void lines.push(line) };
  const clock = new SetClock();
  let server: NatsServer;
  let restart: () => Promise<void>;
  let acme: Acme;
  let world: World;
  let vault: VaultDouble;
  let connections: AcmeConnections;
  let schedules: Schedules;
  let services: RunningService[] = [];

  beforeAll(async () => {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle), extra: 'authorization { timeout: 30 }' };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    const { dataDir, port, monitorPort } = server;
    restart = async () => {
      server = await startNatsServer({ dataDir, port, monitorPort, config });
      const isAnswered = () => world.consumer('refreshWorker').then(Boolean, () => false);
      await until(isAnswered, 'an answer of the server');
    };
    acme = await startAcme({ accessTokenTtlS: 3_600 });
    world = await World.create(server.url, bundle, folder);
    vault = await VaultDouble.start(world);
    connections = await AcmeConnections.register(world, vault, acme);
    schedules = new Schedules(await world.bus('refresh'));
    await startTwo();
  }, setupTimeoutMs);

  /** Reconciled at their start, and then when a test says so. */
  async function startTwo(): Promise<void> {
    services = await Promise.all(
      ['one', 'two'].map((POSTERN_INSTANCE_ID) => {
        const env = world.env({ POSTERN_INSTANCE_ID, POSTERN_RECONCILE_INTERVAL: '24h' });
        return startService(refreshService, env, { logDestination, checkReplies: true, clock });
      }),
    );
  }
  const stopTwo = () => Promise.all(services.splice(0).map((service) => service.stop()));

  afterEach(() => {
    clock.offsetMs = 0;
    acme.faults.clear();
  });

  afterAll(async () => {
    await stopTwo();
    await vault?.stop();
    await world?.close();
    await acme?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const refOf = (connectionId: string) => ({ tenantId: world.tenantId, id: connectionId });
  const standing = async (connectionId: string): Promise<Standing> => {
    const [found] = await schedules.standing([refOf(connectionId)]);
    if (found === undefined) throw new Error('no answer');
    return found;
  };
  const refreshCalls = () => acme.tokenCalls().filter(({ grantType }) => grantType === 'refresh_token');
  const fingerprintOf = (connectionId: string, version = 1) =>
    tokenFingerprint(vault.rowsOf(connectionId)[version - 1]?.tokenSet.refreshToken ?? '');
  const callsWith = (fingerprint: string) =>
    refreshCalls().filter(({ presentedRefreshToken }) => presentedRefreshToken === fingerprint).length;
  const versionOf = async (connectionId: string) => (await world.state(connectionId)).credential?.version ?? 0;
  const planOf = async (connectionId: string) => {
    const plan = service()
      .get(Plans)
      .of(await world.state(connectionId));
    if (plan === undefined) throw new Error('nothing is planned');
    return plan;
  };
  const until = (holds: () => Promise<unknown>, describe: string) =>
    waitFor(async () => Boolean(await holds()), { timeoutMs: patienceMs, describe });
  const scheduled = (connectionId: string, version = 1) =>
    until(
      async () => (await standing(connectionId)).schedule?.credentialVersion === version,
      `a schedule of version ${version}`,
    );
  const refreshedTo = (connectionId: string, version: number) =>
    until(async () => (await versionOf(connectionId)) >= version, `version ${version}`);
  const workedOff = (consumer: ConsumerKey) =>
    until(async () => {
      const { num_pending: pending, num_ack_pending: taken } = await world.consumer(consumer);
      return pending + taken === 0;
    }, `${consumer} to have nothing left`);
  const idle = () => workedOff('refreshWorker');

  function service(): RunningService {
    const [first] = services;
    if (first === undefined) throw new Error('no service');
    return first;
  }
  const reconcile = () => service().get(Reconciler).reconcile();
  /** By and by, as it is done: what fails on a busy machine is tried again at a time that the server is far from. */
  const reconciledTo = (connectionId: string, version: number) =>
    until(async () => {
      await reconcile();
      return (await versionOf(connectionId)) >= version;
    }, `version ${version}, by reconciling`);
  const status = async () =>
    callOperation(await world.bus('administrator'), operations.refreshStatus, { app: 'administrator' }, {});
  const ask = async (connectionId: string) =>
    callOperation(
      await world.bus('administrator'),
      operations.refreshConnection,
      { tenantId: world.tenantId, platformId: administratorToken },
      { connection_id: connectionId },
      { timeoutMs: 20_000 },
    );
  const publishDue = async (connectionId: string, dueAtMs: number, credentialVersion = 1) =>
    publishMessage(await world.bus('refresh'), {
      stream: 'REFRESH',
      subject: subjects.refreshDue({ tenantId: world.tenantId, connectionId }),
      payload: { reason: 'scheduled', credential_version: credentialVersion, position: 1, due_at_ms: dueAtMs },
    });
  const reasons = async (connectionId: string) => {
    const found: string[] = [];
    for await (const { commit } of (await world.connections('audit')).history(refOf(connectionId))) {
      for (const { type, data } of commit.events) if (type === 'RefreshStarted') found.push(String(data['reason']));
    }
    return found;
  };
  const commits = async (connectionId: string) => {
    const found: string[] = [];
    for await (const { commit } of (await world.connections('audit')).history(refOf(connectionId))) {
      found.push(`${commit.actor.id}: ${commit.events.map(({ type }) => type).join(', ')}`);
    }
    return found;
  };
  const event = (type: ConnectionEvent['type'], data: object): ConnectionEvent =>
    ({ type, version: 1, data }) as ConnectionEvent;
  const purge = async () => {
    const { connection } = await world.bus('provisioner');
    const answer = await connection.request('$JS.API.STREAM.PURGE.REFRESH', '', { timeout: 10_000 });
    expect(answer.json()).toMatchObject({ success: true });
  };

  test('a token is refreshed ahead of its end, once, with nobody asking', async () => {
    const connectionId = await connections.connect({ livesMs: 20_000 });
    const { credential } = await world.state(connectionId);
    await refreshedTo(connectionId, 2);
    const after = await world.state(connectionId);
    expect(after.credential?.refreshedAtMs).toBeLessThan(credential?.accessTokenExpiresAtMs ?? 0);
    expect(await reasons(connectionId)).toEqual(['scheduled']);
    expect(await commits(connectionId)).toContain('vault: RefreshStarted, RefreshTokenReleased');
    expect(callsWith(fingerprintOf(connectionId))).toBe(1);
    await scheduled(connectionId, 2);
  });

  test('the schedule follows the log: set, replaced, cancelled, set again', async () => {
    const connectionId = await connections.connect({ livesMs: hourMs });
    await scheduled(connectionId);
    expect((await standing(connectionId)).schedule?.dueAtMs).toBe((await planOf(connectionId)).atMs);
    await ask(connectionId);
    await scheduled(connectionId, 2);
    const gone = () => until(async () => (await standing(connectionId)).schedule === null, 'the schedule to go');
    await world.append('revocation', connectionId, event('ConnectionSuspended', { reason: null }));
    await gone();
    await world.append('revocation', connectionId, event('ConnectionResumed', { reason: null }));
    await scheduled(connectionId, 2);
    await world.append(
      'revocation',
      connectionId,
      event('ConnectionRevoked', { cause: 'requested_by_platform', reason: null }),
    );
    await gone();
  });

  test('a failure is retried when its pause is over, with nobody asking', async () => {
    const connectionId = await connections.connect({ livesMs: -1 });
    acme.faults.set({ tokenEndpoint: { status: 503 } });
    await expect(ask(connectionId)).rejects.toMatchObject({ code: 'refresh.unavailable' });
    await until(async () => {
      const failing = (await status()).failing.find(({ provider }) => provider === 'openid-connect');
      return failing?.reasons.some(({ connections: count }) => count > 0) && failing.next_attempt_at !== null;
    }, 'the failing provider to be told of');
    acme.faults.clear();
    await refreshedTo(connectionId, 2);
    expect((await reasons(connectionId)).at(-1)).toBe('retry');
  });

  test('a message that is delivered twice, and replaced while in work, spends once', async () => {
    const connectionId = await connections.connect({ livesMs: hourMs });
    await scheduled(connectionId);
    const { atMs } = await planOf(connectionId);
    clock.offsetMs = 59.5 * minuteMs;
    acme.faults.set({ tokenEndpoint: { hold: true, times: 1 } });
    await publishDue(connectionId, atMs);
    await until(async () => acme.faults.held() === 1, 'the token call');
    // Each replaces the one before it, and is delivered beside what is in work.
    const { delivered: before } = await world.consumer();
    for (let copy = 0; copy < 3; copy += 1) {
      const { position } = await publishDue(connectionId, atMs);
      await until(async () => (await world.consumer()).delivered.stream_seq >= position, 'its delivery');
    }
    expect((await world.consumer()).delivered.consumer_seq).toBeGreaterThanOrEqual(before.consumer_seq + 3);
    acme.faults.release();
    await refreshedTo(connectionId, 2);
    await idle();
    expect(callsWith(fingerprintOf(connectionId))).toBe(1);
    expect(await versionOf(connectionId)).toBe(2);
    await scheduled(connectionId, 2);
  });

  test('an old schedule that fires late spends nothing, and leaves the right one standing', async () => {
    const connectionId = await connections.connect({ livesMs: hourMs });
    await scheduled(connectionId);
    await ask(connectionId);
    await scheduled(connectionId, 2);
    const before = refreshCalls().length;
    // As the server does it: the due message comes, and whatever stood as a schedule is gone.
    await schedules.set(refOf(connectionId), { clock: 'access_token', atMs: Date.now() - 1, credentialVersion: 1 }, 1);
    await scheduled(connectionId, 2);
    await idle();
    expect((await standing(connectionId)).schedule?.dueAtMs).toBe((await planOf(connectionId)).atMs);
    expect(refreshCalls()).toHaveLength(before);
  });

  test('a message before its time waits for it, and is refreshed then, once', async () => {
    const connectionId = await connections.connect({ livesMs: 20_000 });
    const { atMs } = await planOf(connectionId);
    await publishDue(connectionId, atMs);
    await refreshedTo(connectionId, 2);
    const { credential } = await world.state(connectionId);
    expect(credential?.refreshedAtMs).toBeGreaterThanOrEqual(atMs - 10_000);
    await idle();
    expect(callsWith(fingerprintOf(connectionId))).toBe(1);
  });

  test('REFRESH is wiped: the log knows what stood there, and the operator is told', async () => {
    const ids = [await connections.connect({ livesMs: hourMs }), await connections.connect({ livesMs: hourMs })];
    await Promise.all(ids.map((id) => scheduled(id)));
    const calls = refreshCalls().length;
    await purge();
    clock.offsetMs = 11_000;
    expect((await status()).unscheduled).toBeGreaterThanOrEqual(2);
    // Two at a time: whoever comes second finds it mended.
    const everywhere = () => Promise.all(services.map((one) => one.get(Reconciler).reconcile()));
    await everywhere();
    for (const id of ids) expect((await standing(id)).schedule?.dueAtMs).toBe((await planOf(id)).atMs);
    expect(await everywhere()).toEqual([0, 0]);
    expect((await status()).unscheduled).toBe(0);
    expect(lines.some((line) => line.includes('and were mended'))).toBe(true);
    expect(refreshCalls()).toHaveLength(calls);
  });

  test('REFRESH is lost while nobody runs: it is filled again at the start', async () => {
    const connectionId = await connections.connect({ livesMs: hourMs });
    await scheduled(connectionId);
    await stopTwo();
    const provisioner = await world.bus('provisioner');
    await provisioner.connection.request('$JS.API.STREAM.DELETE.REFRESH', '', { timeout: 10_000 });
    await provision(provisioner);
    expect((await standing(connectionId)).schedule).toBeNull();
    await startTwo();
    clock.offsetMs = 11_000;
    await until(async () => (await reconcile()) === 0, 'the schedules to fit the log');
    expect((await standing(connectionId)).schedule?.dueAtMs).toBe((await planOf(connectionId)).atMs);
  });

  test('nats-server dies and has lost what it had not synced of REFRESH: soon all of it stands again, with nobody asking', async () => {
    const connect = (livesMs: number) => connections.connect({ livesMs });
    const first = await connect(hourMs);
    await ask(first);
    await scheduled(first, 2);
    await workedOff('refreshWorker');
    const [kept, stored] = [join(folder, 'kept'), storedMessages(server.dataDir)];
    await server.kill();
    cpSync(stored, kept, { recursive: true });
    await restart();
    const [resting, refreshed] = [await connect(hourMs), await connect(20_000)];
    await scheduled(resting);
    await refreshedTo(refreshed, 2);
    await scheduled(refreshed, 2);
    await workedOff('refreshWorker');
    await server.kill();
    rmSync(stored, { recursive: true });
    cpSync(kept, stored, { recursive: true });
    await restart();
    expect((await standing(resting)).schedule).toBeNull();
    await Promise.all([scheduled(resting), scheduled(refreshed, 2)]);
    // Its consumer had come further than the stream has now.
    await refreshedTo(await connect(20_000), 2);
    expect(callsWith(fingerprintOf(refreshed))).toBe(1);
  });

  test('a schedule that was moved, and one that has no business there, are put right', async () => {
    const moved = await connections.connect({ livesMs: hourMs });
    const stray = await connections.connect({ livesMs: null });
    await scheduled(moved);
    await workedOff('refreshScheduler');
    const plan = await planOf(moved);
    await schedules.set(refOf(moved), { ...plan, atMs: plan.atMs + 30 * minuteMs }, 1);
    await schedules.set(refOf(stray), plan, 1);
    clock.offsetMs = 11_000;
    expect(await reconcile()).toBe(2);
    expect((await standing(moved)).schedule?.dueAtMs).toBe(plan.atMs);
    expect((await standing(stray)).schedule).toBeNull();
  });

  test('the clock is set forward: what has become due is refreshed, though the server still waits', async () => {
    const connectionId = await connections.connect({ livesMs: hourMs });
    await scheduled(connectionId);
    clock.offsetMs = 59.5 * minuteMs;
    expect((await status()).late).toBeGreaterThanOrEqual(1);
    await reconciledTo(connectionId, 2);
    const [first, ...later] = await reasons(connectionId);
    expect(first).toBe('scheduled');
    expect(later.filter((reason) => reason !== 'retry')).toEqual([]);
    await reconcile();
    await idle();
    expect(callsWith(fingerprintOf(connectionId))).toBe(1);
  });

  test('a claim whose message was wiped is taken over when it is over', async () => {
    const connectionId = await connections.connect({ livesMs: hourMs });
    await scheduled(connectionId);
    const claimId = 'clm_01jd0000000000000000000001';
    const data = { claimId, credentialVersion: 1, claimExpiresAtMs: Date.now() + 1_000, reason: 'scheduled' };
    await world.append('refresh', connectionId, event('RefreshStarted', data));
    await purge();
    clock.offsetMs = 11_000;
    await until(async () => (await reconcile()) > 0, 'the claim to be found');
    clock.offsetMs = 0;
    await until(async () => (await world.state(connectionId)).claim === null, 'the claim to be ended');
    await refreshedTo(connectionId, 2);
    expect(callsWith(fingerprintOf(connectionId))).toBe(1);
  });

  test('stopped for longer than the tokens live: all are refreshed or truthfully reported, nothing is spent twice', async () => {
    await stopTwo();
    const livesMs = 6_000;
    const living = await Promise.all(Array.from({ length: 4 }, () => connections.connect({ livesMs })));
    const dead = await connections.connect({ livesMs });
    const tokenless = await connections.connect({ livesMs, hasRefreshToken: false });
    const suspended = await connections.connect({ livesMs });
    await world.append('revocation', suspended, event('ConnectionSuspended', { reason: null }));
    const token = Secret.from(vault.rowsOf(dead)[0]?.tokenSet.refreshToken ?? '');
    await connections.provider.revoke({ token, hint: 'refresh_token' });
    const allEndAtMs = Date.now() + livesMs;
    await waitFor(() => Date.now() > allEndAtMs, { timeoutMs: patienceMs, describe: 'the tokens to end' });
    await startTwo();
    await Promise.all(living.map((id) => refreshedTo(id, 2)));
    const needsUser = async (id: string) => (await world.state(id)).authorization === 'reauthorization_required';
    await until(() => needsUser(dead), 'the dead grant to be reported');
    await until(() => needsUser(tokenless), 'the token without successor to be reported');
    await idle();
    for (const id of [...living, dead]) expect([id, callsWith(fingerprintOf(id))]).toEqual([id, 1]);
    for (const id of [tokenless, suspended]) expect(callsWith(fingerprintOf(id))).toBe(0);
    await Promise.all(living.map((id) => scheduled(id, 2)));
    expect((await world.state(dead)).evidence).toBe('invalid_grant');
    expect((await world.state(suspended)).suspended).toBe(true);
  });
});
