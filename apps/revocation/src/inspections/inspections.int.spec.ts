import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { newId, operations, type Inspection } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { callOperation, createOperator, serverOperatorConfig } from '@postern/nats';
import { migrateDatabase } from '@postern/persistence';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import {
  describeWithServer,
  startNatsServer,
  startPostgres,
  temporaryDataDir,
  type NatsServer,
  type Postgres,
} from '@postern/servers';
import { startService, type RunningService } from '@postern/service';
import {
  keyProfiles,
  reachingProviders,
  reachProviders,
  startAcme,
  startProviderInternet,
  waitFor,
  type Acme,
  type AcmeClient,
  type ProviderInternet,
} from '@postern/testing';

import { revocationGrants, revocationMigrations, revocationSchema, revocationService } from '../index.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { acmeClient, tokensOfAcme } from '../spec-support/acme-tokens.ts';
import { SmallVault, type HeldTokens } from '../spec-support/small-vault.ts';
import { World, type ConnectionRef, type Party } from '../spec-support/world.ts';
import { InspectionRows } from './inspection-rows.ts';

const redirectUri = 'http://127.0.0.1:9/oauth/callback/reg';
const serviceRole = 'revocation_inspections';
const servicePassword = 'the-password-of-the-service';
const patienceMs = 60_000;
const hourMs = 3_600_000;
const keysAt = 'stripe-api-key';
const { everyS = 0, perMinuteMax = 0 } = providerOf(loadCatalog(), 'openid-connect').polling ?? {};
const everyMs = everyS * 1000;

