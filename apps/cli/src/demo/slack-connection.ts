import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { newId, type ConnectionEvent } from '@postern/contracts';
import { decodeBase64url, keyedDigest, type Secret, type SigningPrivateJwk } from '@postern/crypto';
import { connectionEvolver, upcast } from '@postern/domain';
import { commitSigner, Repository } from '@postern/event-log';
import { connectBus, JetStreamEventLog } from '@postern/nats';

import { dataFolder } from '../data-folder/paths.ts';
import type { World } from './world.ts';

const minuteMs = 60_000;
/** The workspace and the bot of that connection. */
export const slackBot = { team: 'T1', user: 'U2' };

/**
 * What `authorization` records of a connection that Slack's token endpoint answered, a minute ago.
 *
 * Slack itself cannot be asked here, so this is written with the pen of `authorization`, and no token lies behind it: all
 * that a revocation needs.
 */
export async function connectedAtSlack(world: World, registrationId: string): Promise<string> {
  const { tenantId, session, platform } = world;
  const folder = await dataFolder(session.folder.root);
  const creds = readFileSync(folder.credsFile('authorization'), 'utf8');
  const bus = await connectBus({ servers: session.natsUrl, creds, identity: 'authorization', name: 'demo' });
  const jwk = JSON.parse(readFileSync(folder.signingKeyFile('authorization'), 'utf8')) as SigningPrivateJwk;
  const key = decodeBase64url(readFileSync(folder.secretFile('digest'), 'utf8').trim()) ?? Buffer.alloc(0);
  const { team, user } = slackBot;
  const account = keyedDigest(key, 'provider account key', tenantId, 'slack', 'team_bot', team, user);
  const [id, sessionId] = [newId('connection'), newId('session')];
  const said: readonly Pick<ConnectionEvent, 'type' | 'data'>[] = [
    {
      type: 'AuthorizationStarted',
      data: {
        ...{ sessionId, purpose: 'connect', providerId: 'slack', registrationId },
        ...{ platformId: platform?.platformId ?? '', endUserDigest: 'digest', requestedScopes: ['chat:write'] },
        ...{ returnUrl: world.site.returnUrl, expiresAtMs: Date.now() + minuteMs },
      },
    },
    { type: 'CodeExchangeStarted', data: { sessionId } },
    {
      type: 'ConnectionAuthorized',
      data: {
        ...{ sessionId, credentialVersion: 1, grantedScopes: ['chat:write'], accessTokenExpiresAtMs: null },
        ...{ hasRefreshToken: false, accountDigest: null, accountKeys: { team_bot: account } },
      },
    },
  ];
  const connections = new Repository({
    ...{ log: new JetStreamEventLog({ bus, stream: 'connections' }), evolver: connectionEvolver, upcast },
    ...{ reader: session.reader, signer: commitSigner('authorization', jwk), source: '/postern/authorization' },
    nowMs: () => Date.now() - minuteMs,
  });
  try {
    await connections.execute(
      { tenantId, id },
      () => said.map((event) => ({ ...event, version: 1 }) as ConnectionEvent),
      { actor: { type: 'end_user' }, correlationId: newId('correlation') },
    );
  } finally {
    await bus.drain();
  }
  return id;
}

/** A delivery as Slack sends it, to the one port. @source https://docs.slack.dev/authentication/verifying-requests-from-slack */
export async function slackSays(
  { stack }: World,
  { registrationId, secret }: { registrationId: string; secret: Secret },
  more: object,
): Promise<Response> {
  const nowS = Math.floor(Date.now() / 1000);
  const frame = { token: 't', team_id: slackBot.team, event_time: nowS, type: 'event_callback', ...more };
  const body = JSON.stringify(frame);
  const digest = createHmac('sha256', secret.reveal()).update(`v0:${nowS}:${body}`).digest('hex');
  const headers = {
    'content-type': 'application/json',
    'x-slack-request-timestamp': String(nowS),
    'x-slack-signature': `v0=${digest}`,
  };
  return await fetch(`${stack.url}/webhooks/slack/${registrationId}`, { method: 'POST', body, headers });
}
