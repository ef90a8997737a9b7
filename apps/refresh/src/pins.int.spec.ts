import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';
import { newId, operations } from '@postern/contracts';
import { promoteVersion, rollBack, startCanary } from '@postern/domain';
import { callOperation, createOperator, serverOperatorConfig } from '@postern/nats';
import { loadCatalog, providerAt } from '@postern/provider-catalog';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { startService, type RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';

import { refreshService } from './index.ts';
import { VaultDouble } from './spec-support/vault-double.ts';
import { World } from './spec-support/world.ts';

const providerId = 'hubspot';
const oldVersion = 1;
const newVersion = 6;
const scopes = ['oauth', 'crm.objects.contacts.read'];
const hourMs = 3_600_000;

/** A token endpoint that answers every refresh and remembers whose it was. */
class TokenEndpoint {
  readonly refreshed: string[] = [];
  readonly path: string;
  readonly #server: Server;

  constructor(path: string) {
    this.path = path;
    this.#server = createServer((request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => (body += part.toString()));
      request.on('end', () => {
        const form = new URLSearchParams(body);
        const right = request.url === path && form.get('grant_type') === 'refresh_token';
        if (right) this.refreshed.push(form.get('refresh_token') ?? '');
        const answer = { access_token: newId('lease'), token_type: 'bearer', expires_in: 1800 };
        response.writeHead(right ? 200 : 404, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ ...answer, refresh_token: form.get('refresh_token') }));
      });
    });
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${this.path}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

