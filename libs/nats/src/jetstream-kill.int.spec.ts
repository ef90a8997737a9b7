import { AppendLoad } from '@postern/event-log';

import { JetStreamEventLog } from './jetstream-event-log.ts';
import { PosternBus } from './spec-support/postern-bus.ts';
import { race } from './spec-support/race.ts';
import { identityCreds } from './user-credentials.ts';

/** Resends soon: what is tested is what becomes of appends that meet a dead server, not how long they wait for it. */
const policy = { attemptsMax: 30, retryDelayMsMin: 5, retryDelayMsMax: 100 };

let nats: PosternBus;
const logOf = async () =>
  new JetStreamEventLog({ bus: await nats.as('revocation'), stream: 'connections', ackTimeoutMs: 500, policy });

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
