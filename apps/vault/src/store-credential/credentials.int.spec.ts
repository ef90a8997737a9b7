import { jest } from '@jest/globals';

import { rmSync } from 'node:fs';

import { MikroORM } from '@mikro-orm/postgresql';
import { AccessGroup, limits, newId, operations, PosternError, type AccessRecord } from '@postern/contracts';
import * as domain from '@postern/domain';
import { createOperator, serverOperatorConfig } from '@postern/nats';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import { Clock, type RunningService } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { PendingCredentials } from '../pending-credentials.ts';
import { PendingSweeper } from '../pending-sweeper.ts';
import {
  asked,
  authorized,
  claimed,
  claimedReleased,
  complete,
  connected,
  deleted,
  deviceSession,
  exchangingSession,
  promote,
  recorded,
  refreshed,
  released,
  revoked,
  stored,
  storePending,
  suspected,
  type ConnectionRef,
} from '../spec-journeys.ts';
import { codeOf, specNats, tokenSetOf, VaultWorld, type Customer } from '../spec-world.ts';

const folder = temporaryDataDir('postern-credentials-');
let nats: NatsServer;
let postgres: Postgres;
let owner: MikroORM;
let world: VaultWorld;
let vault: RunningService;
let customer: Customer;

beforeAll(async () => {
  const bundle = await createOperator();
  [nats, postgres] = await Promise.all([
    startNatsServer({
      dataDir: `${folder}/nats`,
      config: { operatorMode: serverOperatorConfig(bundle), ...specNats },
    }),
    startPostgres({ dataDir: `${folder}/postgres` }),
  ]);
  await postgres.createDatabase('credentials');
  const ownerUrl = postgres.urlOf('credentials');
  world = await VaultWorld.open({
    natsUrl: nats.url,
    bundle,
    ownerUrl,
    serviceRole: 'vault_credentials',
    folder: `${folder}/world`,
  });
  owner = new MikroORM({ clientUrl: ownerUrl, entities: [], discovery: { warnWhenNoEntities: false } });
  vault = await world.startVault();
  customer = await world.customer();
}, 120_000);

