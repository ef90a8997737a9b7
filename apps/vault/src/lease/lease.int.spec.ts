import { rmSync } from 'node:fs';

import { jetstreamManager } from '@nats-io/jetstream';
import {
  limits,
  newId,
  operations,
  PosternError,
  streams,
  type AccessRecord,
  type RequestOf,
} from '@postern/contracts';
import { generateSealingKey } from '@postern/crypto';
import * as domain from '@postern/domain';
import {
  Bus,
  callOperation,
  connectBus,
  createOperator,
  endpoint,
  identityCreds,
  JetStreamEventLog,
  serveOperations,
  serverOperatorConfig,
  type OperatorBundle,
} from '@postern/nats';
import { AccessReader, keepsPromise, openReceipt } from '@postern/event-log';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import { EventLogs, Trust, type RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';
import { compactDecrypt, compactVerify, importJWK } from 'jose';

import {
  accessRecords,
  authorized,
  claimed,
  complete,
  connected,
  exchangingSession,
  exchangingTokens,
  promote,
  storePending,
  refreshed,
  released,
  revoked,
  type ConnectionRef,
} from '../spec-journeys.ts';
import { DataKeys } from '../data-keys.ts';
import { codeOf, specNats, tokenSetOf, VaultWorld, type Customer } from '../spec-world.ts';
import { LeaseRecords } from './lease-records.ts';
import { RefreshAsker } from './refresh-asker.ts';

type LeaseRequest = RequestOf<typeof operations.leaseToken>;

const folder = temporaryDataDir('postern-lease-');
let bundle: OperatorBundle;
let nats: NatsServer;
let postgres: Postgres;
let world: VaultWorld;
let vault: RunningService;
let customer: Customer;
let platform: Bus;

beforeAll(async () => {
  bundle = await createOperator();
  [nats, postgres] = await Promise.all([
    startNatsServer({ dataDir: `${folder}/nats`, config: { operatorMode: serverOperatorConfig(bundle), ...specNats } }),
    startPostgres({ dataDir: `${folder}/postgres` }),
  ]);
  await postgres.createDatabase('lease');
  world = await VaultWorld.open({
    natsUrl: nats.url,
    bundle,
    ownerUrl: postgres.urlOf('lease'),
    serviceRole: 'vault_lease',
    folder: `${folder}/world`,
  });
  vault = await world.startVault();
  customer = await world.customer();
  platform = await world.platformBus(customer);
  await answered(() => lease(newId('connection')), 'connection.not_found');
}, 120_000);

afterAll(async () => {
  await world?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const recipient = generateSealingKey();

function requestFor(connectionId: string, more: Partial<LeaseRequest> = {}): LeaseRequest {
  const { agentId } = customer;
  const purpose = 'sync contacts';
  return { connection_id: connectionId, agent_id: agentId, purpose, recipient_key: recipient.publicJwk, ...more };
}

/** A key of these bytes. */
function keyOf(hex: string) {
  return { kty: 'OKP', crv: 'X25519', x: Buffer.from(hex, 'hex').toString('base64url') } as const;
}

async function lease(
  connectionId: string,
  more: Partial<LeaseRequest> = {},
  by: { bus: Bus; as: Customer } = { bus: platform, as: customer },
) {
  const { tenantId, platformId } = by.as;
  return await callOperation(by.bus, operations.leaseToken, { tenantId, platformId }, requestFor(connectionId, more), {
    timeoutMs: 20_000,
  });
}

async function openWithJose(jwe: string) {
  const { plaintext, protectedHeader } = await compactDecrypt(jwe, await importJWK(recipient.privateJwk, 'ECDH-ES'));
  return { token: new TextDecoder().decode(plaintext), protectedHeader };
}

/** Waits until the answer is that code; what the vault follows comes when it comes. */
async function answered(ask: () => Promise<unknown>, code: string): Promise<void> {
  let last = '';
  await waitFor(async () => (last = await codeOf(ask())) === code, { describe: () => `${code}, not ${last}` });
}

async function refusalOf(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (error instanceof PosternError) return { code: error.code, message: error.message, details: error.details };
    throw error;
  }
  return { code: 'nothing was refused' };
}

/** A decision that every vault has applied. */
async function settled(decided: Promise<{ position: number }>): Promise<void> {
  const { position } = await decided;
  await world.call('revocation', operations.confirmPosition, { position });
}

async function fresh(): Promise<string> {
  return (await connected(world, customer)).connectionId;
}

/** A refusal does not wait for its record. */
async function recordsOf(connectionId: string, count: number): Promise<AccessRecord[]> {
  const ofIt = async () => (await accessRecords(world)).filter((record) => record.connectionId === connectionId);
  const describe = () => `${count} records of ${connectionId}`;
  await waitFor(async () => (await ofIt()).length >= count, { describe });
  return await ofIt();
}

/** `refresh` as the vault meets it on the bus. */
async function serveRefresh(refresh: () => Promise<{ position: number; state: domain.Connection }>) {
  const handler = endpoint(operations.refreshConnection, async ({ connection_id }) => {
    const { position, state } = await refresh();
    const freshness = domain.freshnessOf(state, { nowMs: Date.now() });
    return { connection_id, position, credential_version: state.credential?.version ?? 0, freshness };
  });
  return await serveOperations(world.buses.refresh, { name: 'refresh', version: '0.0.1', endpoints: [handler] });
}

async function refusedByProvider(ref: ConnectionRef) {
  const claimId = await claimed(world, ref);
  await released(world, ref, claimId);
  const rejection = { claimId, error: 'invalid_grant', errorDescription: null, httpStatus: 400 };
  return await world.decide('refresh', ref, (s, nowMs) => domain.recordRefreshRejected({ ...rejection, nowMs }, s));
}

/** Lets the access stream be full while the work runs: it then refuses every record. */
async function whileFull(work: () => Promise<void>): Promise<void> {
  const creds = await identityCreds(bundle, 'provisioner');
  const bus = await connectBus({ servers: nats.url, creds, identity: 'provisioner', name: 'full' });
  const manager = await jetstreamManager(bus.connection);
  const { state, config } = await manager.streams.info(streams.access.name);
  await manager.streams.update(streams.access.name, { ...config, max_msgs: state.messages });
  try {
    await work();
  } finally {
    await manager.streams.update(streams.access.name, config);
    await bus.close();
  }
}

describe('a lease', () => {
  test('is the access token itself, sealed so that another JOSE library opens it, bound to what it is', async () => {
    const set = tokenSetOf('a');
    const { connectionId } = await connected(world, customer, set);
    const reply = await lease(connectionId);
    const { token, protectedHeader } = await openWithJose(reply.sealed_token);
    expect(token).toBe('access-a');
    expect(protectedHeader).toMatchObject({
      alg: 'ECDH-ES',
      enc: 'A256GCM',
      kid: recipient.publicJwk.kid,
      lse: reply.lease_id,
      con: connectionId,
      ver: 1,
      exp: Math.floor((set.accessTokenExpiresAtMs ?? 0) / 1000),
    });
    expect(reply).toMatchObject({ token_type: 'Bearer', scope: ['read'], freshness: { health: 'ok', stale: false } });
    expect(JSON.stringify(reply)).not.toContain('access-a');
  });

  test('of a token without a known end has none either', async () => {
    const { connectionId } = await connected(world, customer, tokenSetOf('endless', { accessTokenExpiresAtMs: null }));
    const reply = await lease(connectionId);
    const { token, protectedHeader } = await openWithJose(reply.sealed_token);
    expect({ token, exp: protectedHeader['exp'], at: reply.expires_at }).toEqual({
      token: 'access-endless',
      exp: undefined,
      at: null,
    });
  });

  test.each(['access-again', 'a"quoted\\one'])('is the same one from memory: %s', async (accessToken) => {
    const { connectionId } = await connected(world, customer, tokenSetOf('again', { accessToken }));
    for (let turn = 1; turn <= 3; turn += 1) {
      const { sealed_token, lease_id } = await lease(connectionId);
      const { token, protectedHeader } = await openWithJose(sealed_token);
      expect({ token, lse: protectedHeader['lse'] }).toEqual({ token: accessToken, lse: lease_id });
    }
  });

  test('is given too where its data key leaves memory while the record is written', async () => {
    const { connectionId } = await connected(world, customer, tokenSetOf('forgotten'));
    await lease(connectionId);
    const leaseRecords = vault.get(LeaseRecords);
    const record = leaseRecords.record.bind(leaseRecords);
    leaseRecords.record = async (written, meanwhile) => {
      vault.get(DataKeys).forget({ tenantId: customer.tenantId, ownerId: connectionId });
      return await record(written, meanwhile);
    };
    const { sealed_token } = await lease(connectionId).finally(() => (leaseRecords.record = record));
    expect((await openWithJose(sealed_token)).token).toBe('access-forgotten');
  });

  test('gives the newest version after a refresh', async () => {
    const ref = await connected(world, customer);
    await settled(refreshed(world, ref, tokenSetOf('second')));
    const { token, protectedHeader } = await openWithJose((await lease(ref.connectionId)).sealed_token);
    expect({ token, ver: protectedHeader['ver'] }).toEqual({ token: 'access-second', ver: 2 });
  });

  test('is recorded with the position at which it was decided, before it leaves', async () => {
    const { connectionId } = await connected(world, customer);
    const { position } = await world.connections('refresh').load({ tenantId: customer.tenantId, id: connectionId });
    const { lease_id } = await lease(connectionId);
    const record = (await accessRecords(world)).find(({ leaseId }) => leaseId === lease_id);
    expect(record).toMatchObject({
      outcome: 'granted',
      code: null,
      connectionId,
      credentialVersion: 1,
      purpose: 'sync contacts',
      ...{ tenantId: customer.tenantId, platformId: customer.platformId, agentId: customer.agentId },
    });
    expect(record?.position).toBeGreaterThanOrEqual(position);
  });
});

describe('no lease is given', () => {
  const refusals: [string, string, () => Promise<unknown>][] = [
    ['for a connection that does not exist', 'connection.not_found', () => lease(newId('connection'))],
    [
      'for a connection never completed',
      'connection.not_authorized',
      async () => lease((await exchangingSession(world, customer)).connectionId),
    ],
    [
      'for a scope that was not granted',
      'lease.scope_missing',
      async () => lease(await fresh(), { scopes: ['write'] }),
    ],
    [
      'to an agent that does not exist',
      'agent.not_found',
      async () => lease(await fresh(), { agent_id: newId('agent') }),
    ],
    [
      'to an agent of another platform',
      'agent.not_found',
      async () => lease(await fresh(), { agent_id: (await world.customer(customer.tenantId)).agentId }),
    ],
    [
      'to a low-order key',
      'lease.recipient_key_invalid',
      async () => lease(await fresh(), { recipient_key: { kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43) } }),
    ],
    [
      'to a key of another curve',
      'request.malformed',
      async () => lease(await fresh(), { recipient_key: { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) } as never }),
    ],
    [
      'to a low-order key in its other spelling',
      'lease.recipient_key_invalid',
      async () => lease(await fresh(), { recipient_key: keyOf(`${'00'.repeat(31)}80`) }),
    ],
    [
      'to a key whose last character says more than its bytes',
      'lease.recipient_key_invalid',
      async () => lease(await fresh(), { recipient_key: { kty: 'OKP', crv: 'X25519', x: `${'C'.repeat(42)}D` } }),
    ],
    [
      'to a key that is too short',
      'request.malformed',
      async () => lease(await fresh(), { recipient_key: keyOf('09'.repeat(31)) }),
    ],
    [
      'to a key whose private part was sent along',
      'request.malformed',
      async () => lease(await fresh(), { recipient_key: generateSealingKey().privateJwk as never }),
    ],
    ['with fields that nobody knows', 'request.malformed', async () => lease(await fresh(), { scope: 'x' } as never)],
    ['for a negative time', 'request.malformed', async () => lease(await fresh(), { min_ttl_s: -1 })],
    [
      'for a time that is no number of seconds',
      'request.malformed',
      async () => lease(await fresh(), { min_ttl_s: 0.5 }),
    ],
    ['for longer than any token lives', 'request.malformed', async () => lease(await fresh(), { min_ttl_s: 1e300 })],
    ['for an id with a wildcard', 'request.malformed', () => lease('con_>')],
    ['for an id of another kind', 'request.malformed', () => lease(newId('agent'))],
    ['to an agent with a wildcard', 'request.malformed', async () => lease(await fresh(), { agent_id: 'agt_*' })],
    ['without a purpose', 'request.malformed', async () => lease(await fresh(), { purpose: '' })],
    [
      'over the size limit',
      'request.too_large',
      async () => lease(await fresh(), { purpose: 'x'.repeat(limits.requestBytesMax) }),
    ],
  ];

  test.each(refusals)('%s: %s', async (_name, code, ask) => {
    expect(await codeOf(ask())).toBe(code);
  });

  test("for another platform's and another tenant's connection, in the very words for one that does not exist", async () => {
    const neighbour = await world.customer(customer.tenantId);
    const stranger = await world.customer();
    const none = await refusalOf(lease(newId('connection')));
    for (const owner of [neighbour, stranger]) {
      const { connectionId } = await connected(world, owner);
      expect(await refusalOf(lease(connectionId))).toEqual(none);
    }
    expect(none).toMatchObject({ code: 'connection.not_found', details: {} });
  });

  test('while suspended, and again once resumed', async () => {
    const ref = await connected(world, customer);
    await settled(world.decide('revocation', ref, (s) => domain.suspendConnection({ reason: null }, s)));
    expect(await codeOf(lease(ref.connectionId))).toBe('connection.suspended');
    await world.decide('revocation', ref, (s) => domain.resumeConnection({ reason: null }, s));
    expect(await codeOf(lease(ref.connectionId))).toBe('nothing was refused');
  });

  test('after a revocation that this vault has confirmed, until the re-authorization in place', async () => {
    const ref = await connected(world, customer);
    await lease(ref.connectionId);
    const { position } = await revoked(world, ref);
    const confirmed = await world.call('revocation', operations.confirmPosition, { position });
    expect(confirmed.position).toBeGreaterThanOrEqual(position);
    const refusal = await refusalOf(lease(ref.connectionId));
    expect(refusal).toMatchObject({
      code: 'connection.revoked',
      details: {
        reauthorize_url: `http://127.0.0.1:7420/connect/${ref.connectionId}`,
        freshness: { health: 'revoked' },
      },
    });
    await authorized(world, await exchangingSession(world, customer, ref.connectionId), tokenSetOf('again'));
    const { token } = await openWithJose((await lease(ref.connectionId)).sealed_token);
    expect(token).toBe('access-again');
  });

  test('to a disabled agent, platform or tenant', async () => {
    const other = await world.customer();
    const bus = await world.platformBus(other);
    const { connectionId } = await connected(world, other);
    const ask = () => lease(connectionId, { agent_id: other.agentId }, { bus, as: other });
    const { tenantId, agentId, platformId } = other;
    const reason = null;
    await answered(ask, 'nothing was refused');
    await world.admin(tenantId, domain.agentEvolver, agentId, (s) => domain.disableAgent({ reason }, s));
    await answered(ask, 'agent.disabled');
    await world.admin(tenantId, domain.platformEvolver, platformId, (s) => domain.disablePlatform({ reason }, s));
    await answered(ask, 'platform.disabled');
    await world.admin(tenantId, domain.tenantEvolver, tenantId, (s) => domain.disableTenant({ reason }, s));
    await answered(ask, 'tenant.disabled');
  });

  test('without a record of the refusal', async () => {
    const connectionId = newId('connection');
    expect(await codeOf(lease(connectionId, { purpose: 'curious' }))).toBe('connection.not_found');
    const refused = await recordsOf(connectionId, 1);
    expect(refused).toMatchObject([{ outcome: 'refused', code: 'connection.not_found', purpose: 'curious' }]);
  });
});

