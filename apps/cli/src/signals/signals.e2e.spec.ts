import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { newId, PosternError, type Signal, type WeighedSignal } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { connectBus, publishMessage } from '@postern/nats';
import { describeWithServer } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { requestTokens } from '../demo/platform-client.ts';
import { connectedAtSlack, slackBot, slackSays } from '../demo/slack-connection.ts';
import { story } from '../demo/story.ts';
import type { World } from '../demo/world.ts';
import { oneWorld } from '../spec-support/one-world.ts';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const run = promisify(execFile);
const signingSecret = 'the signing secret of the app';
const wholeTimeoutMs = 300_000;
const minuteMs = 60_000;

async function postern({ dataRoot }: World, ...args: string[]): Promise<Record<string, unknown>> {
  const all = [command, ...args, '--data', join(dataRoot, 'data'), '--json'];
  return JSON.parse((await run(process.execPath, all)).stdout) as Record<string, unknown>;
}

async function registeredSlack(world: World): Promise<string> {
  const file = join(world.dataRoot, 'signing-secret');
  writeFileSync(file, signingSecret, { mode: 0o600 });
  const made = await postern(
    world,
    ...['registrations', 'create', '--provider', 'slack', '--name', 'An app', '--client-id', 'slack-app'],
    ...['--auth-method', 'client_secret_post', '--client-secret-file', file, '--webhook-secret-file', file],
    ...['--scope', 'chat:write'],
  );
  return String(made['registration_id']);
}

await describeWithServer('nats-server', 'postern signals', () => {
  const started = oneWorld(async (world) => void (await story[0]?.run(world)));

  test(
    'Slack says that a token was revoked: the next lease is refused, and the log and the list say why',
    async () => {
      const world = started();
      const registrationId = await registeredSlack(world);
      const connectionId = await connectedAtSlack(world, registrationId);

      const slack = { registrationId, secret: Secret.from(signingSecret) };
      const asked = await slackSays(world, slack, { type: 'url_verification', challenge: '3eZbrw1aB' });
      expect([asked.status, await asked.text()]).toEqual([200, '3eZbrw1aB']);

      const event = { type: 'tokens_revoked', tokens: { bot: ['U2'] } };
      expect((await slackSays(world, slack, { event_id: 'Ev1', event })).status).toBe(200);
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
    wholeTimeoutMs,
  );

  test(
    'transmitters and bridges are made for registrations that are there, and a bridge’s word ends a connection',
    async () => {
      const world = started();
      const { registrationId, tenantId } = world;
      const known = ['--known', 'google', '--audience', 'app', '--name', 'Google', '--bearer'];
      const made = await postern(world, 'transmitters', 'create', ...known, '--registration', registrationId);
      const id = String(made['transmitterId']);
      expect(made).toMatchObject({
        issuer: 'https://accounts.google.com/',
        typeRequired: false,
        delivery: { method: 'push', hasBearerToken: true },
        speaksFor: [{ tenantId, registrationId }],
        push_url: `${world.stack.url}/signals/ssf/${id}`,
      });
      const misspelled = newId('registration');
      const wrong = ['transmitters', 'scope', id, '--registration', misspelled];
      await expect(postern(world, ...wrong)).rejects.toThrow('registration.not_found');
      expect(await postern(world, 'transmitters', 'show', id)).toMatchObject({ speaksFor: [{ registrationId }] });
      expect(await postern(world, 'transmitters', 'disable', id)).toMatchObject({ disabled: true });

      const slack = await registeredSlack(world);
      const connectionId = await connectedAtSlack(world, slack);
      const credsFile = join(world.dataRoot, 'bridge.creds');
      const scope = ['--registration', slack, '--creds', credsFile];
      const bridge = await postern(world, 'bridges', 'create', '--name', 'An older system', ...scope);
      const bridgeId = String(bridge['bridge_id']);
      const bus = await connectBus({
        ...{ servers: world.session.natsUrl, creds: readFileSync(credsFile, 'utf8') },
        ...{ identity: bridgeId, name: 'bridge' },
      });
      const subject = `signal.${bridgeId}.${slack}.Ev1`;
      const body = {
        ...{ type: 'event_callback', team_id: slackBot.team, event_time: Math.floor(Date.now() / 1000) },
        event: { type: 'tokens_revoked', tokens: { bot: [slackBot.user] } },
      };
      const signal: Signal = {
        ...{ version: 1, source: bridgeId, tenantId, registrationId: slack, deliveryId: 'Ev1' },
        ...{ type: 'tokens_revoked', receivedAtMs: Date.now(), verified: { bridgeId }, body },
      };
      await publishMessage(bus, { stream: 'SIGNALS', subject, payload: signal, messageId: subject });
      await waitFor(
        async () => JSON.stringify(await postern(world, 'connections', 'show', connectionId)).includes(bridgeId),
        { timeoutMs: minuteMs, describe: 'the connection to end by the word of the bridge' },
      );
      await postern(world, 'bridges', 'disable', bridgeId);
      await expect(
        publishMessage(bus, { stream: 'SIGNALS', subject: `${subject}2`, payload: signal }),
      ).rejects.toBeInstanceOf(PosternError);
      await bus.close();
    },
    wholeTimeoutMs,
  );
});