afterAll(async () => {
  await owner?.close(true);
  await world?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** The superuser sees every row: what an attacker with the database has. */
async function asAttacker(sql: string, params: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
  return await owner.em.getConnection().execute(sql, [...params]);
}

async function stateOf({ tenantId, connectionId }: ConnectionRef) {
  return (await world.connections('refresh').load({ tenantId, id: connectionId }, { fromLeader: true })).state;
}

async function eventsOf({ tenantId, connectionId }: ConnectionRef): Promise<string[]> {
  const types: string[] = [];
  for await (const { commit } of world.connections('refresh').history({ tenantId, id: connectionId })) {
    types.push(...commit.events.map(({ type }) => type));
  }
  return types;
}

async function openAccess(ref: ConnectionRef, version: number) {
  return await vault.get(Credentials).openAccess(ownerOf(await stateOf(ref)), version);
}

const refOf = ({ tenantId, connectionId }: ConnectionRef) => ({ tenant_id: tenantId, connection_id: connectionId });

describe('a session', () => {
  test('stores its token set as pending, and nothing can be leased from it until it is completed', async () => {
    const session = await exchangingSession(world, customer);
    const first = await storePending(world, session, tokenSetOf('a'));
    expect(first.credential_version).toBeNull();
    expect(await storePending(world, session, tokenSetOf('b'))).toEqual(first);
    expect(await codeOf(openAccess(session, 1))).toBe('vault.credential_missing');
    const promoted = await promote(world, session);
    expect(promoted).toMatchObject({ credential_version: 1, granted_scopes: ['read'], has_refresh_token: true });
    expect(await promote(world, session)).toEqual(promoted);
    await complete(world, session, promoted);
    expect(await promote(world, session)).toEqual(promoted);
    expect((await openAccess(session, 1)).accessToken).toBe('access-a');
  });

  test('with a user code keeps its device code until it ends, for who asks the provider alone', async () => {
    const session = await deviceSession(world, customer);
    const place = { ...refOf(session), session_id: session.sessionId };
    const deviceCode = (userCode: string) => ({
      ...{ deviceCode: `code-${userCode}`, userCode, verificationUri: 'https://acme.example/device' },
      expiresAtMs: Date.now() + 600_000,
    });
    const keep = (userCode: string, by: 'authorization' | 'refresh' = 'authorization') => {
      const sealed = world.sealTo('vault', deviceCode(userCode));
      return world.call(by, operations.storeDeviceCode, { ...place, sealed_device_code: sealed });
    };
    const release = (by: 'authorization' | 'refresh' = 'authorization') =>
      world.call(by, operations.releaseDeviceCode, place);
    expect(await codeOf(keep('A', 'refresh'))).toBe('auth.forbidden');
    await keep('A');
    await keep('B');
    expect(await codeOf(release())).toBe('session.not_found');
    await asked(world, session);
    expect(await codeOf(release('refresh'))).toBe('auth.forbidden');
    const { sealed_device_code: sealed } = await release();
    expect(JSON.parse(world.openAs('authorization', sealed))).toMatchObject({ deviceCode: 'code-A', userCode: 'A' });
    expect(await codeOf(keep('C'))).toBe('session.not_found');

    await storePending(world, session, tokenSetOf('a'));
    expect(await codeOf(promote(world, session))).toBe('session.not_found');
    const { sessionId } = session;
    await world.decide('authorization', session, (state, nowMs) =>
      domain.grantDeviceAuthorization({ sessionId, accountDigest: null, nowMs }, state),
    );
    expect(await codeOf(release())).toBe('session.not_found');
    await complete(world, session, await promote(world, session), 'device_code');
    expect((await openAccess(session, 1)).accessToken).toBe('access-a');
  });

  test('whose tokens are renewed without a refresh token keeps what they are asked with, and spends nothing', async () => {
    const renewal = {
      grant: 'client_credentials' as const,
      scopes: ['read'],
      parameters: { audience: 'https://a.example' },
    };
    const set = { ...tokenSetOf('a'), refreshToken: null, renewal };
    const session = await exchangingSession(world, customer);
    await storePending(world, session, set);
    const promoted = await promote(world, session);
    expect(promoted).toMatchObject({ has_refresh_token: false });
    expect(await promote(world, session)).toEqual(promoted);
    await complete(world, session, promoted, 'client_credentials');
    const claimId = await claimed(world, session);
    const release = await released(world, session, claimId);
    const part: unknown = JSON.parse(world.openAs('refresh', release.sealed_refresh_token));
    expect(part).toEqual({ renewal, grantedScopes: ['read'] });
    const bought = await stored(world, session, { claimId, set: { ...tokenSetOf('b'), refreshToken: null, renewal } });
    expect(bought.credential_version).toBe(2);
    const found = await world.call('refresh', operations.findCredential, { ...refOf(session), bought_by: claimId });
    expect(found).toMatchObject({ found: true, refresh_token_rotated: false });
    const access = JSON.stringify(await openAccess(session, 2));
    expect(access).toContain('access-b');
    expect(access).not.toContain('audience');
  });

  test('that is not exchanging its code stores nothing', async () => {
    const session = await exchangingSession(world, customer);
    expect(await codeOf(storePending(world, { ...session, sessionId: newId('session') }, tokenSetOf('x')))).toBe(
      'session.not_found',
    );
    const nowhere = { ...session, connectionId: newId('connection') };
    expect(await codeOf(storePending(world, nowhere, tokenSetOf('x')))).toBe('connection.not_found');
    expect(await codeOf(promote(world, session))).toBe('session.code_invalid');
  });

  test('whose promotion was overtaken by a refresh is promoted anew, after it', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    await released(world, ref, claimId);
    const session = await exchangingSession(world, customer, ref.connectionId);
    await storePending(world, session, tokenSetOf('session'));
    const promoted = await promote(world, session);
    const bought = await stored(world, ref, { claimId, set: tokenSetOf('claim') });
    expect([promoted.credential_version, bought.credential_version]).toEqual([2, 3]);
    await recorded(world, ref, { claimId, set: tokenSetOf('claim'), credentialVersion: 3 });
    expect(await codeOf(complete(world, session, promoted))).toBe('vault.version_stale');
    const again = await promote(world, session);
    expect(again.credential_version).toBe(4);
    await complete(world, session, again);
    expect((await openAccess(ref, 4)).accessToken).toBe('access-session');
  });

  test('that nobody completed in time leaves nothing behind', async () => {
    const session = await exchangingSession(world, customer);
    await storePending(world, session, tokenSetOf('left'));
    const held = 'select 1 from vault.pending_credential where session_id = ?';
    await vault.get(PendingSweeper).sweep();
    expect(await asAttacker(held, [session.sessionId])).toHaveLength(1);
    await vault.get(PendingCredentials).removeExpired(session.tenantId, new Date(Date.now() + limits.sessionTtlMs));
    expect(await asAttacker(held, [session.sessionId])).toHaveLength(0);
  });
});

describe('a store', () => {
  test('of a released claim is the next version, and repeated answers the same', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    await released(world, ref, claimId);
    const set = tokenSetOf('second');
    const [first, ...repeats] = await Promise.all([1, 2, 3, 4].map(() => stored(world, ref, { claimId, set })));
    expect(first?.credential_version).toBe(2);
    for (const repeat of repeats) expect(repeat).toEqual(first);
    await recorded(world, ref, { claimId, set, credentialVersion: 2 });
    expect(await stored(world, ref, { claimId, set: tokenSetOf('other') })).toEqual(first);
    expect((await openAccess(ref, 2)).accessToken).toBe('access-second');
  });

  test('of many connections at once is each one’s own: what the tables refuse of one keeps no other back', async () => {
    const refs = await Promise.all(Array.from({ length: 6 }, () => connected(world, customer, tokenSetOf('many'))));
    const claimIds = await Promise.all(
      refs.map(async (ref) => {
        const claimId = newId('claim');
        const token = JSON.parse(
          world.openAs('refresh', (await claimedReleased(world, ref, { claimId })).sealed_refresh_token),
        );
        expect(token).toMatchObject({ refreshToken: 'refresh-many' });
        return claimId;
      }),
    );
    const [refused] = refs;
    const check = `check (connection_id <> '${refused?.connectionId}' or version < 2)`;
    await asAttacker(`alter table vault.credential add constraint spec_refuses ${check}`);
    const sets = refs.map(({ connectionId }) => tokenSetOf(connectionId));
    const bought = claimIds.map((claimId, index) => ({ claimId, set: sets[index] ?? tokenSetOf('none') }));
    const store = async () =>
      await Promise.all(
        refs.map((ref, index) => stored(world, ref, bought[index] as (typeof bought)[number]).catch(() => undefined)),
      );
    const first = await store();
    await asAttacker('alter table vault.credential drop constraint spec_refuses');
    expect(first.map((one) => one?.credential_version)).toEqual([undefined, 2, 2, 2, 2, 2]);
    expect((await store()).slice(1)).toEqual(first.slice(1));
    const tokens = await Promise.all(refs.map(async (ref) => (await openAccess(ref, 2)).accessToken));
    expect(tokens).toEqual(refs.map(({ connectionId }) => `access-${connectionId}`));
  });

  test('without a refresh token keeps the old one', async () => {
    const ref = await connected(world, customer, tokenSetOf('old'));
    await refreshed(world, ref, tokenSetOf('new', { refreshToken: null }));
    const { sealed_refresh_token } = await released(world, ref, await claimed(world, ref));
    expect(JSON.parse(world.openAs('refresh', sealed_refresh_token))).toEqual({
      refreshToken: 'refresh-old',
      grantedScopes: ['read'],
    });
  });

  test('is told to whoever asks after a crash', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    const ask = () => world.call('refresh', operations.findCredential, { ...refOf(ref), bought_by: claimId });
    await released(world, ref, claimId);
    expect(await ask()).toMatchObject({ found: false, credential_version: null });
    await stored(world, ref, { claimId, set: tokenSetOf('second', { grantedScopes: ['read', 'write'] }) });
    expect(await ask()).toMatchObject({
      found: true,
      credential_version: 2,
      granted_scopes: ['read', 'write'],
      refresh_token_rotated: true,
    });
  });

  test('by a claim that got no refresh token, or that nobody made, is refused', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    expect(await codeOf(stored(world, ref, { claimId, set: tokenSetOf('x') }))).toBe('refresh.not_released');
    const unknown = { claimId: newId('claim'), set: tokenSetOf('x') };
    expect(await codeOf(stored(world, ref, unknown))).toBe('vault.version_stale');
  });

  test('for a version that is not current any more is refused', async () => {
    const ref = await connected(world, customer);
    const late = await claimed(world, ref);
    await released(world, ref, late);
    await authorized(world, await exchangingSession(world, customer, ref.connectionId), tokenSetOf('newer'));
    expect(await codeOf(stored(world, ref, { claimId: late, set: tokenSetOf('late') }))).toBe('vault.version_stale');
    expect((await openAccess(ref, 2)).accessToken).toBe('access-newer');
  });

  test('whose version goes stale while it is decided is refused: it compares before it sets', async () => {
    const ref = await connected(world, customer);
    const late = await claimed(world, ref);
    await released(world, ref, late);
    const session = await exchangingSession(world, customer, ref.connectionId);
    await storePending(world, session, tokenSetOf('newer'));
    const credentials = vault.get(Credentials);
    const insertNext = credentials.insertNext.bind(credentials);
    let overtaken = false;
    credentials.insertNext = async (next) => {
      if (!overtaken) {
        overtaken = true;
        await complete(world, session, await promote(world, session));
      }
      return await insertNext(next);
    };
    const code = await codeOf(stored(world, ref, { claimId: late, set: tokenSetOf('late') }));
    credentials.insertNext = insertNext;
    expect(code).toBe('vault.version_stale');
    const rows = await asAttacker('select version from vault.credential where connection_id = ?', [ref.connectionId]);
    expect(rows.map(({ version }) => version)).toEqual([1, 2]);
  });

  test('by whoever released the token asks the log for nothing, and nobody leases what it has ended meanwhile', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    await released(world, ref, claimId);
    const connections = vault.get(Connections);
    // The feed has not shown it yet.
    const observe = jest.spyOn(connections, 'observe').mockReturnValue();
    const load = jest.spyOn(connections, 'load').mockRejectedValue(new Error('memory has it'));
    try {
      await revoked(world, ref);
      expect((await stored(world, ref, { claimId, set: tokenSetOf('bought') })).credential_version).toBe(2);
    } finally {
      for (const mocked of [observe, load]) mocked.mockRestore();
      connections.forgetAll();
    }
    const { credential, authorization } = await stateOf(ref);
    expect([credential?.version, authorization]).toEqual([1, 'revoked']);
    expect(await codeOf(stored(world, ref, { claimId, set: tokenSetOf('again') }))).toBe('nothing was refused');
    const other = await connected(world, customer);
    const late = await claimed(world, other);
    await released(world, other, late);
    await revoked(world, other);
    connections.forgetAll();
    expect(await codeOf(stored(world, other, { claimId: late, set: tokenSetOf('late') }))).toBe('vault.version_stale');
  });

  test('of an interrupted claim is welcome as long as its version is current', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    await released(world, ref, claimId);
    await world.decide('refresh', ref, (s, nowMs) =>
      domain.interruptRefresh({ claimId, nowMs, claimSeenOver: true }, s),
    );
    expect((await stored(world, ref, { claimId, set: tokenSetOf('late') })).credential_version).toBe(2);
  });

  test('by another service, or of what is no token set, is refused', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    await released(world, ref, claimId);
    const request = { ...refOf(ref), bought_by: claimId, sealed_token_set: world.sealTo('vault', tokenSetOf('x')) };
    expect(await codeOf(world.call('authorization', operations.storeCredential, request))).toBe('auth.forbidden');
    for (const sealed_token_set of [
      world.sealTo('refresh', tokenSetOf('x')),
      world.sealTo('vault', 'no json'),
      world.sealTo('vault', { accessToken: 'x' }),
    ]) {
      const wrong = world.call('refresh', operations.storeCredential, { ...request, sealed_token_set });
      expect(await codeOf(wrong)).toBe('request.malformed');
    }
  });

  test('lets go of what is older than the current version', async () => {
    const ref = await connected(world, customer);
    for (const name of ['b', 'c', 'd']) await refreshed(world, ref, tokenSetOf(name));
    const rows = await asAttacker('select version from vault.credential where connection_id = ? order by version', [
      ref.connectionId,
    ]);
    expect(rows.map(({ version }) => version)).toEqual([3, 4]);
  });
});