describe('an ended token', () => {
  const ended = () => tokenSetOf('ended', { accessTokenExpiresAtMs: Date.now() - 1 });

  test('is refreshed once, however many leases wait for it', async () => {
    const ref = await connected(world, customer, ended());
    let asked = 0;
    const service = await serveRefresh(async () => {
      asked += 1;
      return await refreshed(world, ref, tokenSetOf('bought'));
    });
    const replies = await Promise.all(Array.from({ length: 40 }, () => lease(ref.connectionId)));
    const tokens = await Promise.all(replies.map(async (reply) => (await openWithJose(reply.sealed_token)).token));
    await service.stop();
    expect({ asked, tokens: [...new Set(tokens)] }).toEqual({ asked: 1, tokens: ['access-bought'] });
  });

  test('is refreshed as soon as the log says so, though the answer of `refresh` has not come', async () => {
    const ref = await connected(world, customer, ended());
    const held = Promise.withResolvers<void>();
    const service = await serveRefresh(async () => {
      const done = await refreshed(world, ref, tokenSetOf('bought'));
      await held.promise;
      return done;
    });
    const { tenantId, platformId } = customer;
    const stale = { tenantId, platformId, connectionId: ref.connectionId, credentialVersion: 1 };
    const failure = await vault.get(RefreshAsker).ask(stale);
    held.resolve();
    await service.stop();
    expect(failure).toBeUndefined();
  });

  test('is refused while nobody can refresh it, with the time after which to ask again', async () => {
    const ref = await connected(world, customer, ended());
    expect(await refusalOf(lease(ref.connectionId))).toMatchObject({
      code: 'refresh.unavailable',
      details: { retry_after_s: 1, freshness: { health: 'ok' } },
    });
  });

  test('that the provider calls dead is answered with where the end user can help', async () => {
    const ref = await connected(world, customer, ended());
    const service = await serveRefresh(async () => {
      const { state } = await refusedByProvider(ref);
      throw new PosternError('connection.reauthorization_required', state.authorization);
    });
    const refusal = await refusalOf(lease(ref.connectionId));
    await service.stop();
    expect(refusal).toMatchObject({
      code: 'connection.reauthorization_required',
      details: {
        reauthorize_url: `http://127.0.0.1:7420/connect/${ref.connectionId}`,
        freshness: { health: 'reauthorization_required' },
      },
    });
  });
});

