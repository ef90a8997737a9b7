import { streams } from '@postern/contracts';
import { jetstreamManager, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream';

import type { Bus } from './bus.ts';
import { checkDurability, checkServer } from './check-server.ts';
import { checkStreams } from './check-streams.ts';
import { provision } from './provision.ts';
import { PosternBus } from './spec-support/postern-bus.ts';

let nats: PosternBus;
let provisioner: Bus;
let manager: JetStreamManager;

beforeAll(async () => {
  nats = await PosternBus.start();
  provisioner = await nats.as('provisioner');
  manager = await jetstreamManager(provisioner.connection, { checkAPI: false });
});
afterAll(async () => {
  await nats.stop();
});

const change = async (name: string, config: Partial<StreamConfig>) => await manager.streams.update(name, config);

describe('provisioning', () => {
  test('is repeated without effect, and what it made is what services check', async () => {
    expect(new Set(Object.values(await provision(provisioner)))).toEqual(new Set(['unchanged']));
    await checkStreams(await nats.as('vault'), ['connections', 'admin']);
    await checkStreams(await nats.as('audit'), ['connections', 'admin', 'access']);
  });

  test('a service refuses a stream that somebody changed, and the provisioner mends it', async () => {
    const vault = await nats.as('vault');
    await change(streams.admin.name, { max_bytes: 1024 * 1024, duplicate_window: 60_000_000_000 });
    await expect(checkStreams(vault, ['connections', 'admin'])).rejects.toMatchObject({
      code: 'log.config_differs',
      details: { fields: [{ path: 'max_bytes' }, { path: 'duplicate_window' }] },
    });
    expect(await provision(provisioner)).toMatchObject({ ADMIN: 'updated', CONNECTIONS: 'unchanged' });
    await checkStreams(vault, ['admin']);
  });

  test('more room than wanted is accepted, and kept when something else is mended', async () => {
    const max_bytes = streams.admin.maxBytes * 2;
    await change(streams.admin.name, { max_bytes });
    await checkStreams(await nats.as('vault'), ['admin']);
    expect(await provision(provisioner)).toMatchObject({ ADMIN: 'unchanged' });
    await change(streams.admin.name, { duplicate_window: 60_000_000_000 });
    expect(await provision(provisioner)).toMatchObject({ ADMIN: 'updated' });
    expect((await manager.streams.info(streams.admin.name)).config.max_bytes).toBe(max_bytes);
    await change(streams.admin.name, { max_bytes: streams.admin.maxBytes });
  });

  test('a server without the room says so in its own words', async () => {
    const small = await PosternBus.start({ fileStoreBytesMax: 1024, provisioned: false });
    try {
      await expect(provision(await small.as('provisioner'))).rejects.toMatchObject({
        code: 'log.unavailable',
        message: expect.stringMatching(/insufficient storage resources available \(10047\)/),
      });
    } finally {
      await small.stop();
    }
  });

  test('a change by which messages could be lost is refused', async () => {
    await change(streams.notifications.name, { max_age: 0 });
    await expect(provision(provisioner)).rejects.toMatchObject({
      code: 'log.config_differs',
      details: { fields: [{ path: 'max_age' }] },
    });
    await change(streams.notifications.name, { max_age: streams.notifications.maxAgeMs * 1_000_000 });
    await provision(provisioner);
  });

  test('only the provisioner provisions', async () => {
    await expect(provision(await nats.as('audit'))).rejects.toMatchObject({ code: 'auth.forbidden' });
  });
});

describe('the server', () => {
  test('is new enough, and every node syncs before it acknowledges', async () => {
    checkServer(await nats.as('gateway'));
    expect(await checkDurability(await nats.asSystem())).toHaveLength(1);
  });

  test('that is too old, or has no JetStream, is refused', () => {
    const like = (info: object) => ({ connection: { info } }) as unknown as Bus;
    expect(() => checkServer(like({ version: '2.13.9', jetstream: true }))).toThrow(
      expect.objectContaining({ code: 'servers.too_old' }),
    );
    expect(() => checkServer(like({ version: '2.14.0' }))).toThrow(
      expect.objectContaining({ code: 'log.unavailable' }),
    );
    expect(() => checkServer(like({ version: '3.0.0', jetstream: true }))).not.toThrow();
  });
});