describe('a refresh token', () => {
  test('is sealed to refresh for the live claim, after the log says so', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    const reply = await released(world, ref, claimId);
    expect(JSON.parse(world.openAs('refresh', reply.sealed_refresh_token))).toEqual({
      refreshToken: 'refresh-first',
      grantedScopes: ['read'],
    });
    expect(reply.credential_version).toBe(1);
    const { state, position } = await world
      .connections('refresh')
      .load({ tenantId: ref.tenantId, id: ref.connectionId }, { fromLeader: true });
    expect({ released: state.claim?.released, position }).toEqual({ released: true, position: reply.position });
  });

  test('released by many at once is released once in the log', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    await Promise.all([1, 2, 3, 4, 5].map(() => released(world, ref, claimId)));
    expect((await eventsOf(ref)).filter((type) => type === 'RefreshTokenReleased')).toHaveLength(1);
  });

  test('of a planned refresh is claimed and released in one commit, to one of many', async () => {
    const ref = await connected(world, customer);
    const outcomes = await Promise.allSettled([1, 2, 3, 4, 5].map(() => claimedReleased(world, ref)));
    const given = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const refused = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason as PosternError] : []));
    expect(refused.map(({ code }) => code)).toEqual(Array(4).fill('refresh.claim_lost'));
    expect(given.map((one) => JSON.parse(world.openAs('refresh', one.sealed_refresh_token)))).toEqual([
      { refreshToken: 'refresh-first', grantedScopes: ['read'] },
    ]);
    const last = await world
      .connections('refresh')
      .load({ tenantId: ref.tenantId, id: ref.connectionId }, { fromLeader: true });
    expect(last.position).toBe(given[0]?.position);
    expect((await eventsOf(ref)).slice(-2)).toEqual(['RefreshStarted', 'RefreshTokenReleased']);
    expect(last.state.claim).toMatchObject({ released: true, credentialVersion: 1 });
  });

  test('of another version, or of a claim that stands, is not claimed with it', async () => {
    const ref = await connected(world, customer);
    expect(await codeOf(claimedReleased(world, ref, { credentialVersion: 2 }))).toBe('refresh.claim_lost');
    const claimId = await claimed(world, ref);
    expect(await codeOf(claimedReleased(world, ref, { claimId }))).toBe('refresh.claim_lost');
    expect(await eventsOf(ref)).not.toContain('RefreshTokenReleased');
  });

  test('stays without a claim, for another claim, for an ended one, and after its time', async () => {
    const ref = await connected(world, customer);
    expect(await codeOf(released(world, ref, newId('claim')))).toBe('refresh.claim_lost');
    const short = await claimed(world, ref, 1);
    expect(await codeOf(released(world, ref, newId('claim')))).toBe('refresh.claim_lost');
    expect(await codeOf(released(world, ref, short))).toBe('refresh.claim_lost');
    await world.decide('refresh', ref, (s, nowMs) => domain.interruptRefresh({ claimId: short, nowMs }, s));
    expect(await codeOf(released(world, ref, short))).toBe('refresh.claim_lost');
    expect(await eventsOf(ref)).not.toContain('RefreshTokenReleased');
    const nowhere = { ...ref, connectionId: newId('connection') };
    expect(await codeOf(released(world, nowhere, short))).toBe('connection.not_found');
  });

  test('stays for another claim while one is live, which loses nothing by that', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    expect(await codeOf(released(world, ref, newId('claim')))).toBe('refresh.claim_lost');
    expect(await eventsOf(ref)).not.toContain('RefreshTokenReleased');
    expect(await released(world, ref, claimId)).toMatchObject({ credential_version: 1 });
  });

  test('stays where the table holds what an interrupted claim of its version bought, not where that is past', async () => {
    const ref = await connected(world, customer);
    const late = await claimed(world, ref);
    await released(world, ref, late);
    await world.decide('refresh', ref, (s, nowMs) =>
      domain.interruptRefresh({ claimId: late, nowMs, claimSeenOver: true, restEndsAtMs: nowMs }, s),
    );
    await stored(world, ref, { claimId: late, set: tokenSetOf('late') });
    expect(await codeOf(released(world, ref, await claimed(world, ref)))).toBe('vault.version_stale');
    await authorized(world, await exchangingSession(world, customer, ref.connectionId), tokenSetOf('newer'));
    expect(await released(world, ref, await claimed(world, ref))).toMatchObject({ credential_version: 3 });
  });

  test('stays after a revocation that came before the release', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    await revoked(world, ref);
    expect(await codeOf(released(world, ref, claimId))).toBe('refresh.claim_lost');
  });

  test('stays when the claim ran out while the release was being recorded', async () => {
    const ref = await connected(world, customer);
    const claimId = await claimed(world, ref);
    const [connections, clock] = [vault.get(Connections), vault.get(Clock)];
    const [execute, nowMs] = [connections.execute.bind(connections), clock.nowMs.bind(clock)];
    connections.execute = async (...asked) => {
      const executed = await execute(...asked);
      clock.nowMs = () => nowMs() + limits.claimTimeoutMs;
      return executed;
    };
    try {
      expect(await codeOf(released(world, ref, claimId))).toBe('refresh.claim_lost');
    } finally {
      connections.execute = execute;
      clock.nowMs = nowMs;
    }
    expect(await eventsOf(ref)).toContain('RefreshTokenReleased');
  });

  test('goes to no other service: the bus does not carry the question', async () => {
    const ref = await connected(world, customer);
    const request = { ...refOf(ref), claim_id: await claimed(world, ref) };
    await expect(world.call('revocation', operations.releaseRefreshToken, request)).rejects.toThrow(PosternError);
  });
});