describe('a derived connection', () => {
  const derive = async (subject: ConnectionRef, actor: ConnectionRef) => {
    const delegation = { subjectConnectionId: subject.connectionId, actorConnectionId: actor.connectionId };
    const session = await exchangingTokens(world, customer, delegation);
    const { registrationId } = customer;
    const party = ({ connectionId }: ConnectionRef) => ({ connectionId, registrationId });
    const renewal = {
      ...{ grant: 'token_exchange' as const, scopes: ['read'], audience: ['billing'], resource: [], parameters: {} },
      ...{ subject: party(subject), actor: party(actor) },
    };
    const release = (more: Partial<RequestOf<typeof operations.releaseForExchange>> = {}) =>
      world.call('authorization', operations.releaseForExchange, {
        ...{ tenant_id: session.tenantId, connection_id: session.connectionId, session_id: session.sessionId },
        ...{ subject_registration_id: registrationId, actor_registration_id: registrationId, ...more },
      });
    const finish = async () => {
      await storePending(world, session, { ...tokenSetOf('derived'), refreshToken: null, renewal });
      await complete(world, session, await promote(world, session), 'token_exchange');
      return session;
    };
    return { delegation, session, release, finish };
  };
  const two = async () => [await connected(world, customer), await connected(world, customer)] as const;
  const suspend = (ref: ConnectionRef) =>
    settled(world.decide('revocation', ref, (state) => domain.suspendConnection({ reason: null }, state)));
  const resume = (ref: ConnectionRef) =>
    settled(world.decide('revocation', ref, (state) => domain.resumeConnection({ reason: null }, state)));

  test('gives the tokens of its subject and its actor for its exchange alone, recorded as uses of theirs', async () => {
    const [subject, actor] = await two();
    const { session, release } = await derive(subject, actor);
    const { sealed_tokens: sealed } = await release();
    const opened = { accessToken: 'access-first', grantedScopes: ['read'] };
    expect(JSON.parse(world.openAs('authorization', sealed))).toEqual({ subject: opened, actor: opened });
    for (const ref of [subject, actor]) {
      expect(await recordsOf(ref.connectionId, 1)).toMatchObject([
        { outcome: 'granted', agentId: 'authorization', purpose: `exchange for ${session.connectionId}` },
      ]);
    }
    expect(await codeOf(release({ session_id: newId('session') }))).toBe('auth.forbidden');
    expect(await codeOf(release({ connection_id: subject.connectionId }))).toBe('auth.forbidden');
    const moved = await codeOf(release({ subject_registration_id: newId('registration') }));
    expect(moved).toBe('connection.delegation_refused');
    await suspend(subject);
    expect(await codeOf(release())).toBe('connection.delegation_ended');
  });

  test('is leased with the chain in its record, and refused at once while its subject or its actor may not be used', async () => {
    const [subject, actor] = await two();
    const { delegation, finish } = await derive(subject, actor);
    const { connectionId } = await finish();
    expect((await openWithJose((await lease(connectionId)).sealed_token)).token).toBe('access-derived');
    expect(await recordsOf(connectionId, 1)).toMatchObject([{ outcome: 'granted', delegation: [delegation] }]);
    for (const ref of [subject, actor]) {
      await suspend(ref);
      const refusal = await refusalOf(lease(connectionId));
      expect(refusal).toMatchObject({
        code: 'connection.delegation_ended',
        details: { ended_by: { connection_id: ref.connectionId, code: 'connection.suspended' } },
      });
      await resume(ref);
      expect((await lease(connectionId)).credential_version).toBe(1);
    }
    await settled(revoked(world, subject));
    expect(await codeOf(lease(connectionId))).toBe('connection.delegation_ended');
  });

  test('its subject’s end while the record is written does not let it leave', async () => {
    const [subject, actor] = await two();
    const { finish } = await derive(subject, actor);
    const { connectionId } = await finish();
    await lease(connectionId);
    const leaseRecords = vault.get(LeaseRecords);
    const record = leaseRecords.record.bind(leaseRecords);
    leaseRecords.record = async (written, meanwhile) => {
      const place = await record(written, meanwhile);
      if (written.outcome === 'granted') await settled(revoked(world, subject));
      return place;
    };
    const code = await codeOf(lease(connectionId));
    leaseRecords.record = record;
    expect(code).toBe('connection.delegation_ended');
  });

  test('the worker that renews it gets what it is asked with and the tokens of the others; nothing once they are over', async () => {
    const [subject, actor] = await two();
    const { finish } = await derive(subject, actor);
    const ref = await finish();
    const { sealed_refresh_token: sealed } = await released(world, ref, await claimed(world, ref));
    expect(JSON.parse(world.openAs('refresh', sealed))).toMatchObject({
      renewal: { grant: 'token_exchange', audience: ['billing'] },
      exchange: { subject: { accessToken: 'access-first' }, actor: { accessToken: 'access-first' } },
    });
    const other = await (await derive(await connected(world, customer), actor)).finish();
    const claimId = await claimed(world, other);
    await settled(revoked(world, actor));
    expect(await codeOf(released(world, other, claimId))).toBe('connection.delegation_ended');
  });

  test('one whose subject’s token has ended is renewed after that is refreshed', async () => {
    const subject = await connected(world, customer, tokenSetOf('gone', { accessTokenExpiresAtMs: Date.now() - 1 }));
    const { release } = await derive(subject, await connected(world, customer));
    const service = await serveRefresh(async () => await refreshed(world, subject, tokenSetOf('anew')));
    const { sealed_tokens: sealed } = await release();
    await service.stop();
    expect(JSON.parse(world.openAs('authorization', sealed))).toMatchObject({
      subject: { accessToken: 'access-anew' },
    });
  });
});

