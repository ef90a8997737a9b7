/** Connections in bulk: the log by publishes that are not waited for one by one, the tables by many rows a statement. */
import { newId, timestampOf } from '@postern/contracts';
import { completeAuthorization, connectionEvolver, startAuthorization, startCodeExchange } from '@postern/domain';
import { commitSigner, encodeCommit } from '@postern/event-log';
import { sealCredential } from '@postern/keyring';
import { headers as natsHeaders } from '@nats-io/nats-core';
import pg from 'pg';

import { busOf } from './world.mjs';

const publishesInFlightMax = 1_024;
const rowsAStatement = 2_000;
const scopes = ['contacts.read', 'contacts.write'];
const lifeMs = 86_400_000;
/** As long as opaque access tokens of providers are. */
export const accessToken = 'a'.repeat(128);

/**
 * Connections that can be leased, each authorized by one commit. `livesMs(index)` says for how long the access token of
 * one still lives; `refreshTokenOf(id)` gives it a refresh token that can be spent; `accountKeysOf(index)` says by which digests
 * its account is known, and `agoMs` how long ago each was authorized, or `atMs` when all of them were.
 *
 * @returns their ids.
 */
export async function makeConnections(
  world,
  count,
  {
    providerId = 'acme',
    livesMs = () => lifeMs,
    refreshTokenOf,
    accountKeysOf,
    agoMs = 0,
    atMs,
    tell = () => undefined,
  } = {},
) {
  const bus = await busOf(world, 'authorization');
  const database = new pg.Client({ connectionString: world.ownerUrl });
  await database.connect();
  try {
    const ids = [];
    const lives = new Map();
    const lifeAt = (index) => {
      const forMs = livesMs(index);
      if (accountKeysOf !== undefined) {
        return lifeOf(world, { providerId, forMs, agoMs, atMs, accountKeys: accountKeysOf(index) });
      }
      if (!lives.has(forMs)) lives.set(forMs, lifeOf(world, { providerId, forMs, agoMs, atMs }));
      return lives.get(forMs);
    };
    while (ids.length < count) {
      const chunk = Array.from({ length: Math.min(rowsAStatement, count - ids.length) }, (_, index) => ({
        id: newId('connection'),
        life: lifeAt(ids.length + index),
      }));
      await Promise.all([
        publishAll(world, { bus, chunk }),
        insertAll(world, { database, providerId, refreshTokenOf, chunk }),
      ]);
      ids.push(...chunk.map(({ id }) => id));
      if (ids.length % 100_000 === 0) tell(`${ids.length} of ${count} connections are made`);
    }
    return ids;
  } finally {
    await database.end();
    await bus.close();
  }
}

/** The events of one authorization and the state after them; connections differ in their ids, and maybe their accounts. */
function lifeOf(
  { customer: { tenantId, platformId, registrationId } },
  { providerId, forMs, agoMs, atMs = Date.now() - agoMs, accountKeys },
) {
  const aggregateId = newId('connection');
  const sessionId = newId('session');
  const endUserDigest = 'd'.repeat(43);
  const decisions = [
    (state) =>
      startAuthorization(
        {
          sessionId,
          purpose: 'connect',
          platformId,
          providerId,
          registrationId,
          endUserDigest,
          requestedScopes: scopes,
          returnUrl: 'https://platform.example/connections/return',
          expiresAtMs: atMs + 600_000,
          nowMs: atMs,
        },
        state,
      ),
    (state) => startCodeExchange({ sessionId, nowMs: atMs }, state),
    (state) =>
      completeAuthorization(
        {
          sessionId,
          endUserDigest,
          credentialVersion: 1,
          grantedScopes: scopes,
          accessTokenExpiresAtMs: atMs + forMs,
          hasRefreshToken: true,
          accountDigest: endUserDigest,
          ...(accountKeys === undefined ? {} : { accountKeys }),
          nowMs: atMs,
        },
        state,
      ),
  ];
  const actor = { type: 'service', id: 'bench' };
  let state = connectionEvolver.initialState;
  const events = [];
  for (const decide of decisions) {
    for (const event of decide(state)) {
      state = connectionEvolver.evolve(state, event, { tenantId, aggregateId, atMs, actor });
      events.push(event);
    }
  }
  return { atMs, endsAtMs: atMs + forMs, actor, events, state };
}

function commitOf({ customer: { tenantId } }, { atMs, actor, events, state }, connectionId) {
  return {
    commitId: newId('commit'),
    tenantId,
    aggregate: 'connection',
    aggregateId: connectionId,
    revision: 1,
    at: timestampOf(atMs),
    actor,
    causationId: null,
    correlationId: 'bench',
    events,
    stateVersion: connectionEvolver.stateVersion,
    state: { ...state, connectionId },
    previousHash: null,
  };
}

async function publishAll(world, { bus, chunk }) {
  const signer = commitSigner('authorization', world.keys.authorization.signing.privateJwk);
  const waiting = [...chunk];
  const publisher = async () => {
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      const encoded = await encodeCommit(commitOf(world, one.life, one.id), { signer, source: '/postern/bench' });
      const headers = natsHeaders();
      headers.set('Nats-Msg-Id', encoded.messageId);
      headers.set('Nats-Expected-Last-Subject-Sequence', '0');
      for (const [name, value] of Object.entries(encoded.headers)) headers.set(name, value);
      const answer = await bus.connection.request(encoded.subject, encoded.payload, { headers, timeout: 60_000 });
      const { error } = answer.json();
      if (error !== undefined) throw new Error(`a connection was not stored: ${error.description}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(publishesInFlightMax, chunk.length) }, publisher));
}

async function insertAll({ customer: { tenantId }, keyring }, { database, providerId, refreshTokenOf, chunk }) {
  const dataKeys = await keyring.makeDataKeys(tenantId, chunk.length);
  const rows = [];
  for (const [index, { id, life }] of chunk.entries()) {
    const dataKey = dataKeys[index];
    const seal = (kind, part) =>
      sealCredential({
        dataKey: dataKey.plaintext,
        binding: { tenantId, providerId, ownerId: id, credentialVersion: 1, kind },
        plaintext: Buffer.from(JSON.stringify(part)),
      });
    const access = seal('access_token', {
      accessToken,
      tokenType: 'Bearer',
      accessTokenExpiresAtMs: life.endsAtMs,
      grantedScopes: scopes,
      refreshTokenRotated: true,
    });
    const refresh =
      refreshTokenOf && seal('refresh_token', { refreshToken: refreshTokenOf(id), grantedScopes: scopes });
    rows.push({ id, wrapped: dataKey.wrapped, access, refresh: refresh ?? null, credentialId: newId('credential') });
  }
  const column = (name) => rows.map((row) => row[name]);
  await database.query(
    `insert into vault.data_key (tenant_id, owner_id, wrapped_key, created_at)
     select $1, id, wrapped, now() from unnest($2::text[], $3::text[]) as made (id, wrapped)`,
    [tenantId, column('id'), column('wrapped')],
  );
  await database.query(
    `insert into vault.credential
       (tenant_id, connection_id, bought_by, version, credential_id, access_ciphertext, refresh_ciphertext, created_at)
     select $1, id, 'bench', 1, credential, access, refresh, now()
     from unnest($2::text[], $3::text[], $4::bytea[], $5::bytea[]) as made (id, credential, access, refresh)`,
    [tenantId, column('id'), column('credentialId'), column('access'), column('refresh')],
  );
}
