/** A log of many connections' lives: authorized, then refreshed again and again, in the order in which time passes. */
import { headers as natsHeaders } from '@nats-io/nats-core';
import { newId, timestampOf } from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';
import { connectionEvolver } from '@postern/domain';
import { commitSigner, encodeCommit } from '@postern/event-log';

const writers = ['authorization', 'vault', 'refresh'];
const commitsEach = 20;
const inFlightMax = 512;
const hourMs = 3_600_000;
const scopes = ['contacts.read', 'contacts.write'];

export const trustOf = (keys) => ({
  writers: Object.fromEntries(writers.map((name) => [name, [keys[name].publicJwk]])),
  recipients: {},
});

/** @returns the keys that signed it, its tenant, and how much there is. */
export async function makeLog(bus, events) {
  const keys = Object.fromEntries(writers.map((name) => [name, generateSigningKey()]));
  const signers = Object.fromEntries(writers.map((name) => [name, commitSigner(name, keys[name].privateJwk)]));
  const tenantId = newId('tenant');
  const [platformId, registrationId] = [newId('platform'), newId('registration')];
  const all = Array.from({ length: Math.max(1, Math.round(events / commitsEach)) }, () => ({
    id: newId('connection'),
    state: connectionEvolver.initialState,
    hash: null,
  }));
  const startMs = Date.now() - commitsEach * hourMs;
  for (let revision = 1; revision <= commitsEach; revision += 1) {
    const waiting = [...all];
    const publisher = async () => {
      for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
        const atMs = startMs + revision * hourMs;
        const [writer, decided] = decisionOf(one, { revision, atMs, platformId, registrationId });
        const actor = { type: 'service', id: writer };
        const meta = { tenantId, aggregateId: one.id, atMs, actor };
        one.state = decided.reduce((state, event) => connectionEvolver.evolve(state, event, meta), one.state);
        const commit = {
          ...{ commitId: newId('commit'), tenantId, aggregate: 'connection', aggregateId: one.id, revision },
          ...{ at: timestampOf(atMs), actor, causationId: null, correlationId: 'bench', events: decided },
          ...{ stateVersion: connectionEvolver.stateVersion, state: one.state, previousHash: one.hash },
        };
        const encoded = await encodeCommit(commit, { signer: signers[writer], source: '/postern/bench' });
        one.hash = encoded.hash;
        await publish(bus, encoded);
      }
    };
    await Promise.all(Array.from({ length: Math.min(inFlightMax, all.length) }, publisher));
  }
  return { keys, tenantId, connections: all.length, commits: all.length * commitsEach };
}

async function publish(bus, { subject, payload, headers: given, messageId }) {
  const headers = natsHeaders();
  headers.set('Nats-Msg-Id', messageId);
  for (const [name, value] of Object.entries(given)) headers.set(name, value);
  const { error } = (await bus.connection.request(subject, payload, { headers, timeout: 60_000 })).json();
  if (error !== undefined) throw new Error(`a commit was not stored: ${error.description}`);
}

/** Claim, release, outcome, one after the other, once it is authorized. */
function decisionOf(one, { revision, atMs, platformId, registrationId }) {
  const version = one.state.credential?.version ?? 0;
  const ends = { grantedScopes: scopes, accessTokenExpiresAtMs: atMs + hourMs };
  if (revision === 1) {
    const sessionId = newId('session');
    const who = { sessionId, platformId, providerId: 'acme', registrationId, endUserDigest: 'd'.repeat(43) };
    const what = { requestedScopes: scopes, returnUrl: 'https://platform.example/return', expiresAtMs: atMs + hourMs };
    const granted = { sessionId, credentialVersion: 1, ...ends, hasRefreshToken: true, accountDigest: 'd'.repeat(43) };
    return [
      'authorization',
      [
        { type: 'AuthorizationStarted', version: 1, data: { purpose: 'connect', ...who, ...what } },
        { type: 'ConnectionAuthorized', version: 1, data: granted },
      ],
    ];
  }
  const claimId = one.state.claim?.claimId;
  if (claimId === undefined) {
    const claim = { claimId: newId('claim'), credentialVersion: version, claimExpiresAtMs: atMs + 20_000 };
    return ['refresh', [{ type: 'RefreshStarted', version: 1, data: { ...claim, reason: 'scheduled' } }]];
  }
  if (!one.state.claim.released) return ['vault', [{ type: 'RefreshTokenReleased', version: 1, data: { claimId } }]];
  const data = { claimId, credentialVersion: version + 1, ...ends };
  return ['refresh', [{ type: 'AccessTokenRefreshed', version: 1, data }]];
}
