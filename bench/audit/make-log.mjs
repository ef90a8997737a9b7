/** A log of many connections' lives: authorized, then refreshed again and again, in the order in which time passes. */
import { newId } from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';
import { connectionEvolver } from '@postern/domain';
import { commitSigner } from '@postern/event-log';
import { JetStreamEventLog } from '@postern/nats';

import { fillLog } from '../../libs/nats/src/spec-support/fill-log.ts';

const writers = ['authorization', 'vault', 'refresh'];
const commitsEach = 20;
const ackTimeoutMs = 60_000;
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
  const ids = Array.from({ length: Math.max(1, Math.round(events / commitsEach)) }, () => newId('connection'));
  const startMs = Date.now() - commitsEach * hourMs;
  await fillLog({
    log: new JetStreamEventLog({ bus, stream: 'connections', ackTimeoutMs }),
    ...{ tenantId, evolver: connectionEvolver, ids, revisions: commitsEach },
    decide: (one) => {
      const revision = one.revision + 1;
      const atMs = startMs + revision * hourMs;
      const [writer, decided] = decisionOf(one, { revision, atMs, platformId, registrationId });
      return { signer: signers[writer], atMs, events: decided };
    },
  });
  return { keys, tenantId, connections: ids.length, commits: ids.length * commitsEach };
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
