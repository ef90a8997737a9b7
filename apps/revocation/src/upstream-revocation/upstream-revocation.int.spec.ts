import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { newId, operations, PosternError, type Operation } from '@postern/contracts';
import { pkcePair, randomToken, Secret } from '@postern/crypto';
import { callOperation, createOperator, serverOperatorConfig } from '@postern/nats';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { heldClientSecret, ProviderClient } from '@postern/provider-client';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { Clock, Logger, Metrics, startService, type RunningService } from '@postern/service';
import {
  acmeAccounts,
  acmeLoginAndConsent,
  ScriptedBrowser,
  startAcme,
  waitFor,
  type Acme,
  type AcmeClient,
} from '@postern/testing';

import { Connections } from '../connections.ts';
import { revocationService } from '../index.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { the } from '../spec-support/connection-events.ts';
import { Siblings } from '../siblings/siblings.ts';
import { SmallVault } from '../spec-support/small-vault.ts';
import { World, type ConnectionRef, type Party } from '../spec-support/world.ts';
import { ProviderClients } from '../provider/provider-clients.ts';
import { UpstreamDebt } from './upstream-debt.ts';
import { VaultSecrets } from '../provider/vault-secrets.ts';

const isLong = (secret: string) => secret.length > 1;
const redirectUri = 'http://127.0.0.1:9/oauth/callback/reg';
const scopes = ['openid', 'offline_access', 'contacts:read'];

