import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { newId, operations, type WebhookDelivery } from '@postern/contracts';
import { openDatabase } from '@postern/persistence';
import { describeWithServer } from '@postern/servers';
import { waitFor } from '@postern/testing';
import { Webhook as StandardWebhook } from 'standardwebhooks';

import { answering, Receiver, type Received } from '../../../notifier/src/spec-support/receiver.ts';
import { story } from '../demo/story.ts';
import { withWorld, type World } from '../demo/world.ts';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const wholeTimeoutMs = 300_000;
const patience = { timeoutMs: 90_000 };
const run = promisify(execFile);

/** What `postern webhooks …` prints for people. */
async function printed({ dataRoot }: World, ...args: string[]): Promise<string> {
  return (await run(process.execPath, [command, 'webhooks', ...args, '--data', join(dataRoot, 'data')])).stdout;
}

/** What it prints for programs, or the code with which it refuses. */
async function webhooks(world: World, ...args: string[]): Promise<Record<string, unknown>> {
  const text = await printed(world, ...args, '--json').catch(({ stdout, stderr }: Record<string, string>) =>
    stdout === '' ? String(stderr) : String(stdout),
  );
  return JSON.parse(text) as Record<string, unknown>;
}

async function deliveries(world: World, id: string, ...more: string[]): Promise<WebhookDelivery[]> {
  return (await webhooks(world, 'deliveries', id, ...more))['deliveries'] as WebhookDelivery[];
}

/** The same without a process of its own, to wait on. */
async function becomes(
  { session, tenantId }: World,
  webhookId: string,
  isSo: (one: WebhookDelivery) => boolean,
): Promise<WebhookDelivery> {
  const listed = async () =>
    (await session.call(operations.listDeliveries, tenantId, { tenant_id: tenantId, webhook_id: webhookId }))
      .deliveries;
  return await waitFor(async () => (await listed()).find(isSo), {
    ...patience,
    describe: async () => `one of these to be as it should: ${JSON.stringify(await listed())}`,
  });
}

/** As a customer does, by the library of the standard. @throws when no signature fits */
function verified({ headers, body }: Received, secret: unknown): Record<string, unknown> {
  return new StandardWebhook(String(secret)).verify(body, headers as Record<string, string>) as Record<string, unknown>;
}

/** As if what is owed had failed for a day: one more failure, and it is given up. */
async function almostGivenUp({ session, tenantId }: World, webhookId: string): Promise<void> {
  const url = readFileSync(session.folder.secretFile('notifier-database-url'), 'utf8');
  const unavailableCode = 'webhook.log_unavailable';
  const tables = openDatabase({ url, entities: [], schema: 'notifier', poolMax: 1, unavailableCode });
  const text = `update notifier.delivery set tries = 10, next_attempt_at = now()
    where webhook_id = $1 and status = 'pending'`;
  try {
    await tables.acrossTenants(async ({ inTenant }) => {
      await inTenant(tenantId, [{ name: 'almost_given_up', text, values: [webhookId] }]);
    });
  } finally {
    await tables.close();
  }
}