describe('the tokens of a revocation', () => {
  const ask = (ref: ConnectionRef) => world.call('revocation', operations.releaseForRevocation, refOf(ref));

  test('are sealed to revocation once it stands in the log, and never before', async () => {
    const ref = await connected(world, customer);
    expect(await codeOf(ask(ref))).toBe('auth.forbidden');
    await revoked(world, ref);
    const reply = await ask(ref);
    expect(JSON.parse(world.openAs('revocation', reply.sealed_tokens ?? ''))).toEqual({
      accessToken: 'access-first',
      accessTokenExpiresAtMs: expect.any(Number) as number,
      grantedScopes: ['read'],
      refreshToken: 'refresh-first',
    });
    await authorized(world, await exchangingSession(world, customer, ref.connectionId), tokenSetOf('again'));
    expect(await codeOf(ask(ref))).toBe('auth.forbidden');
  });

  test('are none where none were ever stored', async () => {
    const session = await exchangingSession(world, customer);
    await revoked(world, session);
    expect(await ask(session)).toEqual({ found: false, sealed_tokens: null, credential_version: 0 });
    expect(await codeOf(ask({ ...session, connectionId: newId('connection') }))).toBe('connection.not_found');
  });
});

describe('a token of a suspected credential', () => {
  const ask = (ref: ConnectionRef, kind: 'access_token' | 'refresh_token' = 'access_token') =>
    world.call('revocation', operations.releaseSuspectedToken, { ...refOf(ref), kind });
  const recordsOf = async ({ connectionId }: ConnectionRef): Promise<AccessRecord[]> => {
    const records: AccessRecord[] = [];
    for (let seq = 1; ; seq += 1) {
      const query = JSON.stringify({ seq, next_by_subj: 'access.>' });
      const answer = await world.buses.audit.connection.request('$JS.API.STREAM.MSG.GET.ACCESS', query);
      const { message } = answer.json<{ message?: { seq: number; data: string } }>();
      if (message === undefined) return records.filter((record) => record.connectionId === connectionId);
      const group = AccessGroup.parse(JSON.parse(Buffer.from(message.data, 'base64').toString('utf8')));
      records.push(...group.records);
      seq = message.seq;
    }
  };

  test('is sealed to revocation while the suspicion stands in the log, and recorded like a lease', async () => {
    const ref = await connected(world, customer);
    expect(await codeOf(ask(ref))).toBe('auth.forbidden');
    expect(await recordsOf(ref)).toEqual([]);
    const { position } = await suspected(world, ref);
    for (const kind of ['access_token', 'refresh_token'] as const) {
      const reply = await ask(ref, kind);
      expect(reply.credential_version).toBe(1);
      expect(world.openAs('revocation', reply.sealed_token ?? '')).toBe(
        kind === 'access_token' ? 'access-first' : 'refresh-first',
      );
    }
    const record = { agentId: 'revocation', platformId: customer.platformId, outcome: 'granted', credentialVersion: 1 };
    expect(await recordsOf(ref)).toMatchObject([
      { ...record, position, purpose: 'ask the provider about a suspected access_token' },
      { ...record, position, purpose: 'ask the provider about a suspected refresh_token' },
    ]);
  });

  test('stays shut once the suspicion was disproved, replaced by a newer version, or came true', async () => {
    const ref = await connected(world, customer);
    await suspected(world, ref);
    await refreshed(world, ref, tokenSetOf('second'));
    expect(await codeOf(ask(ref))).toBe('auth.forbidden');
    const { position, state } = await suspected(world, await connected(world, customer));
    const { tenantId, connectionId } = state;
    const evidence = { source: 'acme', type: 'hint', deliveryId: 'Ev1', position: 7, occurredAtMs: null };
    await world.decide('revocation', state, (current) =>
      domain.decideOnVerdict(
        {
          ...{ verdict: 'alive', method: 'probe', credentialVersion: 1, askedAtPosition: position, error: null },
          evidence: { ...evidence, receivedAtMs: Date.now(), matchedBy: 'user' },
        },
        current,
        position,
      ),
    );
    expect(await codeOf(ask({ tenantId, connectionId }))).toBe('auth.forbidden');
    const ended = await connected(world, customer);
    await suspected(world, ended);
    await revoked(world, ended);
    expect(await codeOf(ask(ended))).toBe('auth.forbidden');
  });

  test('that a worker may be spending stays shut; the access token does not', async () => {
    const ref = await connected(world, customer);
    await suspected(world, ref);
    await claimed(world, ref);
    expect(await codeOf(ask(ref, 'refresh_token'))).toBe('auth.forbidden');
    expect((await ask(ref)).sealed_token).not.toBeNull();
  });

  test('is none where none is held', async () => {
    const ref = await connected(world, customer, tokenSetOf('first', { refreshToken: null }));
    await suspected(world, ref);
    expect(await ask(ref, 'refresh_token')).toEqual({ sealed_token: null, credential_version: 1 });
    expect(await codeOf(ask({ ...ref, connectionId: newId('connection') }))).toBe('connection.not_found');
  });
});

