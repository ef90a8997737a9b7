import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { newId, streams, subjects } from '@postern/contracts';
import {
  acknowledgedUpTo,
  createOperator,
  JetStreamWorker,
  lastMessages,
  serverOperatorConfig,
  type WorkMessage,
} from '@postern/nats';
import { describeWithServer, startNatsServer, temporaryDataDir, type NatsServer } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { Schedules } from '../schedule/schedules.ts';
import { storedMessages } from '../spec-support/stored-messages.ts';
import { World } from '../spec-support/world.ts';
import { dueIn, DueMessages, dueTimeIn, type Due } from './due-messages.ts';

const stream = streams.refresh.name;

await describeWithServer('nats-server', 'due messages', () => {
  const folder = temporaryDataDir();
  const dataDir = join(folder, 'nats');
  const seen: WorkMessage[] = [];
  let server: NatsServer;
  let restart: () => Promise<void>;
  let world: World;
  let messages: DueMessages;
  let stopWork: () => Promise<void> = () => Promise.resolve();

  beforeAll(async () => {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir, config });
    const { port, monitorPort } = server;
    restart = async () => {
      server = await startNatsServer({ dataDir, port, monitorPort, config });
      const floor = async () => acknowledgedUpTo(await world.bus('refresh'), 'refreshWorker');
      await waitFor(
        () =>
          floor().then(
            () => true,
            () => undefined,
          ),
        patience('an answer'),
      );
    };
    world = await World.create(server.url, bundle, folder);
    messages = new DueMessages(await world.bus('refresh'));
  }, 60_000);

  afterEach(async () => {
    await stopWork();
    seen.length = 0;
  });

  afterAll(async () => {
    await world?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const dueOf = (credentialVersion: number, connectionId = newId('connection')): Due => {
    const { tenantId } = world;
    return { tenantId, connectionId, reason: 'requested', credentialVersion, position: 1 };
  };
  const standing = async (due: Due) => {
    const subject = subjects.refreshDue(due);
    const bus = await world.bus('refresh');
    return (await lastMessages(bus, { stream, subjects: [subject] })).get(subject);
  };
  const dueStands = async ({ tenantId, connectionId: id }: Due) => {
    const [found] = await new Schedules(await world.bus('refresh')).standing([{ tenantId, id }]);
    return found?.dueStands;
  };
  /** Works until the test ends. */
  const work = async (handle: (message: WorkMessage) => Promise<void>) => {
    const take = async (message: WorkMessage) => {
      seen.push(message);
      await handle(message);
    };
    const bus = await world.bus('refresh');
    const worker = new JetStreamWorker({ bus, consumer: 'refreshWorker', concurrencyMax: 4, handle: take });
    await worker.start();
    stopWork = () => worker.stop();
  };
  const patience = (describe: string) => ({ timeoutMs: 30_000, describe });
  const delivered = (count: number) => waitFor(() => seen.length >= count, patience('a delivery'));
  const gone = (due: Due) => waitFor(async () => (await standing(due)) === undefined, patience('the end of a message'));

  test('one that stands is as good', async () => {
    const due = dueOf(1);
    await messages.publish(due);
    const first = await standing(due);
    await messages.publish(due);
    expect(await standing(due)).toEqual(first);
    await work(() => Promise.resolve());
    await delivered(1);
    await gone(due);
    expect(seen).toHaveLength(1);
  });

  test('one in the hand of a worker is as good', async () => {
    const due = dueOf(1);
    const held = Promise.withResolvers<void>();
    await work(() => held.promise);
    await messages.publish(due);
    await delivered(1);
    const first = await standing(due);
    await messages.publish(due);
    expect(await standing(due)).toEqual(first);
    expect(await dueStands(due)).toBe(true);
    held.resolve();
    await gone(due);
  });

  test('one for an older credential gives way', async () => {
    const due = dueOf(1);
    await messages.publish(due);
    await messages.publish({ ...due, credentialVersion: 2 });
    const stands = await standing(due);
    expect(stands && dueIn(stands)).toMatchObject({ credential_version: 2 });
    await messages.publish(due);
    expect((await standing(due))?.position).toBe(stands?.position);
  });

  test('one that is only planned gives way to one that somebody waits for, and to no other planned one', async () => {
    const planned = { ...dueOf(1), reason: 'scheduled' as const, dueAtMs: 1_800_000_000_000 };
    await messages.publish(planned);
    const first = await standing(planned);
    expect(first && dueTimeIn(first.payload)).toBe(planned.dueAtMs);
    await messages.publish(planned);
    expect(await standing(planned)).toEqual(first);

    const { dueAtMs, ...rest } = planned;
    await messages.publish({ ...rest, reason: 'expired' });
    const second = await standing(planned);
    expect(second && dueIn(second)).toMatchObject({ reason: 'expired', due_at_ms: dueAtMs });
    expect(second && dueTimeIn(second.payload)).toBe('awaited');
    for (const reason of ['expired', 'requested', 'scheduled'] as const) await messages.publish({ ...rest, reason });
    expect(await standing(planned)).toEqual(second);
  });

  test('one that a killed server brought back after it was acknowledged gives way', async () => {
    const due = dueOf(1);
    await messages.publish(due);
    await server.stop();
    const stored = storedMessages(dataDir);
    const kept = join(folder, 'kept');
    cpSync(stored, kept, { recursive: true });
    await restart();
    await work(() => Promise.resolve());
    await gone(due);
    await stopWork();
    await server.stop();
    rmSync(stored, { recursive: true });
    cpSync(kept, stored, { recursive: true });
    await restart();

    const returned = await waitFor(() => standing(due), patience('the return of the message'));
    expect(await acknowledgedUpTo(await world.bus('refresh'), 'refreshWorker')).toBeGreaterThanOrEqual(
      returned.position,
    );
    expect(await dueStands(due)).toBe(false);
    seen.length = 0;
    await work(() => Promise.resolve());
    await messages.publish(due);
    await delivered(1);
    expect(seen[0]?.position).toBeGreaterThan(returned.position);
  }, 120_000);
});
