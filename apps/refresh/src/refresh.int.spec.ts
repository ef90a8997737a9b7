import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import {
  administratorToken,
  limits,
  newId,
  operations,
  subjects,
  type ConnectionEvent,
  type ReplyOf,
  type TokenSet,
} from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { callOperation, createOperator, publishMessage, serverOperatorConfig } from '@postern/nats';
import type { ProviderClient } from '@postern/provider-client';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { Metrics, startService, type RunningService } from '@postern/service';
import { startAcme, tokenFingerprint, waitFor, type Acme } from '@postern/testing';

import { TakeClaim } from './claim/take-claim.ts';
import { refreshService } from './index.ts';
import { paceLimits } from './pace/pace-limits.ts';
import { Pace } from './pace/pace.ts';
import type { Answer } from './pace/provider-pace.ts';
import { refreshLimits } from './refresh-limits.ts';
import { acmeScopes, AcmeConnections } from './spec-support/acme-connections.ts';
import { VaultDouble } from './spec-support/vault-double.ts';
import { World } from './spec-support/world.ts';
import { Reconciler } from './reconcile/reconciler.ts';
import { SpendClaim } from './spend/spend-claim.ts';

const claimTimeoutMs = 6_000;
/** Claims that a test can wait for; the other tests run with the times of production. */
const shortClaims = { POSTERN_CLAIM_TIMEOUT: `${claimTimeoutMs}ms`, POSTERN_PROVIDER_TIMEOUT: '2s' };
const hourMs = 3_600_000;
const patiently = { describe: 'a refresh with nobody asking', timeoutMs: 60_000 };