describe('a token that nobody suspects', () => {
  const ask = (ref: ConnectionRef) => world.call('revocation', operations.releaseForInspection, refOf(ref));
  async function connectedLongAgo(set = tokenSetOf('first')): Promise<ConnectionRef> {
    world.agoMs = limits.inspectionIntervalMsMin + 60_000;
    return await connected(world, customer, set).finally(() => (world.agoMs = 0));
  }

  test('is sealed to revocation once in so many hours, and the log says each time', async () => {
    const ref = await connectedLongAgo();
    const reply = await ask(ref);
    expect(reply.credential_version).toBe(1);
    expect(world.openAs('revocation', reply.sealed_token ?? '')).toBe('refresh-first');
    expect((await eventsOf(ref)).slice(3)).toEqual(['InspectionStarted']);
    for (let times = 0; times < 3; times += 1) expect(await codeOf(ask(ref))).toBe('auth.forbidden');
    expect((await eventsOf(ref)).slice(3)).toEqual(['InspectionStarted']);
  });

  test('of what was made by hand the token itself is sealed as seldom; another access token never is', async () => {
    const set = tokenSetOf('made', { refreshToken: null });
    world.agoMs = limits.inspectionIntervalMsMin + 60_000;
    const ref = await connected(world, customer, set, 'static').finally(() => (world.agoMs = 0));
    const reply = await ask(ref);
    expect(world.openAs('revocation', reply.sealed_token ?? '')).toBe(set.accessToken);
    expect(await codeOf(ask(ref))).toBe('auth.forbidden');
    expect((await eventsOf(ref)).slice(3)).toEqual(['InspectionStarted']);
  });

  test('is given to one of many who ask at once', async () => {
    const ref = await connectedLongAgo();
    const codes = await Promise.all(Array.from({ length: 8 }, () => codeOf(ask(ref))));
    expect(codes.toSorted()).toEqual([...Array<string>(7).fill('auth.forbidden'), 'nothing was refused']);
    expect((await eventsOf(ref)).slice(3)).toEqual(['InspectionStarted']);
  });

  test('stays shut after an authorization or a refresh, while a claim stands, when suspected and after the end', async () => {
    expect(await codeOf(ask(await connected(world, customer)))).toBe('auth.forbidden');
    const again = await connectedLongAgo();
    await refreshed(world, again, tokenSetOf('second'));
    expect(await codeOf(ask(again))).toBe('auth.forbidden');
    for (const happens of [claimed, suspected, revoked]) {
      const ref = await connectedLongAgo();
      await happens(world, ref);
      expect(await codeOf(ask(ref))).toBe('auth.forbidden');
      expect(await eventsOf(ref)).not.toContain('InspectionStarted');
    }
    const none = await connectedLongAgo(tokenSetOf('first', { refreshToken: null }));
    expect(await codeOf(ask(none))).toBe('auth.forbidden');
    expect(await codeOf(ask({ ...none, connectionId: newId('connection') }))).toBe('connection.not_found');
  });
});

