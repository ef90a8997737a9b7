import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { WeighedSignal } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { describeWithServer } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { requestTokens } from '../demo/platform-client.ts';
import { connectedAtSlack, slackSays } from '../demo/slack-connection.ts';
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
      );
    },
    wholeTimeoutMs,
  );
});