await describeWithServer('nats-server', 'postern webhooks', () => {
  const receiver = new Receiver();
  // Every trace is kept, and nobody ever takes one: nothing of this may notice.
  const collector = new Receiver();
  collector.answer = () => undefined;
  const set: Record<string, string> = {
    POSTERN_ALLOWED_WEBHOOK_ADDRESSES: '127.0.0.1',
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  };
  const before = new Map<string, string | undefined>();
  beforeAll(async () => {
    await receiver.start();
    await collector.start();
    set['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.url;
    for (const [name, value] of Object.entries(set)) {
      before.set(name, process.env[name]);
      process.env[name] = value;
    }
  });
  afterAll(async () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await receiver.stop();
    await collector.stop();
  });

  test(
    'an endpoint is made, hears of a connection, changes its secret, fails for a day, and gets all it missed',
    async () => {
      await withWorld(
        () => undefined,
        async (world) => {
          const { session } = world;
          await story[0]?.run(world);
          await world.acme.setAccessTokenTtl(3_600);
          const begun = new Date().toISOString();
          const types = ['--type', 'connection.authorized', '--type', 'connection.revoked'];
          const made = await webhooks(world, 'create', '--name', 'Acme’s pager', '--url', receiver.url, ...types);
          const [id, secret] = [String(made['webhook_id']), made['secret']];
          expect(await webhooks(world, 'list')).toMatchObject([{ webhookId: id, url: receiver.url }]);
          expect(JSON.stringify(await webhooks(world, 'show', id))).not.toContain(String(secret).slice(6));

          // It is not well when Ada connects; what failed is sent again when somebody asks, ahead of its next attempt.
          receiver.answer = answering(503);
          await story[1]?.run(world);
          const first = await becomes(world, id, ({ attempts }) => attempts.length > 0);
          expect(first).toMatchObject({ type: 'connection.authorized', attempts: [{ outcome: 'http_503' }] });
          receiver.answer = answering(204);
          // It may be under way at that very moment, and then comes by itself.
          expect((await webhooks(world, 'redeliver', id, '--since', begun))['redelivered']).toBeLessThanOrEqual(1);
          await becomes(world, id, ({ status }) => status === 'delivered');
          expect(new Set(receiver.ids)).toEqual(new Set([first.message_id]));
          expect(verified(receiver.received.at(-1) as Received, secret)).toMatchObject({
            type: 'connection.authorized',
            data: { connection_id: world.connectionId },
          });

          const next = (await webhooks(world, 'rotate', id))['secret'];
          expect(await webhooks(world, 'test', id)).toMatchObject({ outcome: 'delivered', http_status: 204 });
          for (const one of [secret, next]) {
            expect(verified(receiver.received.at(-1) as Received, one)).toMatchObject({ type: 'webhook.test' });
          }
          const last = (await webhooks(world, 'rotate', id, '--overlap', '0'))['secret'];
          await webhooks(world, 'test', id);
          for (const old of [secret, next]) {
            expect(() => verified(receiver.received.at(-1) as Received, old)).toThrow('No matching signature');
          }
          expect(verified(receiver.received.at(-1) as Received, last)).toMatchObject({ type: 'webhook.test' });

          // A day of failures.
          receiver.answer = answering(500);
          const broken = new Date().toISOString();
          const args = [command, 'connections', 'revoke', world.connectionId, '--data', session.folder.root];
          await run(process.execPath, args);
          await becomes(world, id, ({ status, attempts }) => status === 'pending' && attempts.length > 0);
          await almostGivenUp(world, id);
          const dead = await becomes(world, id, ({ status }) => status === 'dead');
          expect(dead).toMatchObject({ type: 'connection.revoked', next_attempt_at: null });
          expect(new Set(dead.attempts.map(({ outcome }) => outcome))).toEqual(new Set(['http_500']));
          expect(await deliveries(world, id, '--status', 'dead')).toEqual([dead]);
          const shown = await printed(world, 'deliveries', id, '--limit', '5');
          expect(shown).toMatch(
            new RegExp(`${dead.message_id} +connection.revoked +dead +${dead.attempts.length} +http_500`),
          );

          const mended = new Date().toISOString();
          receiver.answer = answering(204);
          const received = receiver.received.length;
          expect(await webhooks(world, 'redeliver', id, '--since', mended)).toEqual({ redelivered: 0 });
          expect(await printed(world, 'redeliver', id, '--since', broken)).toBe('1 will be sent again\n');
          await becomes(world, id, (one) => one.message_id === dead.message_id && one.status === 'delivered');
          const [missed] = receiver.received.slice(received);
          expect(missed?.headers['webhook-id']).toBe(dead.message_id);
          expect(verified(missed as Received, last)).toMatchObject({ type: 'connection.revoked' });
          expect(await webhooks(world, 'redeliver', id, '--dead')).toEqual({ redelivered: 0 });
          expect(await webhooks(world, 'redeliver', id, '--message', dead.message_id)).toEqual({ redelivered: 1 });
          await waitFor(() => receiver.ids.slice(received).length === 2, { ...patience, describe: 'it once more' });

          const later = new Date(Date.now() + 3_600_000).toISOString();
          const refused: readonly (readonly [string, ...string[]])[] = [
            ['request.malformed', 'redeliver', id],
            ['request.malformed', 'redeliver', id, '--dead', '--since', begun],
            ['request.malformed', 'redeliver', id, '--since', 'yesterday'],
            ['request.malformed', 'redeliver', id, '--since', later],
            ['request.malformed', 'create', '--name', 'x', '--url', 'http://hooks.example/'],
            ['request.malformed', 'create', '--name', 'x', '--url', receiver.url, '--type', 'nothing.happened'],
            ['webhook.delivery_not_found', 'redeliver', id, '--message', 'no-such-message'],
            ['webhook.not_found', 'redeliver', newId('webhook'), '--since', begun],
          ];
          const codes = await Promise.all(
            refused.map(async ([, ...wrong]) => (await webhooks(world, ...wrong))['code']),
          );
          expect(codes).toEqual(refused.map(([code]) => code));
          expect(collector.received.length).toBeGreaterThan(0);
          await webhooks(world, 'disable', id);
          expect((await webhooks(world, 'redeliver', id, '--since', begun))['code']).toBe('webhook.disabled');
        },
      );
    },
    wholeTimeoutMs,
  );
});
