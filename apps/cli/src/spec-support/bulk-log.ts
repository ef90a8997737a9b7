import { readFileSync } from 'node:fs';

import { newId, type ConnectionEvent } from '@postern/contracts';
import type { SigningPrivateJwk } from '@postern/crypto';
import { connectionEvolver } from '@postern/domain';
import { commitSigner } from '@postern/event-log';
import { connectBus, JetStreamEventLog } from '@postern/nats';

import { fillLog } from '../../../../libs/nats/src/spec-support/fill-log.ts';
import type { Session } from '../session/session.ts';

/** Many a commit: what takes time in a log is its messages, each on the disk before the next, and its events are the same. */
const eventsPerCommit = 12;
const commitsEach = 5;
const eventsEach = 2 + (commitsEach - 1) * eventsPerCommit;
const dayMs = 86_400_000;
const ackTimeoutMs = 60_000;

/** Events of many connections that nobody leases and nothing is due of, signed as their writers sign. */
export async function makeLog(
  session: Session,
  { events, platformId }: { events: number; platformId: string },
): Promise<{ readonly events: number; readonly connections: number }> {
  const creds = () => readFileSync(session.folder.credsFile('revocation'), 'utf8');
  const bus = await connectBus({ servers: session.natsUrl, creds, identity: 'revocation', name: 'spec bulk' });
  const signerOf = (writer: 'authorization' | 'revocation') =>
    commitSigner(writer, JSON.parse(readFileSync(session.folder.signingKeyFile(writer), 'utf8')) as SigningPrivateJwk);
  const signers = { authorization: signerOf('authorization'), revocation: signerOf('revocation') };
  const ids = Array.from({ length: Math.ceil(events / eventsEach) }, () => newId('connection'));
  try {
    await fillLog({
      log: new JetStreamEventLog({ bus, stream: 'connections', ackTimeoutMs }),
      ...{ tenantId: session.defaultTenantId, evolver: connectionEvolver, ids, revisions: commitsEach },
      decide: ({ revision }) => {
        const [writer, decided] = decisionAfter(revision, platformId);
        return { signer: signers[writer], atMs: Date.now(), events: decided };
      },
    });
  } finally {
    await bus.close();
  }
  return { events: ids.length * eventsEach, connections: ids.length };
}

/** An authorization of two events, then suspensions and resumptions, one after the other. */
function decisionAfter(
  revision: number,
  platformId: string,
): ['authorization' | 'revocation', readonly ConnectionEvent[]] {
  const sessionId = newId('session');
  const expiresAtMs = Date.now() + dayMs;
  if (revision === 0) {
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
  const types = ['ConnectionSuspended', 'ConnectionResumed'] as const;
  const decided = Array.from({ length: eventsPerCommit / 2 }, () => types).flat();
  return ['revocation', decided.map((type) => ({ type, version: 1, data: { reason: null } }))];
}
