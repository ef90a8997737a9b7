import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { newId, streams, subjects, type ConnectionEvent, type RefreshDue } from '@postern/contracts';
import { createOperator, publishMessage, serverOperatorConfig } from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { startService, type RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';

import { refreshService } from '../index.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { VaultDouble } from '../spec-support/vault-double.ts';
import { World } from '../spec-support/world.ts';

/** More than one process has seats and places, asks for at a time, and than once could be delivered without being settled. */
const backlog = refreshLimits.placesMax + 200;
const shareMax = 0.75 * refreshLimits.seatsMax;
const placesOfOne = 0.75 * refreshLimits.placesMax;
/** How long a machine that does much else may take; nothing is decided by it. */
const patienceMs = 300_000;
const hourMs = 3_600_000;
const scopes = ['contacts:read'];

/** A token endpoint that keeps one tenant waiting until it is told otherwise, and notes who comes in which order. */
class SlowProvider {
  readonly #server = createServer((request, response) => {
    if (request.method === 'GET') return answer(response, this.#metadata());
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const given = new URLSearchParams(body).get('refresh_token') ?? '';
      this.calls.push(given);
      const tokens = { access_token: `at-${this.calls.length}`, token_type: 'Bearer', expires_in: 3_600 };
      if (!given.startsWith(this.slow) || this.#isReleased) return answer(response, tokens);
      this.#held.add(response);
      this.mostHeld = Math.max(this.mostHeld, this.#held.size);
      response.on('close', () => {
        if (this.#held.delete(response)) this.givenUp += 1;
      });
      void this.#released.promise.then(() => this.#held.delete(response) && answer(response, tokens));
    });
  });
  readonly #held = new Set<ServerResponse>();
  readonly #released = Promise.withResolvers<void>();
  #isReleased = false;
  readonly calls: string[] = [];
  /** So many were kept waiting at a time. */
  mostHeld = 0;
  /** Calls that nobody waits for any more. */
  givenUp = 0;
  slow = '';

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  release(): void {
    this.#isReleased = true;
    this.#released.resolve();
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #metadata(): object {
    const { issuer } = this;
    return {
      ...{ issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` },
      ...{ jwks_uri: `${issuer}/jwks`, response_types_supported: ['code'], subject_types_supported: ['public'] },
      id_token_signing_alg_values_supported: ['RS256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic'],
    };
  }
}

function answer(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

await describeWithServer('nats-server', 'a long queue of one tenant before a process of refresh', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-pace-'));
  const provider = new SlowProvider();
  let server: NatsServer;
  let world: World;
  let vault: VaultDouble;
  let service: RunningService;

  beforeAll(async () => {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle), extra: 'authorization { timeout: 30 }' };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    await provider.start();
    world = await World.create(server.url, bundle, folder);
    vault = await VaultDouble.start(world);
    vault.clientSecret = 'secret';
    service = await startService(refreshService, world.env(), { logDestination: { write: () => undefined } });
  }, patienceMs);
  afterAll(async () => {
    await service?.stop();
    await vault?.stop();
    await world?.close();
    provider.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const registered = (tenantId: string) => {
    const client = { clientId: 'client', tokenEndpointAuthMethod: 'client_secret_basic' } as const;
    const parameters = { issuer: provider.issuer };
    const data = { ...client, parameters, providerId: 'openid-connect', displayName: 'Slow', scopes };
    return world.register([{ type: 'RegistrationCreated', version: 1, data }], tenantId);
  };

  /** Connections of one tenant, as the log and the vault have them. @returns their refresh tokens */
  async function connected(tenantId: string, count: number): Promise<string[]> {
    const registrationId = await registered(tenantId);
    const one = async () => {
      const ref = { tenantId, id: newId('connection') };
      const refreshToken = `${tenantId}/${ref.id}`;
      const sessionId = newId('session');
      const expiresAtMs = Date.now() + hourMs;
      const tokenSet = { accessToken: 'at', tokenType: 'Bearer', refreshToken, grantedScopes: scopes };
      vault.insert(ref.id, sessionId, { ...tokenSet, accessTokenExpiresAtMs: expiresAtMs });
      await world.appendAt('authorization', ref, ...authorized({ sessionId, registrationId, expiresAtMs }));
      return refreshToken;
    };
    return await inBatches(Array.from({ length: count }), one);
  }

  /** Somebody wants them refreshed: they stand in the queue, one behind the other. */
  async function ask(tokens: readonly string[]): Promise<void> {
    const bus = await world.bus('refresh');
    const payload: RefreshDue = { reason: 'requested', credential_version: 1, position: 1 };
    await inBatches(tokens, async (token) => {
      const [tenantId = '', connectionId = ''] = token.split('/');
      const subject = subjects.refreshDue({ tenantId, connectionId });
      return await publishMessage(bus, { stream: streams.refresh.name, subject, payload, ackTimeoutMs: 30_000 });
    });
  }

  /** Due messages that found neither a seat nor a place to wait for one. */
  async function putBack(): Promise<number> {
    const text = await (await fetch(`${service.httpUrl}/metrics`)).text();
    return Number(/^postern_refresh_put_back_total\{why="share"\}.* (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  function authorized(of: { sessionId: string; registrationId: string; expiresAtMs: number }): ConnectionEvent[] {
    const { sessionId, registrationId, expiresAtMs } = of;
    const started = {
      ...{ sessionId, registrationId, expiresAtMs, purpose: 'connect' as const, platformId: world.platformId },
      ...{ providerId: 'openid-connect', endUserDigest: 'digest', requestedScopes: scopes },
      returnUrl: 'https://platform.example/return',
    };
    const granted = {
      ...{ sessionId, credentialVersion: 1, grantedScopes: scopes, accessTokenExpiresAtMs: expiresAtMs },
      ...{ hasRefreshToken: true, accountDigest: null },
    };
    return [
      { type: 'AuthorizationStarted', version: 1, data: started },
      { type: 'CodeExchangeStarted', version: 1, data: { sessionId } },
      { type: 'ConnectionAuthorized', version: 1, data: granted },
    ];
  }

  test(
    'another tenant’s only connection is refreshed while none of the queue before it gets anywhere',
    async () => {
      const [crowded, lonely] = [newId('tenant'), newId('tenant')];
      provider.slow = crowded;
      const before = await connected(crowded, backlog);
      const [last = ''] = await connected(lonely, 1);
      await ask(before);
      await waitFor(() => provider.mostHeld >= shareMax, { describe: 'the queue to stand', timeoutMs: patienceMs });
      await ask([last]);

      await waitFor(() => provider.calls.includes(last), { describe: 'the lonely one', timeoutMs: patienceMs });
      // Its share of the seats, each with one call; one that took too long on a busy machine leaves its seat to another.
      expect(provider.mostHeld).toBe(shareMax);
      expect(provider.calls.indexOf(last) - provider.givenUp).toBeLessThanOrEqual(shareMax);
      expect(await putBack()).toBeGreaterThanOrEqual(backlog - shareMax - placesOfOne);
      const isRefreshed = async () =>
        (await world.stateAt({ tenantId: lonely, id: last.split('/')[1] ?? '' })).credential;
      await waitFor(async () => ((await isRefreshed())?.version ?? 0) > 1, {
        describe: 'its next version in the log',
        timeoutMs: patienceMs,
      });

      provider.release();
      const callsOf = () => new Set(provider.calls.filter((token) => before.includes(token))).size;
      await waitFor(() => callsOf() > 3 * shareMax, { describe: 'the queue to go on', timeoutMs: patienceMs });
    },
    patienceMs,
  );
});

async function inBatches<T, R>(all: readonly T[], run: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < all.length; from += 50) {
    results.push(...(await Promise.all(all.slice(from, from + 50).map(run))));
  }
  return results;
}