await describeWithServer('nats-server', 'refreshing against a real authorization server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-refresh-'));
  const lines: string[] = [];
  const logDestination = { write: (line: string) => void lines.push(line) };
  let server: NatsServer;
  let acme: Acme;
  let world: World;
  let vault: VaultDouble;
  let services: RunningService[] = [];
  let connections: AcmeConnections;
  let provider: ProviderClient;

  beforeAll(async () => {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    acme = await startAcme({ accessTokenTtlS: 3_600 });
    world = await World.create(server.url, bundle, folder);
    vault = await VaultDouble.start(world);
    connections = await AcmeConnections.register(world, vault, acme);
    provider = connections.provider;
    await startTwo({});
  });

  /** Two instances, in the place of those that ran before. */
  async function startTwo(times: Record<string, string>): Promise<void> {
    await stopAll();
    services = await Promise.all(
      ['one', 'two'].map((POSTERN_INSTANCE_ID) => {
        const env = world.env({ ...times, POSTERN_INSTANCE_ID });
        return startService(refreshService, env, { logDestination, checkReplies: true });
      }),
    );
  }

  async function stopAll(): Promise<void> {
    await Promise.all(services.splice(0).map((service) => service.stop()));
  }

  afterAll(async () => {
    await stopAll();
    await vault?.stop();
    await world?.close();
    await acme?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  afterEach(() => acme.faults.clear());

  /** A connection whose access token has ended, or lives another hour. */
  const connect = ({ lives }: { lives: boolean }) => connections.connect({ livesMs: lives ? hourMs : -1 });

  type Reply = ReplyOf<typeof operations.refreshConnection>;
  const ask = async (connectionId: string, version?: number, platformId = world.platformId): Promise<Reply> =>
    callOperation(
      await world.bus(platformId === administratorToken ? 'administrator' : 'gateway'),
      operations.refreshConnection,
      { tenantId: world.tenantId, platformId },
      { connection_id: connectionId, ...(version !== undefined && { credential_version: version }) },
      { timeoutMs: 20_000 },
    );
  /** Calls that spent a refresh token of this connection; others may be refreshed by schedule meanwhile. */
  const refreshCalls = (connectionId: string) => {
    const own = vault.rowsOf(connectionId).map(({ tokenSet }) => tokenFingerprint(tokenSet.refreshToken ?? ''));
    return acme.tokenCalls().filter(({ grantType, presentedRefreshToken = '' }) => {
      return grantType === 'refresh_token' && own.includes(presentedRefreshToken);
    });
  };
  const afterAuthorization = async (connectionId: string) => (await world.history(connectionId)).slice(3);

  /** The sequence of the connection's due message, while it stands on REFRESH. */
  async function standingDue(connectionId: string): Promise<number | undefined> {
    const { connection } = await world.bus('provisioner');
    const last = { last_by_subj: subjects.refreshDue({ tenantId: world.tenantId, connectionId }) };
    const answer = await connection.request('$JS.API.STREAM.MSG.GET.REFRESH', JSON.stringify(last));
    return answer.json<{ message?: { seq: number } }>().message?.seq;
  }

  /** A worker of nobody: it writes a claim and is never heard of again. */
  async function claimOfNobody(connectionId: string, expiresInMs = claimTimeoutMs): Promise<string> {
    const claimId = newId('claim');
    const data = {
      claimId,
      credentialVersion: 1,
      claimExpiresAtMs: Date.now() + expiresInMs,
      reason: 'expired',
    } as const;
    await world.append('refresh', connectionId, { type: 'RefreshStarted', version: 1, data });
    return claimId;
  }
  const release = async (connectionId: string, claimId: string) =>
    callOperation(
      await world.bus('refresh'),
      operations.releaseRefreshToken,
      { app: 'refresh' },
      { tenant_id: world.tenantId, connection_id: connectionId, claim_id: claimId },
    );
  const revoked: ConnectionEvent = {
    type: 'ConnectionRevoked',
    version: 2,
    data: { cause: 'requested_by_platform', reason: null, evidence: null },
  };

  /** Spends the refresh token for a claim that nobody works on, and keeps what comes of it in hand. */
  async function buy(connectionId: string, claimId: string): Promise<TokenSet> {
    await release(connectionId, claimId);
    const refreshToken = Secret.from(vault.rowsOf(connectionId)[0]?.tokenSet.refreshToken ?? '');
    const outcome = await provider.refresh({ refreshToken, grantedScopes: acmeScopes });
    if (outcome.kind !== 'refreshed') throw new Error(outcome.error);
    return outcome.tokenSet;
  }

  test('fifty callers at two instances cause one token call, and the rotated token is kept', async () => {
    const connectionId = await connect({ lives: false });
    const before = refreshCalls(connectionId).length;
    const replies = await Promise.all(Array.from({ length: 50 }, () => ask(connectionId, 1)));
    expect(new Set(replies.map(({ credential_version: version }) => version))).toEqual(new Set([2]));
    expect(replies[0]).toMatchObject({ connection_id: connectionId, freshness: { health: 'ok' } });
    const calls = refreshCalls(connectionId).slice(before);
    expect(calls).toHaveLength(1);
    const [first, second] = vault.rowsOf(connectionId);
    expect(calls[0]?.presentedRefreshToken).toBe(tokenFingerprint(first?.tokenSet.refreshToken ?? ''));
    expect(calls[0]?.issuedRefreshToken).toBe(tokenFingerprint(second?.tokenSet.refreshToken ?? ''));
    const events = ['RefreshStarted', 'RefreshTokenReleased', 'AccessTokenRefreshed', 'RefreshTokenRotated'];
    expect(await afterAuthorization(connectionId)).toEqual(events);
  });

  test('client credentials are asked again before their token ends, with nobody asking, and no refresh token', async () => {
    const connectionId = await connections.establish({ livesMs: 8_000 });
    await waitFor(async () => (await world.history(connectionId)).includes('AccessTokenRefreshed'), patiently);
    const [first, second] = vault.rowsOf(connectionId).map(({ tokenSet }) => tokenSet);
    expect(second).toMatchObject({ refreshToken: null, renewal: first?.renewal, grantedScopes: ['contacts:read'] });
    expect(second?.accessToken).not.toBe(first?.accessToken);
    const types = await world.history(connectionId);
    expect(types.slice(2)).toEqual(['RefreshStarted', 'RefreshTokenReleased', 'AccessTokenRefreshed']);
  });

  test('an answer to client credentials that is lost costs nothing: they are asked again while the token lives', async () => {
    const connectionId = await connections.establish({ livesMs: hourMs });
    acme.faults.set({ tokenEndpoint: { dropAfterProcessing: true, times: 1 } });
    await ask(connectionId).catch(() => undefined);
    await waitFor(async () => (await world.history(connectionId)).includes('AccessTokenRefreshed'), patiently);
    expect(await world.history(connectionId)).toEqual(expect.not.arrayContaining(['RefreshInterrupted']));
  });

  test('who names a version that was replaced is answered at once, and who names none gets a refresh', async () => {
    const connectionId = await connect({ lives: true });
    const before = refreshCalls(connectionId).length;
    expect(await ask(connectionId)).toMatchObject({ credential_version: 2 });
    expect(await ask(connectionId, 1)).toMatchObject({ credential_version: 2 });
    expect(await ask(connectionId, undefined, administratorToken)).toMatchObject({ credential_version: 3 });
    expect(refreshCalls(connectionId)).toHaveLength(before + 2);
  });

  test("another platform's connection looks like none", async () => {
    const connectionId = await connect({ lives: false });
    const stranger = ask(connectionId, 1, newId('platform'));
    await expect(stranger).rejects.toMatchObject({ code: 'connection.not_found' });
    await expect(ask(newId('connection'))).rejects.toMatchObject({ code: 'connection.not_found' });
    expect(await afterAuthorization(connectionId)).toEqual([]);
  });

  test('a dead grant is found once, and told with the way out', async () => {
    const connectionId = await connect({ lives: false });
    const token = Secret.from(vault.rowsOf(connectionId)[0]?.tokenSet.refreshToken ?? '');
    await provider.revoke({ token, hint: 'refresh_token' });
    const before = refreshCalls(connectionId).length;
    const refusal = {
      code: 'connection.reauthorization_required',
      details: {
        reauthorize_url: `https://postern.example/connect/${connectionId}`,
        freshness: { health: 'reauthorization_required', reason: 'invalid_grant' },
      },
    };
    const answers = await Promise.allSettled([ask(connectionId, 1), ask(connectionId), ask(connectionId, 1)]);
    for (const answer of answers) expect(answer).toMatchObject({ status: 'rejected', reason: refusal });
    await expect(ask(connectionId)).rejects.toMatchObject(refusal);
    expect(refreshCalls(connectionId)).toHaveLength(before + 1);
    const events = ['RefreshStarted', 'RefreshTokenReleased', 'RefreshRejected', 'ReauthorizationRequired'];
    expect(await afterAuthorization(connectionId)).toEqual(events);
  });

  test('while the provider fails, a living token stays valid, and its token is not sent twice', async () => {
    const connectionId = await connect({ lives: true });
    acme.faults.set({ tokenEndpoint: { status: 500, error: 'server_error' } });
    const reply = await ask(connectionId);
    expect(reply).toMatchObject({ credential_version: 1, freshness: { health: 'degraded', reason: 'server_error' } });
    const before = refreshCalls(connectionId).length;
    expect(await ask(connectionId, 1)).toMatchObject({ freshness: { health: 'degraded' } });
    expect(refreshCalls(connectionId)).toHaveLength(before);
    const { health, credential } = await world.state(connectionId);
    expect(health.nextAttemptAtMs).toBeGreaterThanOrEqual(credential?.accessTokenExpiresAtMs ?? Infinity);
  });

  test('without a living token a failure says when to come back', async () => {
    const connectionId = await connect({ lives: false });
    acme.faults.set({ tokenEndpoint: { status: 503 } });
    const refusal = { code: 'refresh.unavailable', details: { retry_after_s: expect.any(Number) } };
    await expect(ask(connectionId, 1)).rejects.toMatchObject(refusal);
    const before = refreshCalls(connectionId).length;
    await expect(ask(connectionId, 1)).rejects.toMatchObject(refusal);
    expect(refreshCalls(connectionId)).toHaveLength(before);
    acme.faults.clear();
    expect(await ask(connectionId)).toMatchObject({ credential_version: 2, freshness: { health: 'ok' } });
  });

  test('a wrong client secret alarms the operator and blames nobody else', async () => {
    const connectionId = await connect({ lives: false });
    const { clientSecret } = vault;
    vault.clientSecret = 'not the secret';
    // Timers of one length run in their order, and those of the clients in use were set before.
    await delay(refreshLimits.clientKeptMs);
    await expect(ask(connectionId, 1)).rejects.toMatchObject({ code: 'refresh.unavailable' });
    vault.clientSecret = clientSecret;
    expect(await world.state(connectionId)).toMatchObject({
      authorization: 'authorized',
      health: { status: 'degraded', reason: 'invalid_client' },
    });
    const alarms = lines.filter((line) => line.includes('correct the client registration'));
    expect(alarms).toEqual([expect.stringContaining('"level":"error"')]);
    expect(await ask(connectionId)).toMatchObject({ credential_version: 2 });
  });

  test('while its provider is left alone nothing is claimed, callers hear so at once, and when it is back it goes on', async () => {
    const [connectionId, other] = [await connect({ lives: false }), await connect({ lives: false })];
    const { registrationId } = connections;
    const registration = { registrationId, providerId: 'openid-connect' };
    const paces = services.map((service) => service.get(Pace));
    const hear = (answer: Answer) => paces.forEach((pace) => pace.heard(registrationId, answer));
    for (const pace of paces) {
      const turn = pace.turn(registration);
      if (turn.kind === 'permit') turn.end({ called: true });
    }
    const before = refreshCalls(connectionId).length;
    hear({
      ...{ kind: 'failed', error: 'slow_down', errorDescription: null, httpStatus: 429 },
      ...{ retryAfterMs: 60_000, mayHaveBeenProcessed: false },
    });
    const refusal = { code: 'refresh.unavailable', details: { retry_after_s: expect.any(Number) } };
    await expect(ask(connectionId, 1)).rejects.toMatchObject(refusal);
    await publishMessage(await world.bus('refresh'), {
      stream: 'REFRESH',
      subject: subjects.refreshDue({ tenantId: world.tenantId, connectionId }),
      payload: { reason: 'expired', credential_version: 1, position: 1 },
    });
    const numbers = () => services.map((service) => service.get(Metrics).text()).join('');
    await waitFor(() => numbers().includes('postern_refresh_put_back_total{why="breaker"}'), {
      describe: 'the due message to be put back',
    });
    expect(numbers()).toContain('postern_refresh_breakers{provider="openid-connect",state="open"} 1');
    expect(paces[0]?.readings()).toEqual([
      expect.objectContaining({ ...registration, breaker: 'open', lastError: 'slow_down' }),
    ]);
    const told = await callOperation(
      await world.bus('administrator'),
      operations.refreshStatus,
      { app: 'administrator' },
      {},
    );
    expect(told.open_breakers).toMatchObject([
      { provider: 'openid-connect', registration_id: registrationId, last_error: 'slow_down' },
    ]);
    expect(Date.parse(told.open_breakers[0]?.next_trial_at ?? '')).toBeGreaterThan(Date.now());
    expect(await afterAuthorization(connectionId)).toEqual([]);
    expect(refreshCalls(connectionId)).toHaveLength(before);
    const { connection } = await world.bus('provisioner');
    await connection.request('$JS.API.STREAM.PURGE.REFRESH');
    hear({ ...{ kind: 'rejected', error: 'invalid_grant', errorDescription: null, httpStatus: 400 } });
    expect(await ask(other, 1)).toMatchObject({ credential_version: 2 });
  });

  test('a provider that calls one grant after the other dead ends no more of them, and the operator is called', async () => {
    const connectionId = await connect({ lives: false });
    const { registrationId } = connections;
    const paces = services.map((service) => service.get(Pace));
    for (const pace of paces) {
      const turn = pace.turn({ registrationId, providerId: 'openid-connect' });
      if (turn.kind === 'permit') turn.end({ called: true });
      pace.heard(registrationId, { kind: 'refreshed' } as Answer);
      for (let times = 1; times < paceLimits.rejectedInARowMax; times += 1) {
        pace.heard(registrationId, {
          ...{ kind: 'rejected', error: 'invalid_grant', errorDescription: null, httpStatus: 400 },
        });
      }
    }
    acme.faults.set({ tokenEndpoint: { status: 400, error: 'invalid_grant' } });
    await expect(ask(connectionId, 1)).rejects.toMatchObject({ code: 'refresh.unavailable' });
    expect(await world.state(connectionId)).toMatchObject({
      authorization: 'authorized',
      health: { status: 'degraded', reason: 'invalid_grant' },
    });
    expect(lines.filter((line) => line.includes('one refresh token after the other dead'))).toEqual([
      expect.stringContaining('"level":"error"'),
    ]);
    expect(services.map((service) => service.get(Metrics).text()).join('')).toContain(
      'postern_refresh_rejection_waves 1',
    );
    acme.faults.clear();
    for (const pace of paces) pace.heard(registrationId, { kind: 'refreshed' } as Answer);
    expect(await ask(connectionId)).toMatchObject({ credential_version: 2, freshness: { health: 'ok' } });
  });

  test('tokens bought for a connection that was revoked meanwhile are revoked at the provider', async () => {
    const connectionId = await connect({ lives: false });
    acme.faults.set({ tokenEndpoint: { hold: true, times: 1 } });
    const asked = ask(connectionId, 1);
    const refused = asked.catch((error: unknown) => error);
    await waitFor(() => acme.faults.held() === 1, { describe: 'the token call' });
    const before = acme.counts().revocations;
    await world.append('revocation', connectionId, revoked);
    // Whoever waits is told at once, however long the provider takes.
    expect(await refused).toMatchObject({ code: 'connection.revoked' });
    expect(acme.faults.held()).toBe(1);
    acme.faults.release();
    await waitFor(() => acme.counts().revocations === before + 1, { describe: 'the revocation of the fresh tokens' });
    expect(await afterAuthorization(connectionId)).toEqual([
      'RefreshStarted',
      'RefreshTokenReleased',
      'ConnectionRevoked',
    ]);
    expect(vault.rowsOf(connectionId)).toHaveLength(1);
  });

  test('a due message that comes again after its outcome spends nothing', async () => {
    const connectionId = await connect({ lives: true });
    await ask(connectionId);
    const before = refreshCalls(connectionId).length;
    await publishMessage(await world.bus('refresh'), {
      stream: 'REFRESH',
      subject: subjects.refreshDue({ tenantId: world.tenantId, connectionId }),
      payload: { reason: 'requested', credential_version: 1, position: 1 },
    });
    await waitFor(
      async () => {
        const { num_pending: pending, num_ack_pending: taken } = await world.consumer();
        return pending + taken === 0;
      },
      { describe: 'the due message to be done' },
    );
    expect(refreshCalls(connectionId)).toHaveLength(before);
    expect(await world.state(connectionId)).toMatchObject({ credential: { version: 2 }, claim: null });
  });

  test('a claim with too little time left is not spent', async () => {
    const connectionId = await connect({ lives: true });
    const [service] = services;
    if (service === undefined) throw new Error('no service');
    const due = {
      tenantId: world.tenantId,
      connectionId,
      reason: 'requested',
      credentialVersion: 1,
      position: 1,
    } as const;
    const taken = await service.get(TakeClaim).take(due);
    if (taken.kind !== 'claimed') throw new Error(taken.kind);
    const before = refreshCalls(connectionId).length;
    const held = { ...taken.held, sinceMs: taken.held.sinceMs - limits.claimTimeoutMs + 2 * limits.providerTimeoutMs };
    await service.get(SpendClaim).spend({ held }, { working: () => undefined });
    expect(refreshCalls(connectionId)).toHaveLength(before);
    expect(await afterAuthorization(connectionId)).toEqual(['RefreshStarted', 'RefreshFailed']);
  });

  describe('workers that are alive, dead or late', () => {
    beforeAll(() => startTwo(shortClaims));

    test('a live claim puts the due message back, and its outcome answers those who wait', async () => {
      const connectionId = await connect({ lives: false });
      const claimId = await claimOfNobody(connectionId);
      const asked = ask(connectionId, 1);
      const taken = async () => (await world.consumer()).num_ack_pending > 0 && (await standingDue(connectionId));
      const standing = await waitFor(taken, { describe: 'the due message to be taken' });
      const before = refreshCalls(connectionId).length;
      const tokenSet = await buy(connectionId, claimId);
      const { version } = vault.insert(connectionId, claimId, tokenSet);
      const { grantedScopes, accessTokenExpiresAtMs } = tokenSet;
      const data = { claimId, credentialVersion: version, grantedScopes, accessTokenExpiresAtMs };
      // Put back and not acknowledged: it stands as long as the claim does.
      expect(await standingDue(connectionId)).toBe(standing);
      await world.append('refresh', connectionId, { type: 'AccessTokenRefreshed', version: 1, data });
      expect(await asked).toMatchObject({ credential_version: 2 });
      expect(refreshCalls(connectionId)).toHaveLength(before + 1);
      await waitFor(async () => (await standingDue(connectionId)) === undefined, {
        timeoutMs: 30_000,
        describe: 'the due message to be done',
      });
      expect(refreshCalls(connectionId)).toHaveLength(before + 1);
    });

    test('before the release: nothing was sent, so it is tried again at once', async () => {
      const connectionId = await connect({ lives: false });
      await claimOfNobody(connectionId);
      expect(await ask(connectionId, 1)).toMatchObject({ credential_version: 2 });
      expect(await afterAuthorization(connectionId)).toEqual([
        ...['RefreshStarted', 'RefreshFailed'],
        ...['RefreshStarted', 'RefreshTokenReleased', 'AccessTokenRefreshed', 'RefreshTokenRotated'],
      ]);
    });

    test('after the release: it is called interrupted, and retried once the access token has ended', async () => {
      const connectionId = await connect({ lives: false });
      await release(connectionId, await claimOfNobody(connectionId));
      const before = refreshCalls(connectionId).length;
      expect(await ask(connectionId, 1)).toMatchObject({ credential_version: 2 });
      expect(refreshCalls(connectionId)).toHaveLength(before + 1);
      expect(await afterAuthorization(connectionId)).toEqual([
        ...['RefreshStarted', 'RefreshTokenReleased', 'RefreshInterrupted'],
        ...['RefreshStarted', 'RefreshTokenReleased', 'AccessTokenRefreshed', 'RefreshTokenRotated'],
      ]);
    });

    test('after the vault stored: what the claim bought is found and recorded, and nothing is spent', async () => {
      const connectionId = await connect({ lives: false });
      const claimId = await claimOfNobody(connectionId);
      const tokenSet = await buy(connectionId, claimId);
      vault.insert(connectionId, claimId, tokenSet);
      const before = refreshCalls(connectionId).length;
      expect(await ask(connectionId, 1)).toMatchObject({ credential_version: 2 });
      expect(refreshCalls(connectionId)).toHaveLength(before);
      expect((await world.state(connectionId)).credential?.boughtBy).toBe(claimId);
    });

    test('what an interrupted worker stored before it died is found before the retry, and nothing is spent', async () => {
      const connectionId = await connect({ lives: false });
      const claimId = await claimOfNobody(connectionId);
      const tokenSet = await buy(connectionId, claimId);
      const data = { claimId, credentialVersion: 1 };
      await world.append('refresh', connectionId, { type: 'RefreshInterrupted', version: 1, data });
      vault.insert(connectionId, claimId, tokenSet);
      const before = refreshCalls(connectionId).length;
      expect(await ask(connectionId, 1)).toMatchObject({ credential_version: 2 });
      expect(refreshCalls(connectionId)).toHaveLength(before);
      expect((await world.state(connectionId)).credential?.boughtBy).toBe(claimId);
    });

    test('what comes in when its connection is called lost already is found by reconciling, and nothing is spent', async () => {
      const connectionId = await connect({ lives: false });
      const claimId = await claimOfNobody(connectionId);
      const tokenSet = await buy(connectionId, claimId);
      const interrupted = { type: 'RefreshInterrupted', version: 1, data: { claimId, credentialVersion: 1 } } as const;
      const data = { cause: 'refresh_interrupted', evidence: null } as const;
      await world.append('refresh', connectionId, interrupted, { type: 'ReauthorizationRequired', version: 1, data });
      vault.insert(connectionId, claimId, tokenSet);
      const before = refreshCalls(connectionId).length;
      await services[0]?.get(Reconciler).reconcile();
      expect(await world.state(connectionId)).toMatchObject({
        ...{ authorization: 'authorized', reauthorizationCause: null },
        credential: { version: 2, boughtBy: claimId },
      });
      expect(refreshCalls(connectionId)).toHaveLength(before);
    });

    test('a late answer of an interrupted worker is welcome', async () => {
      const connectionId = await connect({ lives: true });
      const [slow] = services;
      if (slow === undefined) throw new Error('no service');
      vault.holdStores();
      const due = {
        tenantId: world.tenantId,
        connectionId,
        reason: 'requested',
        credentialVersion: 1,
        position: 1,
      } as const;
      const taken = await slow.get(TakeClaim).take(due);
      if (taken.kind !== 'claimed') throw new Error(taken.kind);
      const spent = slow.get(SpendClaim).spend(taken, { working: () => undefined });
      await waitFor(() => vault.held > 0, { describe: 'the store to be held' });
      const second = await ask(connectionId);
      expect(second).toMatchObject({ credential_version: 1, freshness: { reason: 'refresh_interrupted' } });
      vault.letStoresGo();
      await spent;
      expect(await afterAuthorization(connectionId)).toEqual([
        ...['RefreshStarted', 'RefreshTokenReleased', 'RefreshInterrupted'],
        ...['AccessTokenRefreshed', 'RefreshTokenRotated'],
      ]);
      expect(await world.state(connectionId)).toMatchObject({ credential: { version: 2 }, health: { status: 'ok' } });
    });
  });

  test('no token and no client secret stands in a log line', () => {
    const sets = [...vault.rows.values()].flat().map(({ tokenSet }) => tokenSet);
    const secrets = [
      vault.clientSecret,
      ...sets.flatMap(({ accessToken, refreshToken }) => [
        accessToken,
        ...(refreshToken === null ? [] : [refreshToken]),
      ]),
    ];
    expect(secrets.length).toBeGreaterThan(20);
    const all = lines.join('');
    expect(lines.length).toBeGreaterThan(20);
    expect(secrets.filter((secret) => all.includes(secret))).toEqual([]);
  });
});
