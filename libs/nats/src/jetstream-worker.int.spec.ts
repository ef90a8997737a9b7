import { consumers, newId, PosternError, streams, subjects } from '@postern/contracts';
import { startTcpProxy, waitFor } from '@postern/testing';

import type { Bus } from './bus.ts';
import { JetStreamWorker, type WorkMessage } from './jetstream-worker.ts';
import { publishMessage } from './publish-message.ts';
import { PosternBus } from './spec-support/postern-bus.ts';

let nats: PosternBus;
let bus: Bus;
const due = () => ({ tenantId: newId('tenant'), connectionId: newId('connection') });

beforeAll(async () => {
  nats = await PosternBus.start();
  bus = await nats.as('refresh');
});
afterAll(async () => {
  await nats.stop();
});

async function publishDue(connection = due()): Promise<string> {
  const subject = subjects.refreshDue(connection);
  await publishMessage(bus, {
    stream: streams.refresh.name,
    subject,
    payload: connection,
    expectedLastSubjectPosition: 0,
    messageId: newId('commit'),
  });
  return subject;
}

interface WorkOptions {
  readonly concurrencyMax?: number;
  readonly act?: () => Promise<void>;
  readonly on?: Bus;
  readonly confirms?: boolean;
  readonly passOver?: (subject: string) => number | undefined;
}

/** Works until `enough` says so, then stops. */
async function workUntil(
  enough: (seen: readonly WorkMessage[]) => boolean,
  handle: (message: WorkMessage) => Promise<void>,
  { concurrencyMax = 4, act = () => Promise.resolve(), on = bus, confirms, passOver }: WorkOptions = {},
): Promise<{ seen: WorkMessage[]; errors: PosternError[] }> {
  const seen: WorkMessage[] = [];
  const errors: PosternError[] = [];
  const finished = Promise.withResolvers<void>();
  const worker = new JetStreamWorker({
    bus: on,
    consumer: 'refreshWorker',
    concurrencyMax,
    nakDelayMs: 10,
    confirms,
    passOver,
    onError: (error) => errors.push(error),
    handle: async (message) => {
      seen.push(message);
      try {
        await handle(message);
      } finally {
        if (enough(seen)) finished.resolve();
      }
    },
  });
  await worker.start();
  await act();
  await finished.promise;
  await worker.stop();
  return { seen, errors };
}

/** What is published there from now on. */
function overhear({ connection }: Bus): string[] {
  const said: string[] = [];
  const publish = connection.publish.bind(connection);
  connection.publish = (subject, payload, options) => {
    said.push(typeof payload === 'string' ? payload : Buffer.from(payload ?? []).toString());
    publish(subject, payload, options);
  };
  return said;
}

/** How many messages are with somebody. */
async function waiting(): Promise<number> {
  const { stream, name } = consumers.refreshWorker;
  const answer = await bus.connection.request(`$JS.API.CONSUMER.INFO.${stream}.${name}`);
  return answer.json<{ num_ack_pending: number }>().num_ack_pending;
}