describe('an identity', () => {
  const identity = (idToken: string, livesMs = 60_000) => ({ idToken, expiresAtMs: Date.now() + livesMs });
  const holding = async (idToken: string, livesMs?: number) =>
    await connected(world, customer, tokenSetOf('signed-in', { identity: identity(idToken, livesMs) }));
  const derive = async ({ connectionId }: ConnectionRef) => {
    const delegation = { subjectConnectionId: connectionId, actorConnectionId: null };
    const session = await exchangingTokens(world, customer, delegation, 'identity_assertion');
    const { registrationId } = customer;
    const release = async () =>
      await world.call('authorization', operations.releaseForExchange, {
        ...{ tenant_id: session.tenantId, connection_id: session.connectionId, session_id: session.sessionId },
        subject_registration_id: registrationId,
      });
    const renewal = {
      ...{ grant: 'identity_assertion' as const, scopes: ['read'], resource: [], parameters: {} },
      subject: { connectionId, registrationId },
    };
    const finish = async () => {
      await storePending(world, session, { ...tokenSetOf('derived'), refreshToken: null, renewal });
      await complete(world, session, await promote(world, session), 'identity_assertion');
      return session;
    };
    return { session, release, finish };
  };
  const opened = (app: 'authorization' | 'refresh', sealed: string) =>
    JSON.parse(world.openAs(app, sealed)) as Record<string, unknown>;

  test('is given for its assertion alone, recorded as a use of its connection; it is in no lease and no token goes with it', async () => {
    const subject = await holding('id-token-1');
    const { session, release } = await derive(subject);
    const { sealed_tokens: sealed } = await release();
    expect(opened('authorization', sealed)).toEqual({ idToken: 'id-token-1', providerVersion: null });
    expect(await recordsOf(subject.connectionId, 1)).toMatchObject([
      { outcome: 'granted', agentId: 'authorization', purpose: `identity assertion for ${session.connectionId}` },
    ]);
    const leased = await lease(subject.connectionId);
    expect((await openWithJose(leased.sealed_token)).token).toBe('access-signed-in');
    expect(JSON.stringify(leased)).not.toContain('id-token');
    await settled(revoked(world, subject));
    expect(await codeOf(release())).toBe('connection.delegation_ended');
  });

  test('goes to the worker that renews what is derived from it, and nothing once it is over', async () => {
    const subject = await holding('id-token-2');
    const ref = await (await derive(subject)).finish();
    const { sealed_refresh_token: sealed } = await released(world, ref, await claimed(world, ref));
    expect(opened('refresh', sealed)).toMatchObject({
      renewal: { grant: 'identity_assertion' },
      identity: { idToken: 'id-token-2' },
    });
    const other = await (await derive(subject)).finish();
    const claimId = await claimed(world, other);
    await settled(revoked(world, subject));
    expect(await codeOf(released(world, other, claimId))).toBe('connection.delegation_ended');
  });

  test('that has ended is had anew with its connection’s own refresh; where that brings none, it is said', async () => {
    const subject = await holding('id-token-3', 1_000);
    const { release } = await derive(subject);
    const set = tokenSetOf('anew', { identity: identity('id-token-4') });
    const service = await serveRefresh(async () => await refreshed(world, subject, set));
    const { sealed_tokens: sealed } = await release();
    await service.stop();
    expect(opened('authorization', sealed)).toMatchObject({ idToken: 'id-token-4' });
    const without = await connected(world, customer);
    const silent = await serveRefresh(async () => await refreshed(world, without, tokenSetOf('anew')));
    expect(await codeOf((await derive(without)).release())).toBe('connection.delegation_refused');
    await silent.stop();
  });
});

