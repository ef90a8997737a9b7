import { rmSync } from 'node:fs';

import {
  commitEventType,
  commitHeaders,
  commitSignatureContext,
  limits,
  newId,
  operations,
  subjects,
  type Commit,
  type StoredEvent,
} from '@postern/contracts';
import { generateSealingKey, signedMessage } from '@postern/crypto';
import * as domain from '@postern/domain';
import { CommitReader, commitSigner, commitVerifier, verifyLog } from '@postern/event-log';
import { callOperation, createOperator, JetStreamEventLog, serverOperatorConfig, type Bus } from '@postern/nats';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { connected, exchangingSession, released, revoked, type ConnectionRef } from './spec-journeys.ts';
import { codeOf, specNats, VaultWorld, type Customer } from './spec-world.ts';

const folder = temporaryDataDir('postern-stolen-');
const recipient = generateSealingKey();
let nats: NatsServer;
let postgres: Postgres;
let world: VaultWorld;
let customer: Customer;
let platform: Bus;

beforeAll(async () => {
  const bundle = await createOperator();
  [nats, postgres] = await Promise.all([
    startNatsServer({ dataDir: `${folder}/nats`, config: { operatorMode: serverOperatorConfig(bundle), ...specNats } }),
    startPostgres({ dataDir: `${folder}/postgres` }),
  ]);
  await postgres.createDatabase('stolen');
  const places = { natsUrl: nats.url, bundle, ownerUrl: postgres.urlOf('stolen'), serviceRole: 'vault_stolen' };
  world = await VaultWorld.open({ ...places, folder: `${folder}/world` });
  await world.startVault();
  customer = await world.customer();
  platform = await world.platformBus(customer);
}, 120_000);

afterAll(async () => {
  await world?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const logOf = () => new JetStreamEventLog({ bus: world.buses.revocation, stream: 'connections' });
const honest = ({ tenantId, connectionId }: ConnectionRef) =>
  world.connections('revocation').load({ tenantId, id: connectionId }, { fromLeader: true });

/** A commit that follows the last one in everything, signed with the stolen key of `revocation`. */
async function forge(
  ref: ConnectionRef,
  events: StoredEvent[],
  change: Partial<domain.Connection>,
  at = new Date().toISOString(),
): Promise<number> {
  const before = await honest(ref);
  const commit: Commit = {
    commitId: newId('commit'),
    tenantId: ref.tenantId,
    aggregate: 'connection',
    aggregateId: ref.connectionId,
    revision: before.revision + 1,
    at,
    actor: { type: 'service', id: 'revocation' },
    causationId: null,
    correlationId: newId('correlation'),
    events,
    stateVersion: domain.connectionEvolver.stateVersion,
    state: { ...before.state, ...change },
    previousHash: before.hash,
  };
  const subject = subjects.connection(ref);
  const payload = Buffer.from(JSON.stringify(commit));
  const signer = commitSigner('revocation', world.keys.revocation.signing.privateJwk);
  const headers = {
    [commitHeaders.id]: commit.commitId,
    [commitHeaders.type]: commitEventType,
    [commitHeaders.subject]: ref.connectionId,
    [commitHeaders.time]: at,
    [commitHeaders.key]: signer.keyId,
    [commitHeaders.signature]: signer.sign(signedMessage(commitSignatureContext, subject, payload)),
  };
  const { expectedPosition } = before;
  const { position } = await logOf().append({
    subject,
    payload,
    headers,
    messageId: commit.commitId,
    expectedPosition,
  });
  return position;
}

const event = (type: string, data: object): StoredEvent => ({ type, version: 1, data: { ...data } });

const lease = ({ connectionId }: ConnectionRef) =>
  callOperation(platform, operations.leaseToken, customer, {
    connection_id: connectionId,
    agent_id: customer.agentId,
    purpose: 'theft',
    recipient_key: recipient.publicJwk,
  });

/** What the vault follows comes when it comes. */
const answered = (ref: ConnectionRef, code: string) =>
  waitFor(async () => (await codeOf(lease(ref))) === code, { describe: `never answered ${code}` });

async function findingsAt(): Promise<number[]> {
  const reader = new CommitReader({ verifier: commitVerifier(world.trust) });
  const { evolverOf, upcast } = domain;
  const { findings } = await verifyLog(logOf().read({ filter: subjects.allConnections }), {
    reader,
    evolverOf,
    upcast,
  });
  return [...new Set(findings.map(({ position }) => position))];
}

describe('who has stolen the identity of revocation', () => {
  test('gets no refresh token for a claim that refresh did not sign, and changes no state', async () => {
    const ref = await connected(world, customer);
    const before = await honest(ref);
    const claimId = newId('claim');
    const claim = { claimId, credentialVersion: 1, expiresAtMs: Date.now() + limits.claimTimeoutMs, released: false };
    const { expiresAtMs: claimExpiresAtMs } = claim;
    const started = event('RefreshStarted', { claimId, credentialVersion: 1, claimExpiresAtMs, reason: 'requested' });
    const position = await forge(ref, [started], { claim });
    expect(await codeOf(released(world, ref, claimId))).toBe('refresh.claim_lost');
    expect((await honest(ref)).state).toEqual(before.state);
    expect(await findingsAt()).toContain(position);
  });

  test('revives nothing by a carried state that its events do not give', async () => {
    const ref = await connected(world, customer);
    const { state: alive } = await honest(ref);
    await revoked(world, ref);
    await answered(ref, 'connection.revoked');
    const position = await forge(ref, [event('ConnectionResumed', { reason: null })], alive);
    expect(await codeOf(lease(ref))).toBe('connection.revoked');
    expect((await honest(ref)).state.authorization).toBe('revoked');
    expect(await findingsAt()).toContain(position);
  });

  test('authorizes nothing', async () => {
    const session = await exchangingSession(world, customer);
    const { sessionId } = session;
    const granted = {
      sessionId,
      credentialVersion: 1,
      grantedScopes: ['read'],
      accessTokenExpiresAtMs: null,
      hasRefreshToken: false,
    };
    const position = await forge(session, [event('ConnectionAuthorized', { ...granted, accountDigest: null })], {
      authorization: 'authorized',
    });
    expect(await codeOf(lease(session))).toBe('connection.not_authorized');
    expect(await findingsAt()).toContain(position);
  });

  test('gets no refresh token before its time by saying that the time has come', async () => {
    const ref = await connected(world, customer);
    const later = new Date(Date.now() + 2 * limits.inspectionIntervalMsMin).toISOString();
    // It may say so, and who decides next is not before it.
    await forge(ref, [event('ConnectionResumed', { reason: null })], {}, later);
    const request = { tenant_id: ref.tenantId, connection_id: ref.connectionId };
    expect(await codeOf(world.call('revocation', operations.releaseForInspection, request))).toBe('auth.forbidden');
  });

  test("stops nobody's appends: the next true decision stands, and the log verifies but for the forgeries", async () => {
    const ref = await connected(world, customer);
    const forgeries = [
      await forge(ref, [event('ConnectionResumed', { reason: null })], { suspended: true }),
      await forge(ref, [event('ReauthorizationRequired', { cause: 'refresh_rejected', evidence: null })], {}),
    ];
    const before = await findingsAt();
    await revoked(world, ref);
    await answered(ref, 'connection.revoked');
    expect(await findingsAt()).toEqual(before);
    expect(before).toEqual(expect.arrayContaining(forgeries));
  });
});
