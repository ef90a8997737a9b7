import { limits, newId, PosternError, subjects } from '@postern/contracts';
import { AppendLoad, eventLogContract, Follower, type AppendRequest, type LogEntry } from '@postern/event-log';
import { startTcpProxy, waitFor, type NatsNode } from '@postern/testing';

import type { Bus } from './bus.ts';
import { checkDurability } from './check-server.ts';
import { JetStreamEventLog } from './jetstream-event-log.ts';
import { patiently, patientLog } from './spec-support/patient-log.ts';
import { PosternCluster } from './spec-support/postern-cluster.ts';
import { race } from './spec-support/race.ts';
import { recordingBus, type Heard } from './spec-support/recording-bus.ts';
import { natsHeaders } from './stored-message.ts';
import { identityCreds } from './user-credentials.ts';

/** Resends soon and for long: an election takes some seconds, on a busy machine many, and may come at any moment. */
const policy = { attemptsMax: 600, retryDelayMsMin: 5, retryDelayMsMax: 100 };
const linkDelayMs = 60;

let nats: PosternCluster;
beforeAll(async () => {
  nats = await PosternCluster.start();
});
beforeEach(async () => {
  await nats.whole();
});
afterAll(async () => {
  await nats.stop();
});

const logOn = (bus: Bus) => new JetStreamEventLog({ bus, stream: 'connections', ackTimeoutMs: 1_000, policy });
const logAt = async (node: NatsNode) => logOn(await nats.as('revocation', node.url));
const newSubject = () => subjects.connection({ tenantId: newId('tenant'), connectionId: newId('connection') });

function request(subject: string, expectedPosition: number): AppendRequest {
  const messageId = newId('commit');
  return { subject, expectedPosition, messageId, payload: Buffer.from(messageId), headers: {} };
}

async function storedOn(log: JetStreamEventLog, subject: string): Promise<string[]> {
  const stored: string[] = [];
  for await (const { headers } of patientLog(log).read({ filter: subject })) stored.push(headers['Nats-Msg-Id'] ?? '');
  return stored;
}

const codeOf = (result: PromiseSettledResult<unknown>) =>
  result.status === 'rejected' && result.reason instanceof PosternError ? result.reason.code : 'stored';

eventLogContract('the log on a cluster of three', async () => {
  const [first, second] = nats.cluster.nodes as [NatsNode, NatsNode];
  const proxy = await startTcpProxy({ targetPort: first.port });
  const direct = await nats.as('revocation', second.url);
  return {
    log: patientLog(logOn(await nats.as('revocation', `nats://127.0.0.1:${proxy.port}`))),
    otherLog: patientLog(logOn(direct)),
    put: async ({ subject, payload, headers }) => {
      const answer = await direct.connection.request(subject, payload, {
        headers: natsHeaders(headers),
        timeout: 5_000,
      });
      return answer.json<{ seq: number }>().seq;
    },
    loseNextAcknowledgement: () => {
      proxy.dropServerToClient((chunk) => /"stream":"CONNECTIONS", ?"seq"/.test(chunk.toString()));
    },
    stopServing: async () => void (await Promise.all(nats.cluster.nodes.map((node) => node.kill()))),
    resumeServing: async () => {
      await Promise.all(nats.cluster.nodes.map((node) => node.restart()));
      await nats.whole();
    },
    close: () => proxy.close(),
  };
});