describe('record before release', () => {
  test('no sealed token leaves while the access log takes no record', async () => {
    const { connectionId } = await connected(world, customer);
    await lease(connectionId);
    await whileFull(async () => {
      expect(await codeOf(lease(connectionId))).toBe('vault.audit_unavailable');
    });
    await answered(() => lease(connectionId), 'nothing was refused');
  });

  test('what is revoked while its record is still to be stored hears that at once', async () => {
    const ref = await connected(world, customer);
    await lease(ref.connectionId);
    const held = Promise.withResolvers<void>();
    const bus: Pick<Bus, 'aroundSend'> = vault.get(Bus);
    const { aroundSend } = bus;
    let isHeld = false;
    bus.aroundSend = async (stream, send) => {
      isHeld = stream === streams.access.name;
      if (isHeld) await held.promise;
      return await send();
    };
    const leased = codeOf(lease(ref.connectionId));
    await waitFor(() => isHeld, { describe: 'the record to be made' });
    await revoked(world, ref);
    expect(await leased).toBe('connection.revoked');
    bus.aroundSend = aroundSend;
    held.resolve();
    const outcomes = await recordsOf(ref.connectionId, 3);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['granted', 'granted', 'refused']);
  });

  test('what is revoked while the record is written does not leave', async () => {
    const ref = await connected(world, customer);
    await lease(ref.connectionId);
    const leaseRecords = vault.get(LeaseRecords);
    const record = leaseRecords.record.bind(leaseRecords);
    leaseRecords.record = async (written, meanwhile) => {
      const place = await record(written, meanwhile);
      if (written.outcome === 'granted') await settled(revoked(world, ref));
      return place;
    };
    const code = await codeOf(lease(ref.connectionId));
    leaseRecords.record = record;
    expect(code).toBe('connection.revoked');
    const outcomes = await recordsOf(ref.connectionId, 3);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['granted', 'granted', 'refused']);
  });
});

