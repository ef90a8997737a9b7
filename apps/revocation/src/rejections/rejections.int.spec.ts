import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { newId, operations, PosternError, type RejectionReply, type WeighedSignal } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import {
  callOperation,
  createOperator,
  endpoint,
  serveOperations,
  serverOperatorConfig,
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
import { startAcme, waitFor, type Acme, type AcmeClient } from '@postern/testing';

import { revocationGrants, revocationMigrations, revocationSchema, revocationService } from '../index.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { acmeClient, tokensOfAcme } from '../spec-support/acme-tokens.ts';
import { SmallVault } from '../spec-support/small-vault.ts';
import { World, type ConnectionRef, type Party } from '../spec-support/world.ts';

const redirectUri = 'http://127.0.0.1:9/oauth/callback/reg';
const serviceRole = 'revocation_rejections';
const servicePassword = 'the-password-of-the-service';
const patienceMs = 30_000;

type Report = Parameters<typeof callOperation<typeof operations.reportRejection>>[3];

await describeWithServer('nats-server', 'reports of refused tokens', () => {
  const folder = temporaryDataDir('postern-rejections-');
  let server: NatsServer;
  let postgres: Postgres;
  let acme: Acme;
  let app: AcmeClient;
  let world: World;
  let vault: SmallVault;
  let service: RunningService;
  let refreshing: ServedOperations;
  let party: Party;
  let registrationId: string;
  /** What `refresh` was asked for, and what it answers. */
  const asked: { connectionId: string; version: number | undefined }[] = [];
  let refreshFault: PosternError;

  beforeAll(async () => {
    const bundle = await createOperator();
    postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
    await postgres.createDatabase('rejections');
    const ownerUrl = postgres.urlOf('rejections');
    const place = { ownerUrl, schema: revocationSchema, migrations: revocationMigrations, grants: revocationGrants };
    await migrateDatabase({ ...place, serviceRole, servicePassword });
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    world = await World.make(server.url, bundle, join(folder, 'files'));
    world.useDatabase(Object.assign(new URL(ownerUrl), { username: serviceRole, password: servicePassword }).href);
    acme = await startAcme({ accessTokenTtlS: 3600 });
    app = await acme.registerClient({ redirectUris: [redirectUri] });
    vault = await new SmallVault(world, 'vault-1').start();
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
    service = await startService(revocationService, world.env, {
      logDestination: { write: () => undefined },
      checkReplies: true,
    });
  }, 180_000);
  beforeEach(async () => {
    party = await world.newPlatform();
    registrationId = newId('registration');
    const parameters = { issuer: acme.issuer };
    const client = { providerId: 'openid-connect', displayName: 'App', clientId: app.clientId, parameters };
    await world.configured(
      {
        type: 'RegistrationCreated',
        version: 1,
        data: { ...client, tokenEndpointAuthMethod: 'client_secret_basic', scopes: [] },
      },
      { tenantId: party.tenantId, id: registrationId },
    );
    vault.clientSecrets.set(registrationId, app.clientSecret ?? '');
    vault.beforeToken = undefined;
    vault.seen.splice(0);
    acme.faults.clear();
    asked.length = 0;
    refreshFault = new PosternError('refresh.unavailable', 'Not now.');
  });
  afterAll(async () => {
    await service?.stop();
    await refreshing?.stop();
    await vault?.stop();
    await world?.close();
    await acme?.close();
    await server?.stop();
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function connectedAtAcme({ hasRefreshToken = true } = {}) {
    const { accessToken, refreshToken } = await tokensOfAcme(acmeClient(acme, app), redirectUri);
    const connection = await world.connected(party, registrationId, { hasRefreshToken });
    vault.tokens.set(connection.connectionId, { accessToken, refreshToken: hasRefreshToken ? refreshToken : null });
    return { ...connection, accessToken, refreshToken: refreshToken ?? '' };
  }
  /** The end user takes the grant away at Acme. */
  const revokedAtAcme = async ({ refreshToken }: { refreshToken: string }) => {
    const outcome = await acmeClient(acme, app).revoke({ token: Secret.from(refreshToken), hint: 'refresh_token' });
    expect(outcome).toEqual({ kind: 'revoked' });
  };
  const report = async (
    { connectionId }: ConnectionRef,
    more: Partial<Report> = {},
    by = party,
  ): Promise<RejectionReply> =>
    await callOperation(await world.platformBus(by), operations.reportRejection, by, {
      connection_id: connectionId,
      lease_id: newId('lease'),
      credential_version: 1,
      status: 401,
      ...more,
    });
  const listed = async (): Promise<WeighedSignal[]> => {
    const bus = await world.bus('administrator');
    const request = { tenant_id: party.tenantId };
    return (await callOperation(bus, operations.listSignals, { app: 'administrator' }, request)).signals;
  };
  const weighed = async (outcome: WeighedSignal['outcome']) =>
    await waitFor(async () => (await listed()).find((signal) => signal.outcome === outcome), {
      describe: async () => `${outcome} among ${JSON.stringify(await listed())}`,
      timeoutMs: patienceMs,
    });
  const eventsOf = async (connection: ConnectionRef) =>
    (await world.historyOf(connection)).flatMap(({ commit }) => commit.events).slice(3);

  describe('of a provider that can be asked about its refresh tokens', () => {
    test('a dead grant ends the connection, with the evidence and how it was confirmed', async () => {
      const connection = await connectedAtAcme();
      await revokedAtAcme(connection);
      const leaseId = newId('lease');
      expect(await report(connection, { lease_id: leaseId })).toMatchObject({ outcome: 'suspected' });
      const { position } = await weighed('revoked');
      const evidence = { source: 'platform', type: 'token_rejected', position, occurredAtMs: null, matchedBy: 'lease' };
      expect(await eventsOf(connection)).toMatchObject([
        { type: 'RevocationSuspected', data: { credentialVersion: 1, evidence } },
        {
          type: 'ConnectionRevoked',
          data: {
            cause: 'revoked_at_provider',
            evidence,
            confirmedBy: { method: 'introspection', error: null },
          },
        },
      ]);
      expect(await world.signalsOf('platform', registrationId)).toMatchObject([{ body: { leaseId, httpStatus: 401 } }]);
      expect(asked).toEqual([]);
      expect(vault.seen).toContain(`asked for the refresh_token of ${connection.connectionId}`);
    });

    test('a living one is said to live, and the provider is not asked again for a while', async () => {
      const connection = await connectedAtAcme();
      const before = acme.counts().introspections;
      await report(connection);
      await weighed('disproved');
      expect(await eventsOf(connection)).toMatchObject([
        { type: 'RevocationSuspected' },
        { type: 'RevocationDisproved', data: { credentialVersion: 1, method: 'introspection' } },
      ]);
      for (let times = 0; times < 10; times += 1) {
        expect(await report(connection)).toMatchObject({ outcome: 'asked_lately', freshness: { health: 'ok' } });
      }
      expect(acme.counts().introspections - before).toBe(1);
      expect(await world.signalsOf('platform', registrationId)).toHaveLength(1);
    });

    test('without an answer it stays suspected, and is asked again', async () => {
      const connection = await connectedAtAcme();
      acme.faults.set({ introspectionEndpoint: { status: 503, times: 1 } });
      await report(connection);
      await weighed('suspected');
      await revokedAtAcme(connection);
      await weighed('revoked');
      expect((await eventsOf(connection)).map(({ type }) => type)).toEqual([
        'RevocationSuspected',
        'ConnectionRevoked',
      ]);
    });

    test('an answer that something else overtook counts for nothing, and the provider is asked again', async () => {
      const connection = await connectedAtAcme();
      await revokedAtAcme(connection);
      let times = 0;
      vault.beforeToken = async () => {
        times += 1;
        if (times > 1) return;
        const request = { connection_id: connection.connectionId };
        await callOperation(await world.platformBus(party), operations.suspendConnection, party, request);
      };
      await report(connection);
      await weighed('revoked');
      expect(times).toBe(2);
    });

    test('an endpoint that refuses our client leaves it to a refresh', async () => {
      const connection = await connectedAtAcme();
      vault.clientSecrets.set(registrationId, 'not the secret');
      refreshFault = new PosternError('connection.reauthorization_required', 'The provider said so.');
      await report(connection);
      await weighed('revoked');
      expect(asked).toEqual([{ connectionId: connection.connectionId, version: 1 }]);
    });
  });

  describe('of a connection without a refresh token', () => {
    test('a dead access token ends it', async () => {
      const connection = await connectedAtAcme({ hasRefreshToken: false });
      await revokedAtAcme(connection);
      await report(connection);
      await weighed('revoked');
      expect((await eventsOf(connection)).at(-1)).toMatchObject({
        type: 'ConnectionRevoked',
        data: { confirmedBy: { method: 'probe', error: 'invalid_token' } },
      });
      expect(vault.seen).toContain(`asked for the access_token of ${connection.connectionId}`);
    });

    test('a living one ends the suspicion alone', async () => {
      const connection = await connectedAtAcme({ hasRefreshToken: false });
      await report(connection);
      await weighed('disproved');
      expect((await eventsOf(connection)).at(-1)).toMatchObject({
        type: 'RevocationDisproved',
        data: { method: 'probe' },
      });
    });
  });

  test('a provider that has nothing but its token endpoint is asked by one refresh of that version', async () => {
    const slack = await world.newRegistration(party, 'slack');
    const connection = await world.connected(party, slack, { providerId: 'slack' });
    expect(await report(connection, { status: 200, error: 'token_revoked' })).toMatchObject({ outcome: 'suspected' });
    await weighed('suspected');
    expect(await report(connection)).toMatchObject({ outcome: 'suspected' });
    expect(asked).toEqual([{ connectionId: connection.connectionId, version: 1 }]);
    expect((await eventsOf(connection)).map(({ type }) => type)).toEqual(['RevocationSuspected']);
  });

  test('tokens that are all refused at once are an outage: one that lives lets the others be', async () => {
    const { accessToken, refreshToken } = await connectedAtAcme();
    const connections = await Promise.all(
      Array.from({ length: revocationLimits.waveConnectionsMin + 6 }, async () => {
        const connection = await world.connected(party, registrationId);
        vault.tokens.set(connection.connectionId, { accessToken, refreshToken });
        return connection;
      }),
    );
    const before = acme.counts().introspections;
    acme.faults.set({ introspectionEndpoint: { hold: true } });
    for (const connection of connections) expect(await report(connection)).toMatchObject({ outcome: 'suspected' });
    await waitFor(async () => (await listed()).length >= connections.length - revocationLimits.inquiriesAtOnceMax, {
      describe: 'those that wait for their turn',
      timeoutMs: patienceMs,
    });
    acme.faults.clear();
    const outcomes = await waitFor(
      async () => {
        const all = (await listed()).map(({ outcome }) => outcome);
        const done = all.length === connections.length && all.every((one) => one === 'disproved' || one === 'recorded');
        return done ? all : undefined;
      },
      { describe: async () => JSON.stringify(await listed()), timeoutMs: 3 * patienceMs },
    );
    const asking = outcomes.filter((outcome) => outcome === 'disproved').length;
    expect(asking).toBeLessThanOrEqual(revocationLimits.inquiriesAtOnceMax);
    expect(acme.counts().introspections - before).toBe(asking);
    const suspected = await Promise.all(connections.map(async (one) => (await eventsOf(one)).length > 0));
    expect(suspected.filter(Boolean)).toHaveLength(asking);
  }, 120_000);

  describe('a matter of scopes', () => {
    const challenge = (scope: string) => ({
      status: 403,
      www_authenticate: `Bearer error="insufficient_scope", scope="${scope}"`,
    });

    test('is recorded once and told, and ends nothing', async () => {
      const connection = await world.connected(party, registrationId);
      const wanted = challenge('contacts:read contacts:write admin');
      for (let times = 0; times < 2; times += 1) {
        expect(await report(connection, wanted)).toMatchObject({
          outcome: 'scope_missing',
          missing_scopes: ['contacts:write', 'admin'],
          freshness: { health: 'ok' },
        });
      }
      expect(await report(connection, challenge('admin files'))).toMatchObject({ missing_scopes: ['admin', 'files'] });
      const data = { credentialVersion: 1, error: 'insufficient_scope' };
      expect(await eventsOf(connection)).toMatchObject([
        { type: 'InsufficientScopeReported', data: { ...data, missingScopes: ['contacts:write', 'admin'] } },
        { type: 'InsufficientScopeReported', data: { ...data, missingScopes: ['files'] } },
      ]);
      expect(await world.signalsOf('platform', registrationId)).toEqual([]);
    });

    test("may be said in the provider's own words", async () => {
      const slack = await world.newRegistration(party, 'slack');
      const connection = await world.connected(party, slack, { providerId: 'slack' });
      const said = { status: 200, error: 'missing_scope', needed_scopes: ['channels:history'] };
      expect(await report(connection, said)).toMatchObject({
        outcome: 'scope_missing',
        missing_scopes: ['channels:history'],
      });
      expect(await eventsOf(connection)).toMatchObject([{ data: { error: 'missing_scope' } }]);
    });

    test('of an older version is none', async () => {
      const connection = await world.connected(party, registrationId);
      expect(await report(connection, { ...challenge('admin'), credential_version: 2 })).toMatchObject({
        outcome: 'outdated',
      });
      expect(await eventsOf(connection)).toEqual([]);
    });
  });

  describe('a challenge for claims', () => {
    const claims = { access_token: { nbf: { essential: true, value: '1604106651' } } };
    const challenge = (text: string) => ({
      www_authenticate: `Bearer error="insufficient_claims", claims="${Buffer.from(text).toString('base64')}"`,
    });

    test('needs the end user, whose next authorization will ask for them', async () => {
      const connection = await world.connected(party, registrationId);
      expect(await report(connection, challenge(JSON.stringify(claims)))).toMatchObject({
        outcome: 'claims_required',
        reauthorize_url: expect.stringContaining(connection.connectionId) as string,
        freshness: { health: 'reauthorization_required', reason: 'insufficient_claims' },
      });
      const state = await world.stateOf(connection);
      expect(state).toMatchObject({
        authorization: 'reauthorization_required',
        credential: { requiredClaims: JSON.stringify(claims) },
      });
      expect(await report(connection, challenge(JSON.stringify(claims)))).toMatchObject({ outcome: 'over' });
      await world.reauthorized(connection, []);
      expect((await world.stateOf(connection)).credential).not.toHaveProperty('requiredClaims');
    });

    test('that cannot be passed on is no verdict', async () => {
      const connection = await world.connected(party, registrationId);
      expect(await report(connection, challenge('not JSON'))).toMatchObject({ outcome: 'no_verdict' });
      expect(await eventsOf(connection)).toEqual([]);
    });
  });

  describe('what proves nothing is not even stored', () => {
    test.each([
      ['of an older version', { credential_version: 1 }, 'outdated'],
      ['of another version', { credential_version: 9 }, 'outdated'],
      ['with a status that says nothing', { credential_version: 2, status: 403 }, 'no_verdict'],
      ['with a word that nobody announced', { credential_version: 2, status: 400, error: 'busy' }, 'no_verdict'],
    ] as const)('%s', async (_title, more, outcome) => {
      const connection = await world.connected(party, registrationId);
      await world.reauthorized(connection, []);
      expect(await report(connection, more)).toMatchObject({ outcome });
      expect(await world.signalsOf('platform', registrationId)).toEqual([]);
    });

    test('about what is over', async () => {
      const connection = await world.connected(party, registrationId);
      const request = { connection_id: connection.connectionId };
      await callOperation(await world.platformBus(party), operations.revokeConnection, party, request);
      expect(await report(connection)).toMatchObject({ outcome: 'over', freshness: { health: 'revoked' } });
    });
  });

  test("a platform speaks for its own connections alone, and another's are alike to those that never were", async () => {
    const connection = await world.connected(party, registrationId);
    const notFound = { code: 'connection.not_found' };
    const sibling = await world.newPlatform(party.tenantId);
    await expect(report(connection, {}, sibling)).rejects.toMatchObject(notFound);
    await expect(report(connection, {}, await world.newPlatform())).rejects.toMatchObject(notFound);
    await expect(report({ ...connection, connectionId: newId('connection') })).rejects.toMatchObject(notFound);
    expect(await world.signalsOf('platform', registrationId)).toEqual([]);
  });

  test('a disabled platform is not heard', async () => {
    const connection = await world.connected(party, registrationId);
    const disabled = { type: 'PlatformDisabled', version: 1, data: { reason: null } } as const;
    await world.configured(disabled, { ...party, id: party.platformId });
    await expect(report(connection)).rejects.toMatchObject({ code: 'platform.disabled' });
  });

  test.each([
    ['a status that refuses nothing', { status: 500 }],
    ['a lease that is none', { lease_id: 'con_01jd0000000000000000000001' }],
    ['no version', { credential_version: 0 }],
    ['a challenge without end', { www_authenticate: 'x'.repeat(5_000) }],
    ['a member nobody asked for', { body: 'all of it' }],
  ])('%s is malformed', async (_title, more) => {
    const connection = await world.connected(party, registrationId);
    await expect(report(connection, more as never)).rejects.toMatchObject({ code: 'request.malformed' });
  });
});