describe('on a cluster of three', () => {
  test('every node syncs before it acknowledges', async () => {
    expect((await checkDurability(await nats.asSystem())).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'n1',
      'n2',
      'n3',
    ]);
  });

  test('no node takes itself for the only one', async () => {
    const buses = await Promise.all(nats.cluster.nodes.map(({ url }) => nats.as('revocation', url)));
    expect(buses.map(({ isAlone }) => isAlone)).toEqual([false, false, false]);
  });

  test('of racers in four processes one wins each of 50 rounds', async () => {
    const creds = await identityCreds(nats.bundle, 'revocation');
    const servers = nats.cluster.urls;
    const { subject, winners } = await race({ servers, creds, identity: 'revocation', processes: 4, rounds: 50 });
    expect(winners.map((each) => each.length)).toEqual(Array.from({ length: 50 }, () => 1));
    const [node] = nats.cluster.nodes as [NatsNode];
    expect(await storedOn(await logAt(node), subject)).toEqual(winners.map(([winner]) => winner?.messageId));
  });

  describe('whose nodes are slow to reach each other', () => {
    let leader: NatsNode;
    beforeEach(async () => {
      ({ leader } = await nats.roles());
      for (const node of nats.cluster.nodes) node.slowDown(linkDelayMs);
    });
    afterEach(() => {
      for (const node of nats.cluster.nodes) node.slowDown(0);
    });

    const recording = async () => {
      const { bus, heard } = recordingBus(await nats.as('revocation', leader.url));
      return { log: logOn(bus), heard };
    };

    // Whether the loser looks before the winner stands is a race of its own, so it may take several.
    test('an append that meets another one under way (10164) waits until it sees which stands', async () => {
      const [one, other] = [await recording(), await recording()];
      const meeting = async () => {
        for (const { heard } of [one, other]) heard.length = 0;
        const subject = newSubject();
        const sent = [one, other].map(({ log }) => log.append(request(subject, 0)));
        const results = await Promise.allSettled(sent);
        expect(results.map(codeOf).toSorted()).toEqual(['log.conflict', 'stored']);
        const heard = [...(results[0]?.status === 'rejected' ? one : other).heard];
        expect(heard.at(-1)).toBe('found');
        expect(await storedOn(one.log, subject)).toHaveLength(1);
        return sawNothingYet(heard, 10164);
      };
      // The leader still shows the old head: what is under way is not there yet, and may never be.
      await waitFor(meeting, { timeoutMs: 120_000, describe: 'a loser that looks while the winner is under way' });
    });

    test('the same commit sent twice at once (10158) is stored once, and both hear of it', async () => {
      const [one, other] = [await recording(), await recording()];
      const meeting = async () => {
        for (const { heard } of [one, other]) heard.length = 0;
        const commit = request(newSubject(), 0);
        const [first, second] = await Promise.all([one.log.append(commit), other.log.append(commit)]);
        expect(first.position).toBe(second.position);
        expect(await storedOn(one.log, commit.subject)).toEqual([commit.messageId]);
        if (first.duplicate === second.duplicate) return false;
        return sawNothingYet((first.duplicate ? one : other).heard, 10158);
      };
      await waitFor(meeting, { timeoutMs: 120_000, describe: 'a second sending while the first is under way' });
    });

    test('an append behind what stands (10071) is a conflict, unless it is what stands', async () => {
      const { log, heard } = await recording();
      const commit = request(newSubject(), 0);
      const { position } = await log.append(commit);
      heard.length = 0;
      await expect(log.append(request(commit.subject, 0))).rejects.toMatchObject({ code: 'log.conflict' });
      expect(heard).toEqual([10071, 'found']);
      heard.length = 0;
      expect(await log.append(commit)).toEqual({ position, duplicate: true });
      expect(heard).toEqual(['duplicate', 'found']);
    });
  });

  test('a replica may give an old state; the leader does not, and the conflict check catches who decided on it', async () => {
    const { leader, followers } = await nats.roles();
    const [behind] = followers;
    const [atLeader, atReplica] = [await logAt(leader), await logAt(behind)];
    // Which replica answers a direct get is the server's choice, so it may take several.
    const found = await waitFor(() => oldState(atLeader, atReplica, behind), {
      timeoutMs: 120_000,
      describe: 'a replica that is behind',
    });
    const { first, position, second, stands } = found;
    expect((await patientLog(atReplica).last(first.subject, { fromLeader: true }))?.position).toBe(stands.position);
    await expect(atReplica.append(request(first.subject, position))).rejects.toMatchObject({ code: 'log.conflict' });
    expect(await storedOn(atLeader, first.subject)).toEqual([first.messageId, second.messageId]);
  });

  describe('under load', () => {
    let logs: JetStreamEventLog[];
    let load: AppendLoad;
    let followed: Followed[] = [];
    beforeAll(async () => {
      await nats.whole();
      logs = await Promise.all(nats.cluster.nodes.map(logAt));
      load = new AppendLoad({ logs, writers: 6 }).start();
      followed = await Promise.all(logs.map((log) => follow(log, load)));
      await load.progress(60);
    });
    afterAll(async () => {
      await load.stop();
      await Promise.all(followed.map(({ follower }) => follower.stop()));
    });

    test('a killed leader is followed by another, and appends go on', async () => {
      const { leader } = await nats.roles();
      await leader.kill();
      expect((await nats.roles()).leader).not.toBe(leader);
      await load.progress(60);
      await leader.restart();
      await nats.whole();
      await load.progress(60);
    });

    test('a leader cut off is followed by another, and who hears only the old one knows that in time', async () => {
      const { leader } = await nats.roles();
      leader.cutOff();
      expect((await nats.roles()).leader).not.toBe(leader);
      await load.progress(20);
      const lonely = followed[nats.cluster.nodes.indexOf(leader)];
      if (lonely !== undefined) await staleInTime(lonely.follower);
      await load.progress(60);
      leader.rejoin();
      await nats.whole();
      await load.progress(60);
    });

    test('nothing acknowledged was lost, every chain is whole, and no follower missed or repeated a commit', async () => {
      await load.stop();
      const log = patientLog(logs[0] as JetStreamEventLog);
      const { commits, lastPosition } = await load.verify(log);
      expect(commits).toBeGreaterThanOrEqual(load.acknowledged);
      const stands: number[] = [];
      for await (const { position } of log.read({ filter: load.filter })) stands.push(position);
      for (const { follower, seen } of followed) {
        await follower.waitForPosition(lastPosition, { timeoutMs: 120_000 });
        expect(seen.map(({ position }) => position)).toEqual(stands);
      }
    });
  });
});

