/** Connections in bulk: the log by publishes that are not waited for one by one, the tables by many rows a statement. */
import { newId, timestampOf } from '@postern/contracts';
import { completeAuthorization, connectionEvolver, startAuthorization, startCodeExchange } from '@postern/domain';
import { commitSigner, encodeCommit } from '@postern/event-log';
import { localKeyService, sealCredential } from '@postern/keyring';
import { headers as natsHeaders } from '@nats-io/nats-core';
import pg from 'pg';

import { busOf } from './world.mjs';

const publishesInFlightMax = 1_024;
const rowsAStatement = 2_000;
const scopes = ['contacts.read', 'contacts.write'];
const lifeMs = 86_400_000;
/** As long as opaque access tokens of providers are. */
export const accessToken = 'a'.repeat(128);

/** Connections that can be leased, each authorized by one commit. @returns their ids. */
export async function makeConnections(world, count, { keyService, tell = () => undefined } = {}) {
  const keys = keyService ?? (await localKeyService({ keyFile: world.keyFile }));
  const bus = await busOf(world, 'authorization');
  const database = new pg.Client({ connectionString: world.ownerUrl });
  await database.connect();
  try {
    const life = lifeOf(world);
    const ids = [];
    while (ids.length < count) {
      const chunk = Array.from({ length: Math.min(rowsAStatement, count - ids.length) }, () => newId('connection'));
      await Promise.all([publishAll(world, { bus, life, chunk }), insertAll(world, { database, keys, chunk })]);
      ids.push(...chunk);
      if (ids.length % 100_000 === 0) tell(`${ids.length} of ${count} connections are made`);
    }
    return ids;
  } finally {
    await database.end();
    await bus.close();
  }
}

/** The events of one authorization and the state after them; connections differ in their ids alone. */
function lifeOf({ customer: { tenantId, platformId, registrationId } }) {
  const atMs = Date.now();
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
          providerId: 'acme',
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
          accessTokenExpiresAtMs: atMs + lifeMs,
          hasRefreshToken: true,
          accountDigest: endUserDigest,
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
  return { atMs, actor, events, state };
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

async function publishAll(world, { bus, life, chunk }) {
  const signer = commitSigner('authorization', world.keys.authorization.signing.privateJwk);
  const waiting = [...chunk];
  const publisher = async () => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      const encoded = encodeCommit(commitOf(world, life, id), { signer, source: '/postern/bench' });
      const headers = natsHeaders();
      headers.set('Nats-Msg-Id', encoded.messageId);
      for (const [name, value] of Object.entries(encoded.headers)) headers.set(name, value);
      const answer = await bus.connection.request(encoded.subject, encoded.payload, { headers, timeout: 60_000 });
      const { error } = answer.json();
      if (error !== undefined) throw new Error(`a connection was not stored: ${error.description}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(publishesInFlightMax, chunk.length) }, publisher));
}

async function insertAll({ customer: { tenantId } }, { database, keys, chunk }) {
  const plaintext = Buffer.from(
    JSON.stringify({
      accessToken,
      tokenType: 'Bearer',
      accessTokenExpiresAtMs: Date.now() + lifeMs,
      grantedScopes: scopes,
      refreshTokenRotated: true,
    }),
  );
  const wrapped = [];
  const ciphertexts = [];
  const credentialIds = [];
  for (const connectionId of chunk) {
    const dataKey = await keys.generateDataKey({ tenantId });
    const binding = { tenantId, providerId: 'acme', ownerId: connectionId, credentialVersion: 1, kind: 'access_token' };
    wrapped.push(dataKey.wrapped);
    ciphertexts.push(sealCredential({ dataKey: dataKey.plaintext, binding, plaintext }));
    credentialIds.push(newId('credential'));
  }
  await database.query(
    `insert into vault.data_key (tenant_id, owner_id, wrapped_key, created_at)
     select $1, id, wrapped, now() from unnest($2::text[], $3::text[]) as made (id, wrapped)`,
    [tenantId, chunk, wrapped],
  );
  await database.query(
    `insert into vault.credential
       (tenant_id, connection_id, bought_by, version, credential_id, access_ciphertext, created_at)
     select $1, id, 'bench', 1, credential, ciphertext, now()
     from unnest($2::text[], $3::text[], $4::bytea[]) as made (id, credential, ciphertext)`,
    [tenantId, chunk, credentialIds, ciphertexts],
  );
}