await describeWithServer('nats-server', 'HubSpot’s oauth/v1 to oauth/v3 under live connections', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-pins-'));
  const endpoints = { v1: new TokenEndpoint('/oauth/v1/token'), v3: new TokenEndpoint('/oauth/v3/token') };
  let server: NatsServer;
  let world: World;
  let vault: VaultDouble;
  let service: RunningService;
  let registrationId: string;
  let ids: string[];

  beforeAll(async () => {
    await Promise.all(Object.values(endpoints).map((endpoint) => endpoint.start()));
    standInForHubSpot();
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    world = await World.create(server.url, bundle, folder);
    vault = await VaultDouble.start(world);
    vault.clientSecret = 'held by the vault';
    service = await startService(refreshService, world.env(), { logDestination: { write: () => undefined } });
    const data = { providerId, displayName: 'HubSpot', clientId: 'client', parameters: {}, scopes } as const;
    registrationId = await world.register([
      {
        type: 'RegistrationCreated',
        version: 1,
        data: { ...data, scopes, tokenEndpointAuthMethod: 'client_secret_post' },
      },
    ]);
    ids = await Promise.all(Array.from({ length: 4 }, () => connect(oldVersion)));
  });

  afterAll(async () => {
    jest.restoreAllMocks();
    await service?.stop();
    await vault?.stop();
    await world?.close();
    await server?.stop();
    await Promise.all(Object.values(endpoints).map((endpoint) => endpoint.stop()));
    rmSync(folder, { recursive: true, force: true });
  });

  /** The catalog's own two files, each with its own path, on servers of ours. */
  function standInForHubSpot(): void {
    const catalog = loadCatalog();
    const here = new Map(
      [endpoints.v1, endpoints.v3].map((endpoint, index) => {
        const provider = providerAt(catalog, providerId, index === 0 ? oldVersion : newVersion);
        const known = provider.endpoints;
        if (known === null || new URL(known.tokenEndpoint).pathname !== endpoint.path) throw new Error('other paths');
        return [provider.version, { ...provider, endpoints: { ...known, tokenEndpoint: endpoint.url } }] as const;
      }),
    );
    jest.spyOn(catalog, 'version').mockImplementation((_id, version) => here.get(version));
  }

  async function connect(providerVersion: number): Promise<string> {
    const [connectionId, sessionId] = [newId('connection'), newId('session')];
    const endsAtMs = Date.now() + hourMs;
    const tokenSet = {
      ...{ accessToken: newId('lease'), tokenType: 'bearer', refreshToken: connectionId },
      ...{ accessTokenExpiresAtMs: endsAtMs, grantedScopes: scopes },
    };
    const { version: credentialVersion } = vault.insert(connectionId, sessionId, tokenSet);
    const started = {
      ...{ sessionId, purpose: 'connect' as const, platformId: world.platformId, providerId, registrationId },
      ...{ endUserDigest: 'digest', requestedScopes: scopes, returnUrl: 'https://platform.example/return' },
      ...{ expiresAtMs: endsAtMs, providerVersion },
    };
    const grant = {
      ...{ sessionId, credentialVersion, grantedScopes: scopes, accessTokenExpiresAtMs: endsAtMs },
      ...{ hasRefreshToken: true, accountDigest: null, providerVersion },
    };
    await world.append(
      'authorization',
      connectionId,
      { type: 'AuthorizationStarted', version: 1, data: started },
      { type: 'CodeExchangeStarted', version: 1, data: { sessionId } },
      { type: 'ConnectionAuthorized', version: 1, data: grant },
    );
    return connectionId;
  }

  /** Refreshes it now, and tells which endpoint it was that answered. */
  async function refreshedAt(connectionId: string): Promise<string> {
    const [atOldBefore, atNewBefore] = [endpoints.v1.refreshed.length, endpoints.v3.refreshed.length];
    const version = (await world.state(connectionId)).credential?.version ?? 0;
    const reply = await callOperation(
      await world.bus('gateway'),
      operations.refreshConnection,
      { tenantId: world.tenantId, platformId: world.platformId },
      { connection_id: connectionId, credential_version: version },
      { timeoutMs: 30_000 },
    );
    expect(reply).toMatchObject({ credential_version: version + 1, freshness: { health: 'ok' } });
    const atNew = endpoints.v3.refreshed.slice(atNewBefore).filter((token) => token === connectionId).length;
    const atOld = endpoints.v1.refreshed.slice(atOldBefore).filter((token) => token === connectionId).length;
    expect(atNew + atOld).toBe(1);
    return atNew === 1 ? 'v3' : 'v1';
  }
  const all = () => Promise.all(ids.map(refreshedAt));
  /** Services follow the log within a moment. */
  const followed = (connectionId: string, version: string) =>
    waitFor(async () => (await refreshedAt(connectionId)) === version, {
      timeoutMs: 60_000,
      describe: () => `${connectionId} is not refreshed at ${version}`,
    });

  test('while nobody decides, each is refreshed at the endpoint that it was made with', async () => {
    const newer = await connect(newVersion);
    expect(await all()).toEqual(['v1', 'v1', 'v1', 'v1']);
    expect(await refreshedAt(newer)).toBe('v3');
  });

  test('a canary refreshes some at the new endpoint, and both go on', async () => {
    const data = { version: newVersion, otherwise: oldVersion, sharePercent: 0, registrationIds: [] };
    await world.decide(providerId, (state) =>
      startCanary({ providerId, ...data, connectionIds: ids.slice(0, 2) }, state),
    );
    await followed(ids[0] ?? '', 'v3');
    expect(await all()).toEqual(['v3', 'v3', 'v1', 'v1']);
  });

  test('a rollback brings all back to the old one', async () => {
    await world.decide(providerId, (state) => rollBack({ reason: 'to be sure' }, state));
    await followed(ids[0] ?? '', 'v1');
    expect(await all()).toEqual(['v1', 'v1', 'v1', 'v1']);
  });

  test('a promotion carries all of them over, and nobody had to authorize anew', async () => {
    const data = { providerId, version: newVersion, carriesConnections: true };
    await world.decide(providerId, (state) => promoteVersion(data, state));
    await followed(ids[3] ?? '', 'v3');
    expect(await all()).toEqual(['v3', 'v3', 'v3', 'v3']);
    for (const id of ids) {
      const { authorization, health, credential } = await world.state(id);
      expect([authorization, health.status, credential?.providerVersion]).toEqual(['authorized', 'ok', oldVersion]);
      const history = await world.history(id);
      expect(history.filter((type) => type.includes('uthoriz'))).toEqual([
        'AuthorizationStarted',
        'ConnectionAuthorized',
      ]);
      expect(history.filter((type) => /Failed|Rejected|Interrupted/.test(type))).toEqual([]);
    }
  });
});
