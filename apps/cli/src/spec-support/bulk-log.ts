import { readFileSync } from 'node:fs';

import { newId, timestampOf, type Commit, type ConnectionEvent } from '@postern/contracts';
import type { SigningPrivateJwk } from '@postern/crypto';
import { connectionEvolver } from '@postern/domain';
import { commitSigner, encodeCommit } from '@postern/event-log';
import { connectBus, publishMessage } from '@postern/nats';

import type { Session } from '../session/session.ts';

const inFlightMax = 256;
const eventsEach = 20;
const dayMs = 86_400_000;

/** Events of many connections that nobody leases and nothing is due of, signed as their writers sign. @returns how many. */
export async function makeLog(
  session: Session,
  { events, platformId }: { events: number; platformId: string },
): Promise<number> {
  const tenantId = session.defaultTenantId;
  const creds = () => readFileSync(session.folder.credsFile('revocation'), 'utf8');
  const bus = await connectBus({ servers: session.natsUrl, creds, identity: 'revocation', name: 'spec bulk' });
  const signers = Object.fromEntries(
    (['authorization', 'revocation'] as const).map((writer) => {
      const key = JSON.parse(readFileSync(session.folder.signingKeyFile(writer), 'utf8')) as SigningPrivateJwk;
      return [writer, commitSigner(writer, key)];
    }),
  );
  const connections = Array.from({ length: Math.ceil(events / eventsEach) }, () => ({
    id: newId('connection'),
    state: connectionEvolver.initialState,
    hash: null as string | null,
  }));
  try {
    for (let revision = 1; revision < eventsEach; revision += 1) {
      const [writer, decided] = decisionOf(revision, platformId);
      const signer = signers[writer];
      if (signer === undefined) throw new Error(writer);
      for (let first = 0; first < connections.length; first += inFlightMax) {
        await Promise.all(
          connections.slice(first, first + inFlightMax).map(async (one) => {
            const atMs = Date.now();
            const actor = { type: 'service', id: writer } as const;
            const meta = { tenantId, aggregateId: one.id, atMs, actor };
            one.state = decided.reduce((state, event) => connectionEvolver.evolve(state, event, meta), one.state);
            const commit: Commit = {
              ...{ commitId: newId('commit'), tenantId, aggregate: 'connection', aggregateId: one.id, revision },
              ...{ at: timestampOf(atMs), actor, causationId: null, correlationId: newId('correlation') },
              events: [...decided] as Commit['events'],
              ...{ stateVersion: connectionEvolver.stateVersion, state: one.state, previousHash: one.hash },
            };
            const { hash, ...message } = await encodeCommit(commit, { signer, source: '/spec' });
            one.hash = hash;
            await publishMessage(bus, { stream: 'CONNECTIONS', ackTimeoutMs: 30_000, ...message });
          }),
        );
      }
    }
  } finally {
    await bus.close();
  }
  return connections.length * eventsEach;
}

/** An authorization of two events, then one suspension and resumption after the other. */
function decisionOf(
  revision: number,
  platformId: string,
): ['authorization' | 'revocation', readonly ConnectionEvent[]] {
  const sessionId = newId('session');
  const expiresAtMs = Date.now() + dayMs;
  if (revision === 1) {
    const who = { sessionId, platformId, providerId: 'openid-connect', registrationId: newId('registration') };
    const what = { endUserDigest: 'd', requestedScopes: ['read'], returnUrl: 'https://p.example', expiresAtMs };
    const granted = { sessionId, credentialVersion: 1, grantedScopes: ['read'], accessTokenExpiresAtMs: expiresAtMs };
    return [
      'authorization',
      [
        { type: 'AuthorizationStarted', version: 1, data: { purpose: 'connect', ...who, ...what } },
        { type: 'ConnectionAuthorized', version: 1, data: { ...granted, hasRefreshToken: true, accountDigest: null } },
      ],
    ];
  }
  const type = revision % 2 === 0 ? 'ConnectionSuspended' : 'ConnectionResumed';
  return ['revocation', [{ type, version: 1, data: { reason: null } }]];
}