describe('a data key', () => {
  const shred = (ref: ConnectionRef) => world.call('revocation', operations.shredConnectionKey, refOf(ref));

  test('is shredded only for a deletion in the log, once, and nothing can be stored again', async () => {
    const ref = await connected(world, customer);
    expect(await codeOf(shred(ref))).toBe('connection.key_in_use');
    await deleted(world, ref);
    const first = await shred(ref);
    expect(await shred(ref)).toEqual(first);
    expect((await eventsOf(ref)).filter((type) => type === 'ConnectionKeyShredded')).toHaveLength(1);
    const keys = await asAttacker('select wrapped_key from vault.data_key where owner_id = ?', [ref.connectionId]);
    expect(keys).toEqual([{ wrapped_key: null }]);
    expect(await asAttacker('select 1 from vault.credential where connection_id = ?', [ref.connectionId])).toEqual([]);
    const late = vault.get(Credentials).insertNext({
      owner: ownerOf(await stateOf(ref)),
      newestVersion: 0,
      currentVersion: 0,
      boughtBy: newId('claim'),
      tokenSet: tokenSetOf('late'),
      refreshTokenRotated: false,
    });
    expect(await codeOf(late)).toBe('connection.deleted');
  });
});

describe('a ciphertext', () => {
  /** Overwrites one row's ciphertext with another's, as whoever owns the database could, and opens it anew. */
  async function swapped(
    change: string,
    params: readonly unknown[],
    open: (credentials: Credentials) => Promise<unknown>,
  ) {
    await asAttacker(change, params);
    const second = await world.startVault();
    return await codeOf(open(second.get(Credentials)));
  }

  test('of another connection, even under its own data key, does not open', async () => {
    const [mine, theirs] = [await connected(world, customer), await connected(world, customer, tokenSetOf('theirs'))];
    const owned = ownerOf(await stateOf(mine));
    await asAttacker(
      `update vault.data_key set wrapped_key = (select wrapped_key from vault.data_key where owner_id = ?) where owner_id = ?`,
      [theirs.connectionId, mine.connectionId],
    );
    const copy = `update vault.credential set access_ciphertext =
      (select access_ciphertext from vault.credential where connection_id = ?) where connection_id = ?`;
    const code = await swapped(copy, [theirs.connectionId, mine.connectionId], (c) => c.openAccess(owned, 1));
    expect(code).toBe('vault.ciphertext_invalid');
  });

  test('of another tenant does not open, with its data key or without', async () => {
    const stranger = await world.customer();
    const [mine, theirs] = [await connected(world, customer), await connected(world, stranger)];
    const owned = ownerOf(await stateOf(mine));
    const copy = `update vault.credential set access_ciphertext =
      (select access_ciphertext from vault.credential where connection_id = ?) where connection_id = ?`;
    const ids = [theirs.connectionId, mine.connectionId];
    expect(await swapped(copy, ids, (c) => c.openAccess(owned, 1))).toBe('vault.ciphertext_invalid');
    const key = `update vault.data_key set wrapped_key =
      (select wrapped_key from vault.data_key where owner_id = ?) where owner_id = ?`;
    expect(await swapped(key, ids, (c) => c.openAccess(owned, 1))).toBe('vault.ciphertext_invalid');
  });

  test('of an older version does not open as the newest', async () => {
    const ref = await connected(world, customer);
    await refreshed(world, ref, tokenSetOf('second'));
    const owned = ownerOf(await stateOf(ref));
    const rollBack = `update vault.credential set access_ciphertext =
      (select access_ciphertext from vault.credential where connection_id = ? and version = 1)
      where connection_id = ? and version = 2`;
    const ids = [ref.connectionId, ref.connectionId];
    expect(await swapped(rollBack, ids, (c) => c.openAccess(owned, 2))).toBe('vault.ciphertext_invalid');
  });

  test('of a refresh token does not open as an access token', async () => {
    const ref = await connected(world, customer);
    const owned = ownerOf(await stateOf(ref));
    const cross = 'update vault.credential set access_ciphertext = refresh_ciphertext where connection_id = ?';
    expect(await swapped(cross, [ref.connectionId], (c) => c.openAccess(owned, 1))).toBe('vault.ciphertext_invalid');
  });

  test('of another provider does not open: the log says whose it is', async () => {
    const ref = await connected(world, customer);
    const owned = { ...ownerOf(await stateOf(ref)), providerId: 'other' };
    expect(await codeOf(vault.get(Credentials).openAccess(owned, 1))).toBe('vault.ciphertext_invalid');
  });

  test('of a superseded session does not become a version', async () => {
    const one = await exchangingSession(world, customer);
    await storePending(world, one, tokenSetOf('one'));
    const two = await exchangingSession(world, customer, one.connectionId);
    await storePending(world, two, tokenSetOf('two'));
    await asAttacker(
      `update vault.pending_credential set ciphertext =
        (select ciphertext from vault.pending_credential where session_id = ?) where session_id = ?`,
      [one.sessionId, two.sessionId],
    );
    await expect(promote(world, two)).rejects.toMatchObject({ code: 'vault.ciphertext_invalid' });
  });

  test('holds nothing in the clear', async () => {
    const ref = await connected(world, customer, tokenSetOf('canary-7d1f'));
    const rows = await asAttacker(
      'select row_to_json(c)::text as row from vault.credential c where connection_id = ?',
      [ref.connectionId],
    );
    const text = JSON.stringify(rows);
    expect(text).toContain(ref.connectionId);
    expect(text).not.toContain('canary-7d1f');
    expect(text).not.toContain(Buffer.from('canary-7d1f').toString('hex'));
  });
});
