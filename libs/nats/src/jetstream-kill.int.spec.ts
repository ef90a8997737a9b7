import { setTimeout as delay } from 'node:timers/promises';

import { limits, newId, subjects } from '@postern/contracts';
import { AppendLoad, type AppendRequest } from '@postern/event-log';

import { JetStreamEventLog } from './jetstream-event-log.ts';
import { patientLog } from './spec-support/patient-log.ts';
import { PosternBus } from './spec-support/postern-bus.ts';
import { race } from './spec-support/race.ts';
import { identityCreds } from './user-credentials.ts';

/** Resends soon: what is tested is what becomes of appends that meet a dead server, not how long they wait for it. */
const policy = { attemptsMax: 30, retryDelayMsMin: 5, retryDelayMsMax: 100 };

let nats: PosternBus;
const logOf = async () =>
  new JetStreamEventLog({ bus: await nats.as('revocation'), stream: 'connections', ackTimeoutMs: 500, policy });

/** As many first messages as may be appended together. */
const together = () =>
  Array.from({ length: limits.togetherMax }, (_, index): AppendRequest => {
    const subject = subjects.connection({ tenantId: newId('tenant'), connectionId: newId('connection') });
    return {
      subject,
      expectedPosition: 0,
      payload: Buffer.from(`${index}`),
      headers: {},
      messageId: newId('commit'),
    };
  });

beforeAll(async () => {
  nats = await PosternBus.start();
});
afterAll(async () => {
  await nats.stop();
});

test('of racers in four processes one wins each of 200 rounds', async () => {
  const creds = await identityCreds(nats.bundle, 'revocation');
  const servers = [`nats://127.0.0.1:${nats.port}`];
  const { subject, winners, refusals } = await race({
    servers,
    creds,
    identity: 'revocation',
    processes: 4,
    rounds: 200,
  });
  expect(winners.map((each) => each.length)).toEqual(Array.from({ length: 200 }, () => 1));
  expect(refusals).toEqual({ 'log.conflict': 600 });
  const stored: string[] = [];
  const log = await logOf();
  for await (const { payload } of log.read({ filter: subject })) stored.push(Buffer.from(payload).toString());
  expect(stored).toEqual(winners.map(([winner]) => winner?.messageId));
});

test('a server killed twenty times under load loses nothing that it acknowledged', async () => {
  const load = new AppendLoad({ logs: [await logOf(), await logOf()], writers: 8 }).start();
  for (let kill = 0; kill < 20; kill += 1) {
    await load.progress(25);
    await nats.kill();
    await nats.restart();
  }
  await load.progress(25);
  await load.stop();
  const { commits } = await load.verify(await logOf());
  expect(commits).toBeGreaterThanOrEqual(load.acknowledged);
  expect(load.acknowledged).toBeGreaterThanOrEqual(21 * 25);
}, 180_000);

test.each([
  ['all', {}],
  ['the last of each subject', { lastPerSubject: true }],
])(
  'a reading of %s goes on behind what it has where the server is killed in the middle',
  async (_what, request) => {
    const log = await logOf();
    // More than a reading asks for at a time.
    while ((await log.head()) < 3_000) await log.appendTogether(together());
    const positions = async (atMiddle: () => Promise<void>) => {
      const found: number[] = [];
      for await (const { position } of log.read({ filter: subjects.allConnections, ...request })) {
        if (found.push(position) === 100) await atMiddle();
      }
      return found;
    };
    const undisturbed = await positions(() => Promise.resolve());
    const disturbed = await positions(async () => {
      await nats.kill();
      await nats.restart();
    });
    expect(disturbed).toEqual(undisturbed);
  },
  180_000,
);

test('of what is appended together all stands or nothing, whenever the server is killed', async () => {
  const log = await logOf();
  const countOf = async (requests: readonly AppendRequest[]) => {
    const reading = patientLog(log);
    const found = await Promise.all(requests.map(({ subject }) => reading.last(subject, { fromLeader: true })));
    return found.filter((message) => message !== undefined).length;
  };
  const once = new JetStreamEventLog({
    bus: await nats.as('revocation'),
    stream: 'connections',
    ackTimeoutMs: 500,
    policy: { ...policy, attemptsMax: 1 },
  });
  const began = performance.now();
  await once.appendTogether(together());
  const usualMs = performance.now() - began;
  const counts: number[] = [];
  const killed = 20;
  for (let kill = 0; kill < killed; kill += 1) {
    const requests = together();
    const appending = once.appendTogether(requests).then(
      () => 'stored',
      () => 'unknown',
    );
    await delay((usualMs * 1.2 * kill) / killed);
    await nats.kill();
    await nats.restart();
    const outcome = await appending;
    const count = await countOf(requests);
    expect([0, limits.togetherMax]).toContain(count);
    if (outcome === 'stored') expect(count).toBe(limits.togetherMax);
    counts.push(count);
    // Whoever insists has it in the end, once.
    if (kill % 5 === 0) {
      await log.appendTogether(requests);
      expect(await countOf(requests)).toBe(limits.togetherMax);
    }
  }
  expect(counts.filter((count) => count === 0).length).toBeGreaterThan(0);
}, 180_000);
