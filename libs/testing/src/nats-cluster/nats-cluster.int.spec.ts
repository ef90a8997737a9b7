import { rmSync } from 'node:fs';
import { connect } from 'node:net';

import { describeWithServer, temporaryDataDir } from '@postern/servers';

import { waitFor } from '../wait-for.ts';
import { groupView } from './cluster-monitor.ts';
import type { NatsNode } from './nats-node.ts';
import { startNatsCluster } from './start-nats-cluster.ts';
import type { NatsCluster } from './start-nats-cluster.ts';

await describeWithServer('nats-server', 'a cluster of three', () => {
  let folder: string;
  let cluster: NatsCluster;
  const others = (node: NatsNode) => cluster.nodes.filter((other) => other !== node);

  beforeAll(async () => {
    folder = temporaryDataDir();
    cluster = await startNatsCluster({ dataDir: folder });
    await waitFor(() => madeStream(cluster.nodes[0]), { describe: 'every node to be heard of', timeoutMs: 60_000 });
  });
  afterAll(async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('holds a stream on every node, and its leader is found', async () => {
    const leader = await cluster.streamLeader('S');
    await cluster.inStep('S');
    const names = (await groupView(leader, 'S'))?.replicas?.map(({ name }) => name).toSorted();
    expect(names).toEqual(others(leader).map(({ name }) => name));
  });

  test('whose leader is killed gets another; restarted, it catches up', async () => {
    const first = await cluster.streamLeader('S');
    await first.kill();
    expect(first.isReachable).toBe(false);
    const second = await cluster.streamLeader('S');
    expect(second).not.toBe(first);
    await request(second, 's', { stored: 'while one was dead' });
    await first.restart();
    await cluster.inStep('S');
  });

  test('a node cut off is alone, however much the others tell of it, until it rejoins', async () => {
    const leader = await cluster.streamLeader('S');
    leader.cutOff();
    await waitFor(async () => (await routesOf(leader)).length === 0, { describe: 'the node to be alone' });
    const next = await cluster.streamLeader('S');
    expect(next).not.toBe(leader);
    // A restarted node is told of by everyone who hears of it: that must not open a way past the cut.
    const [third] = others(leader).filter((node) => node !== next);
    await third?.kill();
    await third?.restart();
    await cluster.metaLeader();
    expect(await routesOf(leader)).toEqual([]);
    leader.rejoin();
    await cluster.inStep('S');
    expect(new Set(await routesOf(leader))).toEqual(new Set(others(leader).map(({ name }) => name)));
  });
});

/** On a busy machine a node may be late to tell that it lives, and counts as gone until it does. */
async function madeStream(node: NatsNode | undefined): Promise<boolean> {
  try {
    await request(node, '$JS.API.STREAM.CREATE.S', { name: 'S', subjects: ['s'], num_replicas: 3 });
    return true;
  } catch (error) {
    if (String(error).includes('no suitable peers')) return false;
    throw error;
  }
}

async function routesOf(node: NatsNode): Promise<string[]> {
  const answer = await fetch(`${node.monitorUrl}/routez`);
  const { routes } = (await answer.json()) as { routes: readonly { readonly remote_name: string }[] };
  return routes.map(({ remote_name: name }) => name);
}

/** One request, by the client protocol itself: this library has no NATS client. */
async function request(node: NatsNode | undefined, subject: string, body: object): Promise<void> {
  const socket = connect(node?.port ?? 0, '127.0.0.1').setEncoding('utf8');
  const json = JSON.stringify(body);
  socket.write(`CONNECT {"verbose":false}\r\nSUB r 1\r\nPUB ${subject} r ${json.length}\r\n${json}\r\n`);
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    if (/MSG r 1 \d+\r\n.*\r\n/.test(text)) break;
  }
  if (text.includes('"error"')) throw new Error(text);
}