describe('a worker on a durable consumer', () => {
  test('takes each due message once, and a second one cannot be published meanwhile', async () => {
    const connection = due();
    const subject = await publishDue(connection);
    await expect(publishDue(connection)).rejects.toMatchObject({ code: 'log.conflict' });
    const { seen } = await workUntil(
      ({ length }) => length === 1,
      () => Promise.resolve(),
    );
    expect(seen.map((message) => [message.subject, message.json(), message.deliveries])).toEqual([
      [subject, connection, 1],
    ]);
    await publishDue(connection);
    await workUntil(
      ({ length }) => length === 1,
      () => Promise.resolve(),
    );
  });

  test('an error that may pass brings the message back, one that does not ends it', async () => {
    await publishDue();
    const { seen, errors } = await workUntil(
      ({ length }) => length === 3,
      ({ deliveries }) =>
        Promise.reject(
          deliveries < 3
            ? new PosternError('provider.unreachable', 'later')
            : new PosternError('refresh.not_possible', 'never'),
        ),
    );
    expect(seen.map(({ deliveries }) => deliveries)).toEqual([1, 2, 3]);
    expect(errors.map(({ code }) => code)).toEqual([
      'provider.unreachable',
      'provider.unreachable',
      'refresh.not_possible',
    ]);
    const again = await publishDue();
    const next = await workUntil(
      ({ length }) => length === 1,
      () => Promise.resolve(),
    );
    expect(next.seen.map(({ subject }) => subject)).toEqual([again]);
  });

  test('works on no more messages at a time than it may, and finishes them when it stops', async () => {
    let working = 0;
    let most = 0;
    let finished = 0;
    const { seen } = await workUntil(
      ({ length }) => length === 12,
      async () => {
        working += 1;
        most = Math.max(most, working);
        await bus.connection.flush();
        working -= 1;
        finished += 1;
      },
      {
        concurrencyMax: 3,
        act: async () => void (await Promise.all(Array.from({ length: 12 }, () => publishDue()))),
      },
    );
    expect(most).toBeLessThanOrEqual(3);
    expect(finished).toBe(seen.length);
  });

  test('need not wait for the server to know that a message is done', async () => {
    const connection = due();
    await publishDue(connection);
    const isFree = () => publishDue(connection).catch(() => undefined);
    const { seen } = await workUntil(
      ({ length }) => length === 2,
      () => Promise.resolve(),
      { confirms: false, act: async () => void (await waitFor(isFree, { describe: 'the message to be done' })) },
    );
    expect(seen.map(({ deliveries }) => deliveries)).toEqual([1, 1]);
    await waitFor(isFree, { describe: 'the second one to be done' });
    await workUntil(
      ({ length }) => length === 1,
      () => Promise.resolve(),
    );
  });

  test('hands on nothing of a message that is passed over by its subject, until it comes again', async () => {
    const subjects = await Promise.all(Array.from({ length: 200 }, () => publishDue()));
    const looks = new Map<string, number>();
    const { seen } = await workUntil(
      ({ length }) => length === subjects.length,
      () => Promise.resolve(),
      {
        passOver: (subject) => {
          const times = (looks.get(subject) ?? 0) + 1;
          looks.set(subject, times);
          return times < 3 ? 20 : undefined;
        },
      },
    );
    expect(seen.map(({ subject }) => subject).toSorted()).toEqual(subjects.toSorted());
    expect(seen.map(({ deliveries }) => deliveries)).toEqual(subjects.map(() => 3));
  });

  test('gives back at once what it has only fetched when it stops', async () => {
    const subjects = await Promise.all(Array.from({ length: 20 }, () => publishDue()));
    const inHand = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const own = await nats.as('refresh');
    const said = overhear(own);
    const first = new JetStreamWorker({
      ...{ bus: own, consumer: 'refreshWorker', concurrencyMax: 1, prefetchMax: 20 },
      handle: () => {
        inHand.resolve();
        return held.promise;
      },
    });
    await first.start();
    await inHand.promise;
    await waitFor(async () => (await waiting()) === 20, { describe: 'all to be fetched' });
    const stopping = first.stop();
    held.resolve();
    await stopping;
    expect(said.filter((word) => word.startsWith('-NAK')).length).toBe(19);
    const { seen } = await workUntil(
      ({ length }) => length === 19,
      () => Promise.resolve(),
    );
    expect(seen.map(({ deliveries }) => deliveries)).toEqual(subjects.slice(1).map(() => 2));
  });

  test('has given everything back, and acknowledged what it had in hand, when it has stopped', async () => {
    await Promise.all(Array.from({ length: 5 }, () => publishDue()));
    const inHand = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const own = await nats.as('refresh');
    const said = overhear(own);
    const worker = new JetStreamWorker({
      ...{ bus: own, consumer: 'refreshWorker', concurrencyMax: 1, prefetchMax: 5, confirms: false },
      handle: () => {
        inHand.resolve();
        return held.promise;
      },
    });
    await worker.start();
    await inHand.promise;
    await waitFor(async () => (await waiting()) === 5, { describe: 'all to be fetched' });
    const stopping = worker.stop();
    await waitFor(() => said.some((one) => one.startsWith('-NAK')), { describe: 'the rest to be given back' });
    held.resolve();
    await stopping;
    const told = (word: string) => said.filter((one) => one.startsWith(word)).length;
    expect([told('-NAK'), told('+ACK')]).toEqual([4, 1]);
    await own.drain();
    await workUntil(
      ({ length }) => length === 4,
      () => Promise.resolve(),
    );
  });

  test('a stop that comes while it begins to fetch anew ends what it begins', async () => {
    const own = await nats.as('refresh');
    const begun = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    own.onStatus(({ type }) => {
      if (type !== 'renewed') return;
      const { connection } = own;
      const request = connection.request.bind(connection);
      connection.request = async (...question) => {
        begun.resolve();
        await held.promise;
        return request(...question);
      };
    });
    const errors: PosternError[] = [];
    const worker = new JetStreamWorker({
      ...{ bus: own, consumer: 'refreshWorker', concurrencyMax: 1, onError: (error) => errors.push(error) },
      handle: () => Promise.resolve(),
    });
    await worker.start();
    await own.renew();
    await begun.promise;
    const stopped = worker.stop();
    held.resolve();
    await stopped;
    expect(errors).toEqual([]);
    const subject = await publishDue();
    const { seen } = await workUntil(
      ({ length }) => length === 1,
      () => Promise.resolve(),
    );
    expect(seen.map((message) => [message.subject, message.deliveries])).toEqual([[subject, 1]]);
  });

  test('says again what was lost with its connection: the message is done, and is not delivered twice', async () => {
    const proxy = await startTcpProxy({ targetPort: nats.port });
    const connection = due();
    await publishDue(connection);
    const { seen } = await workUntil(
      ({ length }) => length === 1,
      () => Promise.resolve(proxy.cut()),
      {
        on: await nats.as('refresh', `nats://127.0.0.1:${proxy.port}`),
        act: async () => {
          const isFree = () => publishDue(connection).catch(() => undefined);
          await waitFor(() => proxy.connections() === 0, { describe: 'the connection to be cut' });
          proxy.heal();
          await waitFor(isFree, { timeoutMs: 50_000, describe: 'the message to be done' });
        },
      },
    );
    expect(seen.map(({ deliveries }) => deliveries)).toEqual([1]);
    await workUntil(
      ({ length }) => length === 1,
      () => Promise.resolve(),
    );
    await proxy.close();
  });

  test('goes on when the server was killed and came back', async () => {
    const [before, after] = [due(), due()];
    const wanted = new Set([before, after].map((connection) => subjects.refreshDue(connection)));
    const { seen } = await workUntil(
      () => wanted.size === 0,
      ({ subject }) => Promise.resolve(void wanted.delete(subject)),
      {
        act: async () => {
          await publishDue(before);
          await nats.kill();
          await nats.restart();
          await publishDue(after);
        },
      },
    );
    expect(seen.length).toBeGreaterThanOrEqual(2);
  });
});