await describeWithServer('nats-server', 'connections of which nothing was heard', () => {
  const folder = temporaryDataDir('postern-inspections-');
  let server: NatsServer;
  let postgres: Postgres;
  let acme: Acme;
  let app: AcmeClient;
  let alive: HeldTokens;
  let world: World;
  let vault: SmallVault;
  let service: RunningService;
  let internet: ProviderInternet;
  let goBack: () => void;
  /** What the provider of keys was asked, and whether it has an answer. */
  const atProvider = { calls: 0, isDown: false };
  let party: Party;
  let registrationId: string;

  beforeAll(async () => {
    const bundle = await createOperator();
    postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
    await postgres.createDatabase('inspections');
    const ownerUrl = postgres.urlOf('inspections');
    const place = { ownerUrl, schema: revocationSchema, migrations: revocationMigrations, grants: revocationGrants };
    await migrateDatabase({ ...place, serviceRole, servicePassword });
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    world = await World.make(server.url, bundle, join(folder, 'files'));
    world.useDatabase(Object.assign(new URL(ownerUrl), { username: serviceRole, password: servicePassword }).href);
    acme = await startAcme({ accessTokenTtlS: 3600 });
    app = await acme.registerClient({ redirectUris: [redirectUri] });
    alive = await tokensOfAcme(acmeClient(acme, app), redirectUri);
    vault = await new SmallVault(world, 'vault-1').start();
    internet = await startProviderInternet({ profiles: [], keyProfiles: [watched()], dataDir: folder });
    goBack = reachProviders(internet);
    Object.assign(process.env, reachingProviders(internet));
    service = await startService(revocationService, world.env, {
      logDestination: { write: () => undefined },
      checkReplies: true,
    });
  }, 180_000);
  beforeEach(async () => {
    party = await world.newPlatform();
    registrationId = newId('registration');
    vault.clientSecrets.set(registrationId, app.clientSecret ?? '');
    vault.seen.splice(0);
    acme.faults.clear();
    atProvider.isDown = false;
  });
  afterAll(async () => {
    await service?.stop();
    await vault?.stop();
    await world?.close();
    for (const name of Object.keys(reachingProviders({ proxyUrl: '', caPath: '' })))
      Reflect.deleteProperty(process.env, name);
    goBack?.();
    await internet?.close();
    await acme?.close();
    await server?.stop();
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A connection of which the provider heard so long ago, and whose access token lived so long. */
  async function connected({
    agoMs,
    lifeMs = hourMs,
    tokens = alive,
    through = registrationId,
  }: {
    readonly agoMs: number;
    readonly lifeMs?: number | null;
    readonly tokens?: HeldTokens;
    readonly through?: string;
  }): Promise<ConnectionRef> {
    world.agoMs = agoMs;
    const accessTokenExpiresAtMs = lifeMs === null ? null : Date.now() - agoMs + lifeMs;
    const connection = await world.connected(party, through, { accessTokenExpiresAtMs });
    world.agoMs = 0;
    vault.tokens.set(connection.connectionId, tokens);
    return connection;
  }

  /** From now on the connections through it are looked at; they are known by then. */
  async function registered(id = registrationId, providerId = 'openid-connect'): Promise<void> {
    const of = { tenantId: party.tenantId, registrationId: id };
    const query = { nowMs: Date.now(), everyMs, everyMsAtRisk: everyMs / 2 };
    await waitFor(async () => await rows().next(of, query), { describe: 'in the index', timeoutMs: patienceMs });
    vault.clientSecrets.set(id, app.clientSecret ?? '');
    const data = {
      ...{ providerId, displayName: 'App', clientId: app.clientId, scopes: [] },
      ...(providerId === keysAt
        ? { tokenEndpointAuthMethod: 'none' as const, parameters: {} }
        : { tokenEndpointAuthMethod: 'client_secret_basic' as const, parameters: { issuer: acme.issuer } }),
    };
    await world.configured({ type: 'RegistrationCreated', version: 1, data }, { tenantId: party.tenantId, id });
  }
  /** The profile of the provider of keys, which is counted, and may be down. */
  function watched() {
    const [profile] = keyProfiles.filter(({ id }) => id === keysAt);
    if (profile === undefined) throw new Error('there is no such profile');
    const shownBy: typeof profile.shownBy = (request) => {
      atProvider.calls += 1;
      if (atProvider.isDown) throw new Error('down');
      return profile.shownBy(request);
    };
    return { ...profile, shownBy };
  }

  /** A key that somebody made at the provider and brought so long ago. */
  async function broughtKey({ agoMs }: { readonly agoMs: number }) {
    const made = await internet.makeSecret(keysAt);
    const accessToken = 'api_key' in made ? made.api_key : '';
    world.agoMs = agoMs;
    const isStatic = { providerId: keysAt, grant: 'static', hasRefreshToken: false } as const;
    const connection = await world.connected(party, registrationId, { ...isStatic, accessTokenExpiresAtMs: null });
    world.agoMs = 0;
    vault.tokens.set(connection.connectionId, { accessToken, refreshToken: null });
    return { connection, delete: async () => await internet.endSecret(keysAt, made) };
  }
  const rows = () => service.get(InspectionRows);
  const asAdministrator = { app: 'administrator' } as const;
  const listed = async (): Promise<Inspection[]> => {
    const request = { tenant_id: party.tenantId };
    const bus = await world.bus('administrator');
    return (await callOperation(bus, operations.listInspections, asAdministrator, request)).inspections;
  };
  const signals = async () => {
    const bus = await world.bus('administrator');
    const request = { tenant_id: party.tenantId };
    return (await callOperation(bus, operations.listSignals, asAdministrator, request)).signals;
  };
  const asked = async (count = 1) =>
    await waitFor(
      async () => {
        const found = await listed();
        return found.length >= count ? found : undefined;
      },
      { describe: async () => JSON.stringify([await listed(), vault.seen]), timeoutMs: patienceMs },
    );
  const eventsOf = async (connection: ConnectionRef) =>
    (await world.historyOf(connection)).flatMap(({ commit }) => commit.events).slice(3);
  const inspected = () =>
    vault.seen.filter((line) => line.startsWith('asked to inspect')).map((line) => line.split(' ').at(-1));

  test('a grant that the provider ended in silence is found, and revoked with its evidence', async () => {
    const tokens = await tokensOfAcme(acmeClient(acme, app), redirectUri);
    const connection = await connected({ agoMs: 2 * everyMs, tokens });
    const token = Secret.from(tokens.refreshToken ?? '');
    expect(await acmeClient(acme, app).revoke({ token, hint: 'refresh_token' })).toEqual({ kind: 'revoked' });
    await registered();
    const revoked = await waitFor(async () => (await signals()).find(({ outcome }) => outcome === 'revoked'), {
      describe: async () => JSON.stringify([await signals(), await listed()]),
      timeoutMs: patienceMs,
    });
    expect(revoked).toMatchObject({ source: 'introspection', type: 'refresh_token_inactive', matched: 1, revoked: 1 });
    const { position } = revoked;
    const evidence = { source: 'introspection', position, occurredAtMs: null, matchedBy: 'inspection' };
    const confirmedBy = { method: 'introspection', error: null };
    expect(await eventsOf(connection)).toMatchObject([
      { type: 'InspectionStarted', data: { credentialVersion: 1 } },
      { type: 'RevocationSuspected', data: { credentialVersion: 1, evidence } },
      { type: 'ConnectionRevoked', data: { cause: 'revoked_at_provider', evidence, confirmedBy } },
    ]);
    const { connectionId } = connection;
    expect(await asked()).toMatchObject([
      { connection_id: connectionId, registration_id: registrationId, outcome: 'dead' },
    ]);
  });

  test('of a living one the log says that it was asked about, and nothing else', async () => {
    const connection = await connected({ agoMs: 2 * everyMs });
    const before = acme.counts().introspections;
    await registered();
    expect(await asked()).toMatchObject([{ connection_id: connection.connectionId, outcome: 'alive' }]);
    expect((await eventsOf(connection)).map(({ type }) => type)).toEqual(['InspectionStarted']);
    expect(await world.stateOf(connection)).toMatchObject({ authorization: 'authorized' });
    expect(await signals()).toEqual([]);
    expect(acme.counts().introspections - before).toBe(1);
  });

  test('one where much is at risk comes first, then the idlest, one after the other', async () => {
    const idle = await connected({ agoMs: everyMs + hourMs });
    const idlest = await connected({ agoMs: 3 * everyMs });
    const heardLately = await connected({ agoMs: everyMs - hourMs });
    const [endless, long] = [
      await connected({ agoMs: everyMs - hourMs, lifeMs: null }),
      await connected({ agoMs: everyMs - 2 * hourMs, lifeMs: 2 * revocationLimits.accessTokenLifeMsAtRisk }),
    ];
    await registered();
    const found = await asked(4);
    const order = [endless, long, idlest, idle].map(({ connectionId }) => connectionId);
    expect(found.map((one) => one.connection_id).toReversed()).toEqual(order);
    expect(inspected()).toEqual(order);
    expect(await eventsOf(heardLately)).toEqual([]);
    const times = found.map((one) => Date.parse(one.asked_at)).toReversed();
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(60_000 / perMinuteMax);
  });

  test('one of which the log has heard since is passed over', async () => {
    const heard = await connected({ agoMs: 3 * everyMs });
    await world.happened('vault', heard, [{ type: 'InspectionStarted', version: 1, data: { credentialVersion: 1 } }]);
    const other = await connected({ agoMs: 2 * everyMs });
    await registered();
    await asked();
    expect(inspected()).toEqual([other.connectionId]);
  });

  test('a provider without an answer is left alone for as long as it says', async () => {
    const [first] = [await connected({ agoMs: 3 * everyMs }), await connected({ agoMs: 2 * everyMs })];
    acme.faults.set({ introspectionEndpoint: { status: 503, times: 1, retryAfterS: 7200 } });
    await registered();
    expect(await asked()).toMatchObject([{ connection_id: first.connectionId, outcome: 'no_answer' }]);
    const waiting = await waitFor(
      async () => {
        const nowMs = Date.now();
        const turn = await rows().takeTurn({ tenantId: party.tenantId, registrationId }, { nowMs, gapMs: 0 });
        return turn !== 'taken' && turn > nowMs + hourMs ? turn - nowMs : undefined;
      },
      { describe: 'a pause', timeoutMs: patienceMs },
    );
    expect(waiting).toBeLessThanOrEqual(7_200_000);
    expect(inspected()).toEqual([first.connectionId]);
    expect((await eventsOf(first)).map(({ type }) => type)).toEqual(['InspectionStarted']);
  });

  test('a registration about which a transmitter speaks is not polled', async () => {
    const spokenFor = newId('registration');
    const silent = await connected({ agoMs: 3 * everyMs, through: spokenFor });
    const about = { issuer: 'https://tr.example', audiences: ['us'], jwksUri: 'https://tr.example/keys' };
    const delivery = { method: 'push', bearerHash: null } as const;
    await world.newTransmitter(party, [spokenFor], { ...about, typeRequired: true, delivery });
    await registered(spokenFor);
    const other = await connected({ agoMs: 2 * everyMs });
    await registered();
    await asked();
    expect(inspected()).toEqual([other.connectionId]);
    expect(await eventsOf(silent)).toEqual([]);
  });

  test('a key that was deleted at its provider is noticed without anybody using it; one that lives is asked about once', async () => {
    const [dead, living] = [await broughtKey({ agoMs: 3 * everyMs }), await broughtKey({ agoMs: 2 * everyMs })];
    const lately = await broughtKey({ agoMs: everyMs - hourMs });
    await dead.delete();
    const before = atProvider.calls;
    await registered(registrationId, keysAt);
    const revoked = await waitFor(async () => (await signals()).find(({ outcome }) => outcome === 'revoked'), {
      describe: async () => JSON.stringify([await signals(), await listed(), vault.seen]),
      timeoutMs: patienceMs,
    });
    expect(revoked).toMatchObject({ source: 'introspection', type: 'access_token_refused', matched: 1, revoked: 1 });
    const evidence = { source: 'introspection', position: revoked.position, matchedBy: 'inspection' };
    expect(await eventsOf(dead.connection)).toMatchObject([
      { type: 'InspectionStarted', data: { credentialVersion: 1 } },
      { type: 'RevocationSuspected', data: { credentialVersion: 1, evidence } },
      { type: 'ConnectionRevoked', data: { cause: 'revoked_at_provider', evidence, confirmedBy: { method: 'probe' } } },
    ]);
    expect((await asked(2)).map((one) => [one.connection_id, one.outcome])).toEqual([
      [living.connection.connectionId, 'alive'],
      [dead.connection.connectionId, 'dead'],
    ]);
    expect((await eventsOf(living.connection)).map(({ type }) => type)).toEqual(['InspectionStarted']);
    // The dead one was asked about twice, as every hint is.
    expect(atProvider.calls - before).toBe(3);
    expect(await eventsOf(lately.connection)).toEqual([]);
    const query = { nowMs: Date.now(), everyMs, everyMsAtRisk: everyMs / 2 };
    const next = await rows().next({ tenantId: party.tenantId, registrationId }, query);
    expect(next?.connectionId).toBe(lately.connection.connectionId);
    expect(next?.dueAtMs).toBeGreaterThan(query.nowMs);
  });

  test('a provider of keys that is down ends nothing, and is left alone', async () => {
    const [first] = [await broughtKey({ agoMs: 3 * everyMs }), await broughtKey({ agoMs: 2 * everyMs })];
    atProvider.isDown = true;
    const before = atProvider.calls;
    await registered(registrationId, keysAt);
    const { connectionId } = first.connection;
    expect(await asked()).toMatchObject([{ connection_id: connectionId, outcome: 'no_answer' }]);
    const waiting = await waitFor(
      async () => {
        const nowMs = Date.now();
        const turn = await rows().takeTurn({ tenantId: party.tenantId, registrationId }, { nowMs, gapMs: 0 });
        return turn !== 'taken' && turn > nowMs + 30_000 ? turn - nowMs : undefined;
      },
      { describe: 'a pause', timeoutMs: patienceMs },
    );
    expect(waiting).toBeLessThanOrEqual(revocationLimits.inspectionPauseMsMin);
    expect(inspected()).toEqual([connectionId]);
    expect(atProvider.calls - before).toBe(1);
    expect(await signals()).toEqual([]);
    expect((await eventsOf(first.connection)).map(({ type }) => type)).toEqual(['InspectionStarted']);
    expect(await world.stateOf(first.connection)).toMatchObject({ authorization: 'authorized' });
  });

  test('a turn is taken by one of many, and given out again when its time has come', async () => {
    const of = { tenantId: party.tenantId, registrationId };
    const nowMs = Date.now();
    const turns = await Promise.all(Array.from({ length: 6 }, () => rows().takeTurn(of, { nowMs, gapMs: 2_000 })));
    expect(turns.filter((turn) => turn === 'taken')).toHaveLength(1);
    expect(turns.filter((turn) => turn === nowMs + 2_000)).toHaveLength(5);
    expect(await rows().takeTurn(of, { nowMs: nowMs + 2_000, gapMs: 2_000 })).toBe('taken');
  });
});