describe('a receipt', () => {
  test('is in the answer of whoever asked, checked by a JOSE library, and its record stands where it says', async () => {
    const { connectionId } = await connected(world, customer);
    expect(await lease(connectionId)).not.toHaveProperty('receipt');
    const { receipt = '', lease_id: leaseId } = await lease(connectionId, { receipt: true });
    const { verifier, bundle: trust } = vault.get(Trust);
    const { payload, protectedHeader } = await compactVerify(
      receipt,
      await importJWK(trust.writers.vault?.[0] ?? {}, 'EdDSA'),
    );
    expect(protectedHeader).toMatchObject({ alg: 'EdDSA', typ: 'postern-lease-receipt+jws' });
    const promise = openReceipt(receipt, verifier);
    expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(promise);
    expect(promise).toMatchObject({ lease_id: leaseId, connection_id: connectionId });
    const message = await new JetStreamEventLog({ bus: world.buses.audit, stream: 'access' }).at(
      promise?.position ?? 0,
    );
    const read = message && new AccessReader({ verifier }).read(message);
    expect(read?.kind === 'access' && promise !== undefined && keepsPromise(promise, read.entry)).toBe(true);
  });
});

/** Lets the leader's answer about the end of a log fail while the work runs. */
async function whileUnproved(log: 'connections' | 'admin', work: () => Promise<void>): Promise<void> {
  const followed = vault.get(EventLogs)[log];
  const head = followed.head.bind(followed);
  followed.head = () => Promise.reject(new PosternError('log.unavailable', 'The leader does not answer.'));
  try {
    await work();
  } finally {
    followed.head = head;
  }
}

describe('a vault that cannot prove its feed', () => {
  test.each(['connections', 'admin'] as const)(
    'of %s refuses rather than serves from memory, and heals',
    async (log) => {
      const { connectionId } = await connected(world, customer);
      await lease(connectionId);
      await whileUnproved(log, () => answered(() => lease(connectionId), 'vault.feed_stale'));
      await answered(() => lease(connectionId), 'nothing was refused');
    },
  );

  test('is not ready for work', async () => {
    const becomes = async (wanted: number) => {
      const status = async () => (await fetch(`${vault.httpUrl}/readyz`)).status;
      await waitFor(async () => (await status()) === wanted, { describe: `/readyz to answer ${wanted}` });
    };
    await becomes(200);
    await whileUnproved('connections', () => becomes(503));
    await becomes(200);
  });
});
