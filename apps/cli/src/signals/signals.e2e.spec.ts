import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { newId, type ConnectionEvent, type WeighedSignal } from '@postern/contracts';
import { decodeBase64url, keyedDigest, type SigningPrivateJwk } from '@postern/crypto';
import { connectionEvolver, upcast } from '@postern/domain';
import { commitSigner, Repository } from '@postern/event-log';
import { connectBus, JetStreamEventLog } from '@postern/nats';
import { describeWithServer } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { dataFolder } from '../data-folder/paths.ts';
import { requestTokens } from '../demo/platform-client.ts';
import { story } from '../demo/story.ts';
import { withWorld, type World } from '../demo/world.ts';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const run = promisify(execFile);
const signingSecret = 'the signing secret of the app';
const wholeTimeoutMs = 300_000;
const minuteMs = 60_000;

async function postern({ dataRoot }: World, ...args: string[]): Promise<Record<string, unknown>> {
  const all = [command, ...args, '--data', join(dataRoot, 'data'), '--json'];
  return JSON.parse((await run(process.execPath, all)).stdout) as Record<string, unknown>;
}

/** What `authorization` records of a connection that Slack's token endpoint answered, a minute ago. */
async function connectedAtSlack(world: World, registrationId: string): Promise<string> {
  const { tenantId, session, dataRoot, platform } = world;
  const folder = await dataFolder(join(dataRoot, 'data'));
  const creds = readFileSync(folder.credsFile('authorization'), 'utf8');
  const bus = await connectBus({ servers: session.natsUrl, creds, identity: 'authorization', name: 'spec' });
  const jwk = JSON.parse(readFileSync(folder.signingKeyFile('authorization'), 'utf8')) as SigningPrivateJwk;
  const key = decodeBase64url(readFileSync(folder.secretFile('digest'), 'utf8').trim()) ?? Buffer.alloc(0);
  const account = keyedDigest(key, 'provider account key', tenantId, 'slack', 'team_bot', 'T1', 'U2');
  const [id, sessionId] = [newId('connection'), newId('session')];
  const said: readonly Pick<ConnectionEvent, 'type' | 'data'>[] = [
    {
      type: 'AuthorizationStarted',
      data: {
        ...{
          sessionId,
          purpose: 'connect',
          platformId: platform?.platformId ?? '',
          providerId: 'slack',
          registrationId,
        },
        ...{ endUserDigest: 'digest', requestedScopes: ['chat:write'], returnUrl: world.site.returnUrl },
        expiresAtMs: Date.now() + minuteMs,
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

/** A delivery as Slack sends it, to the one port. */
async function slackSays({ stack }: World, registrationId: string, more: object): Promise<Response> {
  const nowS = Math.floor(Date.now() / 1000);
  const body = JSON.stringify({ token: 't', team_id: 'T1', event_time: nowS, type: 'event_callback', ...more });
  const digest = createHmac('sha256', signingSecret).update(`v0:${nowS}:${body}`).digest('hex');
  const headers = {
    'content-type': 'application/json',
    'x-slack-request-timestamp': String(nowS),
    'x-slack-signature': `v0=${digest}`,
  };
  return await fetch(`${stack.url}/webhooks/slack/${registrationId}`, { method: 'POST', body, headers });
}

await describeWithServer('nats-server', 'postern signals', () => {
  test(
    'Slack says that a token was revoked: the next lease is refused, and the log and the list say why',
    async () => {
      await withWorld(
        () => undefined,
        async (world) => {
          await story[0]?.run(world);
          const file = join(world.dataRoot, 'signing-secret');
          writeFileSync(file, signingSecret, { mode: 0o600 });
          const made = await postern(
            world,
            ...['registrations', 'create', '--provider', 'slack', '--name', 'An app', '--client-id', 'slack-app'],
            ...['--auth-method', 'client_secret_post', '--client-secret-file', file, '--webhook-secret-file', file],
            ...['--scope', 'chat:write'],
          );
          const registrationId = String(made['registration_id']);
          const connectionId = await connectedAtSlack(world, registrationId);

          const asked = await slackSays(world, registrationId, { type: 'url_verification', challenge: '3eZbrw1aB' });
          expect([asked.status, await asked.text()]).toEqual([200, '3eZbrw1aB']);

          const event = { type: 'tokens_revoked', tokens: { bot: ['U2'] } };
          expect((await slackSays(world, registrationId, { event_id: 'Ev1', event })).status).toBe(200);
          const platform = world.platform;
          if (platform === undefined) throw new Error('there is no platform');
          await waitFor(
            async () => {
              const { refused } = await requestTokens(platform, { connectionId, agentId: world.agentId });
              return refused.some(({ code }) => code === 'connection.revoked');
            },
            { timeoutMs: minuteMs, describe: 'a lease that is refused because of the revocation' },
          );
          const listed = async (...more: string[]) =>
            (await postern(world, 'signals', 'list', ...more))['signals'] as WeighedSignal[];
          const [signal] = await waitFor(async () => ((found) => found.length > 0 && found)(await listed()), {
            timeoutMs: minuteMs,
            describe: 'the signal in the list',
          });
          expect(signal).toMatchObject({ source: 'slack', type: 'tokens_revoked', outcome: 'revoked', revoked: 1 });
          expect(await listed('--unmatched')).toEqual([]);
          const shown = await postern(world, 'connections', 'show', connectionId);
          expect(JSON.stringify(shown)).toContain('revoked_at_provider');
        },
      );
    },
    wholeTimeoutMs,
  );
});
