#!/usr/bin/env node
/**
 * What a connection's life costs in CONNECTIONS, as nats-server counts it: bytes a stored message (subject, headers,
 * payload, its own record), by what happened. After `npm run build`: `node_modules/.bin/node bench/size.mjs`.
 *
 * The figures of docs/scale.md are from here. Sizes depend on the lengths of ids, digests and scopes, not on the machine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jetstreamManager } from '@nats-io/jetstream';
import { newId } from '@postern/contracts';
import { generateSigningKey, publicJwkOf } from '@postern/crypto';
import {
  moveToEpoch,
  completeAuthorization,
  connectionEvolver,
  recordRefreshed,
  releaseRefreshToken,
  startAuthorization,
  startCodeExchange,
  startRefresh,
  upcast,
} from '@postern/domain';
import { CommitReader, commitSigner, commitVerifier, Repository } from '@postern/event-log';
import {
  connectBus,
  createOperator,
  identityCreds,
  JetStreamEventLog,
  provision,
  serverOperatorConfig,
} from '@postern/nats';
import { startNatsServer } from '@postern/servers';

const lives = 20;
const refreshes = 10;
const hourMs = 3_600_000;
const digest = 'd'.repeat(43);
const scopes = ['contacts.read', 'contacts.write', 'profile', 'offline_access'];

const writers = ['authorization', 'vault', 'refresh'];

function repositoriesOf(bus) {
  const keys = writers.map((writer) => [writer, generateSigningKey().privateJwk]);
  const trust = Object.fromEntries(keys.map(([writer, key]) => [writer, [publicJwkOf(key)]]));
  const reader = new CommitReader({ verifier: commitVerifier({ writers: trust, recipients: {} }) });
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  return Object.fromEntries(
    keys.map(([writer, key]) => [
      writer,
      new Repository({
        log,
        reader,
        signer: commitSigner(writer, key),
        evolver: connectionEvolver,
        upcast,
        source: `/postern/${writer}`,
      }),
    ]),
  );
}

/** Every decision of one life, in order: who takes it, what it is called here, and the decider. */
function* decisionsOf() {
  const session = { sessionId: newId('session'), endUserDigest: digest };
  const authorize = {
    ...session,
    purpose: 'connect',
    platformId: newId('platform'),
    providerId: 'acme-crm',
    registrationId: newId('registration'),
    requestedScopes: scopes,
    returnUrl: 'https://platform.example/connections/return',
    expiresAtMs: Date.now() + 600_000,
  };
  yield ['authorization', 'connect', (state, nowMs) => startAuthorization({ ...authorize, nowMs }, state)];
  yield ['authorization', 'connect', (state, nowMs) => startCodeExchange({ ...session, nowMs }, state)];
  const bought = { grantedScopes: scopes, accessTokenExpiresAtMs: Date.now() + hourMs };
  const granted = { ...session, ...bought, credentialVersion: 1, hasRefreshToken: true, accountDigest: digest };
  yield ['authorization', 'connect', (state, nowMs) => completeAuthorization({ ...granted, nowMs }, state)];
  for (let version = 2; version < refreshes + 2; version += 1) {
    const claimId = newId('claim');
    const claim = { claimId, claimTimeoutMs: 20_000, reason: 'requested' };
    yield ['refresh', 'refresh: claim', (state, nowMs) => startRefresh({ ...claim, nowMs }, state)];
    yield ['vault', 'refresh: release', (state, nowMs) => releaseRefreshToken({ claimId, nowMs }, state)];
    const outcome = { ...bought, claimId, credentialVersion: version, rotated: true };
    yield ['refresh', 'refresh: outcome', (state, nowMs) => recordRefreshed({ ...outcome, nowMs }, state)];
  }
  const move = (state, _nowMs, { revision, hash }) => moveToEpoch({ epoch: 1, nextEpoch: 2, revision, hash }, state);
  yield ['refresh', 'epoch: move', move];
}

async function measure(repositories, stored) {
  const sums = new Map();
  for (let life = 0; life < lives; life += 1) {
    const ref = { tenantId: newId('tenant'), id: newId('connection') };
    for (const [writer, name, decide] of decisionsOf()) {
      const options = { actor: { type: 'service', id: writer }, correlationId: newId('correlation'), fromLeader: true };
      const before = await stored();
      const done = await repositories[writer].execute(
        ref,
        (state, { nowMs, loaded }) => decide(state, nowMs, loaded),
        options,
      );
      if (!done.appended) throw new Error(`${name} appended nothing`);
      const sum = sums.get(name) ?? { messages: 0, bytes: 0 };
      sums.set(name, { messages: sum.messages + 1, bytes: sum.bytes + (await stored()) - before });
    }
  }
  return Object.fromEntries([...sums].map(([name, { messages, bytes }]) => [name, Math.round(bytes / messages)]));
}

const dataDir = mkdtempSync(join(tmpdir(), 'postern-size-'));
const operator = await createOperator();
const server = await startNatsServer({
  dataDir: join(dataDir, 'nats'),
  config: { operatorMode: serverOperatorConfig(operator), fileStoreBytesMax: 32 * 1024 ** 3 },
});
const connect = async (identity) =>
  connectBus({ servers: server.url, creds: await identityCreds(operator, identity), identity, name: identity });
try {
  const provisioner = await connect('provisioner');
  await provision(provisioner);
  const manager = await jetstreamManager(provisioner.connection, { checkAPI: false });
  const stored = async () => (await manager.streams.info('CONNECTIONS')).state.bytes;
  const bus = await connect('refresh');
  console.log(JSON.stringify(await measure(repositoriesOf(bus), stored), null, 2));
  await bus.close();
  await provisioner.close();
} finally {
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