await describeWithServer('nats-server', 'what is owed after a connection has ended', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-upstream-'));
  const lines: string[] = [];
  let server: NatsServer;
  let acme: Acme;
  let app: AcmeClient;
  let world: World;
  let vault: SmallVault;
  let service: RunningService;
  let party: Party;
  let registrationId: string;

  beforeAll(async () => {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    world = await World.make(server.url, bundle, join(folder, 'files'));
    acme = await startAcme({ accessTokenTtlS: 3600 });
    app = await acme.registerClient({ redirectUris: [redirectUri] });
    vault = await new SmallVault(world, 'vault-1').start();
    party = await world.newPlatform();
    registrationId = await registered('openid-connect', { issuer: acme.issuer });
    const logDestination = { write: (line: string) => void lines.push(line) };
    service = await startService(revocationService, world.env, { logDestination, checkReplies: true });
  });
  beforeEach(() => {
    acme.faults.clear();
    vault.releaseFault = undefined;
    vault.shredFault = undefined;
    vault.seen.splice(0);
    vault.clientSecrets.set(registrationId, app.clientSecret ?? '');
  });
  afterAll(async () => {
    await service?.stop();
    await vault?.stop();
    await world?.close();
    await acme?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function registered(providerId: string, parameters: Record<string, string>): Promise<string> {
    const id = newId('registration');
    const tokenEndpointAuthMethod = 'client_secret_basic' as const;
    const client = { providerId, displayName: 'App', clientId: app.clientId, tokenEndpointAuthMethod, parameters };
    await world.configured(
      { type: 'RegistrationCreated', version: 1, data: { ...client, scopes } },
      { tenantId: party.tenantId, id },
    );
    return id;
  }

  function client(): ProviderClient {
    return new ProviderClient({
      provider: providerOf(loadCatalog(), 'openid-connect'),
      registration: {
        clientId: app.clientId,
        tokenEndpointAuthMethod: 'client_secret_basic',
        parameters: { issuer: acme.issuer },
      },
      credentials: heldClientSecret(Secret.from(app.clientSecret ?? '')),
      allowLoopback: true,
    });
  }

  /** Real tokens of Acme, in a grant of their own. */
  async function authorized() {
    const [state, nonce] = [randomToken(), randomToken()];
    const { codeVerifier, codeChallenge } = pkcePair();
    const url = await client().authorizationUrl({ redirectUri, state, codeChallenge, scopes, nonce });
    const { email: user, password } = acmeAccounts.ada;
    const journey = { user, password, decision: 'allow', returnUrl: redirectUri } as const;
    const { searchParams: parameters } = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
    const callback = await client().readCallback({ parameters, expectedState: state });
    if (callback.kind !== 'code') throw new Error('Acme denied');
    const exchange = { callback, redirectUri, codeVerifier, nonce, requestedScopes: scopes };
    const outcome = await client().exchangeCode(exchange);
    if (outcome.kind !== 'exchanged') throw new Error(`not exchanged: ${outcome.error}`);
    return outcome.tokenSet;
  }

  async function connectedAtAcme(): Promise<ConnectionRef & { accessToken: string }> {
    const { accessToken, refreshToken } = await authorized();
    const connection = await world.connected(party, registrationId);
    vault.tokens.set(connection.connectionId, { accessToken, refreshToken });
    return { ...connection, accessToken };
  }

  const ask = async (operation: Operation, { connectionId }: ConnectionRef) =>
    await callOperation(await world.platformBus(party), operation, party, { connection_id: connectionId });
  const contacts = async (accessToken: string) =>
    (await fetch(acme.endpoints.contacts, { headers: { authorization: `Bearer ${accessToken}` } })).status;
  const until = async (connection: ConnectionRef, type: string) =>
    await waitFor(async () => (await world.typesOf(connection)).includes(type), {
      timeoutMs: 30_000,
      describe: async () => `${type} after ${(await world.typesOf(connection)).join(', ')}`,
    });
  const eventsOf = async (connection: ConnectionRef) =>
    (await world.historyOf(connection)).flatMap(({ commit }) => commit.events);
  const failuresOf = async (connection: ConnectionRef) =>
    (await eventsOf(connection)).filter(({ type }) => type === 'UpstreamRevocationFailed').map(({ data }) => data);
  const logged = async (message: string, { connectionId }: ConnectionRef) =>
    await waitFor(() => lines.some((line) => line.includes(message) && line.includes(connectionId)), {
      timeoutMs: 30_000,
      describe: `the log line "${message}"`,
    });

  test('a revoked connection is revoked at the provider: its tokens are dead there', async () => {
    const connection = await connectedAtAcme();
    expect(await contacts(connection.accessToken)).toBe(200);
    const before = acme.counts().revocations;
    await ask(operations.revokeConnection, connection);
    await until(connection, 'UpstreamRevocationCompleted');
    expect(acme.counts().revocations - before).toBe(2);
    expect(await contacts(connection.accessToken)).toBe(401);
    const [revocation, completion] = (await world.historyOf(connection)).slice(-2).map(({ commit }) => commit);
    expect(completion).toMatchObject({
      actor: { type: 'service', id: 'revocation' },
      causationId: revocation?.commitId,
      correlationId: revocation?.correlationId,
      events: [{ data: { method: 'rfc7009', credentialVersion: 1 } }],
    });
  });

  test('a command never waits for the provider', async () => {
    const connection = await connectedAtAcme();
    acme.faults.set({ revocationEndpoint: { hold: true } });
    await ask(operations.revokeConnection, connection);
    await waitFor(() => acme.faults.held() > 0, { describe: 'Acme to be asked' });
    expect(await world.stateOf(connection)).toMatchObject({ authorization: 'revoked', upstreamRevocation: 'pending' });
    acme.faults.clear();
    await until(connection, 'UpstreamRevocationCompleted');
  });

  test('a provider that is down is told when it is back, and the log says both', async () => {
    const connection = await connectedAtAcme();
    acme.faults.set({ revocationEndpoint: { status: 503 } });
    await ask(operations.revokeConnection, connection);
    await until(connection, 'UpstreamRevocationFailed');
    expect(await contacts(connection.accessToken)).toBe(200);
    acme.faults.clear();
    await until(connection, 'UpstreamRevocationCompleted');
    expect(await contacts(connection.accessToken)).toBe(401);
    expect((await failuresOf(connection))[0]).toEqual({
      credentialVersion: 1,
      error: 'temporarily_unavailable',
      final: false,
    });
  });

  test('a deleted connection: the provider is told, then the key is shredded', async () => {
    const connection = await connectedAtAcme();
    await ask(operations.deleteConnection, connection);
    await until(connection, 'ConnectionKeyShredded');
    expect(await contacts(connection.accessToken)).toBe(401);
    expect((await world.typesOf(connection)).slice(-3)).toEqual([
      'DeletionRequested',
      'UpstreamRevocationCompleted',
      'ConnectionKeyShredded',
    ]);
  });

  test('a revoked connection that is deleted later is not told again', async () => {
    const connection = await connectedAtAcme();
    await ask(operations.revokeConnection, connection);
    await until(connection, 'UpstreamRevocationCompleted');
    const before = acme.counts().revocations;
    await ask(operations.deleteConnection, connection);
    await until(connection, 'ConnectionKeyShredded');
    expect(acme.counts().revocations).toBe(before);
  });

  test('a redelivery does what is left: a shredding that failed is asked again, the provider is not', async () => {
    const connection = await connectedAtAcme();
    vault.shredFault = new PosternError('vault.database_unavailable', 'The database is away.');
    const before = acme.counts().revocations;
    await ask(operations.deleteConnection, connection);
    await waitFor(() => vault.seen.includes('asked to shred'), { describe: 'the vault to be asked to shred' });
    vault.shredFault = undefined;
    await until(connection, 'ConnectionKeyShredded');
    expect(acme.counts().revocations - before).toBe(2);
    expect((await world.typesOf(connection)).filter((type) => type === 'UpstreamRevocationCompleted')).toHaveLength(1);
  });

  test('a connection that was authorized again is left alone: to revoke the old grant could end the new one', async () => {
    const connection = await connectedAtAcme();
    acme.faults.set({ revocationEndpoint: { status: 503 } });
    await ask(operations.revokeConnection, connection);
    await until(connection, 'UpstreamRevocationFailed');
    await reauthorize(connection);
    const before = acme.counts().revocations;
    acme.faults.clear();
    await logged('the provider is not told: the connection was authorized again', connection);
    expect(await contacts(connection.accessToken)).toBe(200);
    expect(acme.counts().revocations).toBe(before);
    expect(await world.stateOf(connection)).toMatchObject({ authorization: 'authorized', upstreamRevocation: null });
  });

  test('also when it is authorized while the secrets are being fetched', async () => {
    const connection = await connectedAtAcme();
    const release = Promise.withResolvers<void>();
    vault.beforeSecret = () => release.promise;
    const before = acme.counts().revocations;
    await ask(operations.revokeConnection, connection);
    await waitFor(() => vault.seen.includes('asked for a client secret'), { describe: 'the secret to be asked for' });
    await reauthorize(connection);
    release.resolve();
    vault.beforeSecret = undefined;
    await logged('the provider is not told: the connection was authorized again', connection);
    expect(acme.counts().revocations).toBe(before);
    expect(await contacts(connection.accessToken)).toBe(200);
  });

  test('while a new authorization is being exchanged the provider is told nothing', async () => {
    const connection = await connectedAtAcme();
    vault.releaseFault = new PosternError('vault.database_unavailable', 'The database is away.');
    await ask(operations.revokeConnection, connection);
    await waitFor(() => vault.seen.length > 0, { describe: 'the vault to be asked' });
    const sessionId = newId('session');
    const expiresAtMs = Date.now() + 4_000;
    const session = { sessionId, platformId: party.platformId, registrationId, expiresAtMs };
    await world.happened('authorization', connection, [
      the.sessionStarted(session, 'reauthorize'),
      the.exchangeStarted(sessionId),
    ]);
    vault.releaseFault = undefined;
    await until(connection, 'UpstreamRevocationCompleted');
    const completed = (await world.historyOf(connection)).at(-1)?.commit.at ?? '';
    expect(Date.parse(completed)).toBeGreaterThanOrEqual(expiresAtMs);
  });

  test('where the vault holds nothing, there is nothing to revoke', async () => {
    const connection = await world.connected(party, registrationId);
    const before = acme.counts().revocations;
    await ask(operations.revokeConnection, connection);
    await until(connection, 'UpstreamRevocationCompleted');
    expect((await eventsOf(connection)).at(-1)?.data).toEqual({ credentialVersion: 1, method: 'nothing_to_revoke' });
    expect(acme.counts().revocations).toBe(before);
  });

  test('a connection that was never authorized owes nobody a word; deleted, its key goes', async () => {
    const connection = { tenantId: party.tenantId, connectionId: newId('connection') };
    const session = { sessionId: newId('session'), platformId: party.platformId, registrationId };
    await world.happened('authorization', connection, [the.sessionStarted(session)]);
    await ask(operations.deleteConnection, connection);
    await until(connection, 'ConnectionKeyShredded');
    expect(vault.seen).toEqual(expect.not.arrayContaining([`asked for tokens of ${connection.connectionId}`]));
  });

  test('a provider that cannot be told at all is a final failure, said once; a deletion goes on', async () => {
    const unable = await registered('gong', {});
    const connection = await world.connected(party, unable);
    vault.tokens.set(connection.connectionId, { accessToken: 'a', refreshToken: 'r' });
    await ask(operations.deleteConnection, connection);
    await until(connection, 'ConnectionKeyShredded');
    expect(await failuresOf(connection)).toEqual([
      { credentialVersion: 1, error: 'revocation_unsupported', final: true },
    ]);
  });

  test('client credentials that the provider refuses are not final: an operator can mend them', async () => {
    const connection = await connectedAtAcme();
    vault.clientSecrets.set(registrationId, 'not-the-secret');
    await ask(operations.revokeConnection, connection);
    await until(connection, 'UpstreamRevocationFailed');
    vault.clientSecrets.set(registrationId, app.clientSecret ?? '');
    await until(connection, 'UpstreamRevocationCompleted');
    expect((await failuresOf(connection))[0]).toMatchObject({ error: 'invalid_client', final: false });
  });

  test('something broken of ours is said in the log and tried again', async () => {
    const connection = await connectedAtAcme();
    vault.releaseFault = new PosternError('vault.ciphertext_invalid', 'It does not open.');
    await ask(operations.revokeConnection, connection);
    await until(connection, 'UpstreamRevocationFailed');
    vault.releaseFault = undefined;
    await until(connection, 'UpstreamRevocationCompleted');
    expect((await failuresOf(connection))[0]).toMatchObject({ error: 'vault.ciphertext_invalid', final: false });
  });

  test('a provider that was down for days is given up on, and the key of a deleted connection goes', async () => {
    const connection = await connectedAtAcme();
    acme.faults.set({ revocationEndpoint: { status: 503 } });
    await ask(operations.deleteConnection, connection);
    await until(connection, 'UpstreamRevocationFailed');
    const entry = (await world.historyOf(connection)).find(
      ({ commit }) => commit.events[0]?.type === 'DeletionRequested',
    );
    if (entry === undefined) throw new Error('the deletion is not in the log');
    class DaysLater extends Clock {
      override nowMs(): number {
        return super.nowMs() + revocationLimits.upstreamGiveUpAfterMs;
      }
    }
    const debt = new UpstreamDebt(
      service.get(Connections),
      service.get(ProviderClients),
      service.get(VaultSecrets),
      service.get(Siblings),
      new DaysLater(),
      service.get(Logger),
      service.get(Metrics),
    );
    expect(await debt.settle({ entry, deliveries: 40 })).toEqual({ kind: 'done' });
    expect((await failuresOf(connection)).at(-1)).toMatchObject({ error: 'temporarily_unavailable', final: true });
    expect(await world.stateOf(connection)).toMatchObject({ upstreamRevocation: 'failed', keyShredded: true });
  });

  test('a revocation that a stranger signed moves nobody', async () => {
    const forged = await connectedAtAcme();
    await world.forged(forged, [the.revoked()]);
    const real = await connectedAtAcme();
    await ask(operations.revokeConnection, real);
    await until(real, 'UpstreamRevocationCompleted');
    expect(vault.seen).not.toContain(`asked for tokens of ${forged.connectionId}`);
    expect(await contacts(forged.accessToken)).toBe(200);
  });

  test('a registration that is not there is said in the log, too', async () => {
    const connection = await world.connected(party, newId('registration'));
    vault.tokens.set(connection.connectionId, { accessToken: 'a', refreshToken: null });
    await ask(operations.revokeConnection, connection);
    await until(connection, 'UpstreamRevocationFailed');
    expect((await failuresOf(connection))[0]).toMatchObject({ error: 'registration.not_found', final: false });
  });

  test('many debts that wait hold no other back', async () => {
    const waiting = new Set<string>();
    for (let count = 0; count < 70; count += 1) {
      const connection = await world.connected(party, newId('registration'));
      vault.tokens.set(connection.connectionId, { accessToken: 'a', refreshToken: null });
      await world.happened('revocation', connection, [the.revoked()]);
      waiting.add(`asked for tokens of ${connection.connectionId}`);
    }
    await waitFor(() => [...waiting].every((asked) => vault.seen.includes(asked)), {
      timeoutMs: 30_000,
      describe: 'each to be tried',
    });
    const connection = await connectedAtAcme();
    await ask(operations.revokeConnection, connection);
    await until(connection, 'UpstreamRevocationCompleted');
  });

  test('no log line holds a token or a client secret', () => {
    const all = lines.join('\n');
    const held = [...vault.tokens.values()].flatMap(({ accessToken, refreshToken }) => [accessToken, refreshToken]);
    const secrets = [...held, app.clientSecret].filter((secret) => typeof secret === 'string').filter(isLong);
    expect(secrets.length).toBeGreaterThan(10);
    expect(secrets.filter((secret) => all.includes(secret))).toEqual([]);
  });

  async function reauthorize(connection: ConnectionRef): Promise<void> {
    const sessionId = newId('session');
    await world.happened('authorization', connection, [
      the.sessionStarted({ sessionId, platformId: party.platformId, registrationId }, 'reauthorize'),
      the.exchangeStarted(sessionId),
      the.authorized({ sessionId, credentialVersion: 2 }),
    ]);
  }
});