const sawNothingYet = ([code, looked]: readonly Heard[], wanted: number) => code === wanted && looked === 'nothing';

/** Appends twice, and reads at a replica that hears of the second append late: what stood there, if it gave the first. */
async function oldState(atLeader: JetStreamEventLog, atReplica: JetStreamEventLog, replica: NatsNode) {
  const first = request(newSubject(), 0);
  const { position } = await atLeader.append(first);
  await nats.whole();
  replica.slowDown(500);
  const second = request(first.subject, position);
  const stands = await atLeader.append(second);
  const seen = await patientLog(atReplica).last(first.subject);
  replica.slowDown(0);
  return seen?.position === position ? { first, position, second, stands } : undefined;
}

interface Followed {
  readonly follower: Follower;
  readonly seen: readonly LogEntry[];
}

/** Follows the whole log: of all commits it counts only what the load's writers signed. */
async function follow(log: JetStreamEventLog, { reader }: AppendLoad): Promise<Followed> {
  return await patiently(async () => {
    const seen: LogEntry[] = [];
    const follower = new Follower({
      log,
      reader,
      filter: subjects.allConnections,
      from: 'start',
      onEntry: (entry) => seen.push(entry),
    });
    await follower.start();
    return { follower, seen };
  });
}

/** The others have stored what it cannot see: it must know that before this is older than its limit. */
async function staleInTime(follower: Follower): Promise<void> {
  const sinceMs = performance.now();
  while (follower.isFresh()) {
    expect(performance.now() - sinceMs).toBeLessThan(limits.feedStaleMsMax);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
