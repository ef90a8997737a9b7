import { freePort } from '@postern/servers';
import type { OperatorMode } from '@postern/servers';

import { waitFor } from '../wait-for.ts';
import { ClusterLinks } from './cluster-links.ts';
import { agreedLeader, isInStep } from './cluster-monitor.ts';
import { NatsNode } from './nats-node.ts';

/** Elections take up to nine seconds, and a leader that lost its followers steps down after up to twenty. */
/** A bound on failure: on a busy machine an election may have to be held several times. */
const electionTimeoutMs = 120_000;

export interface NatsClusterOptions {
  /** The nodes' folders are made in here. */
  readonly dataDir: string;
  /** 3 when absent. */
  readonly nodes?: number;
  readonly operatorMode?: OperatorMode;
  readonly fileStoreBytesMax?: number;
}

/** A cluster of nats-servers on the loopback whose nodes can be killed, parted from one another and slowed down. */
export interface NatsCluster {
  readonly nodes: readonly NatsNode[];
  /** All nodes' addresses, for clients. */
  readonly urls: readonly string[];
  /** Waits until most nodes agree who coordinates the streams. */
  metaLeader(): Promise<NatsNode>;
  /** Waits until most nodes agree who leads a stream. */
  streamLeader(stream: string): Promise<NatsNode>;
  /** Waits until all nodes are heard of and hold what the leader of a stream, or of the cluster, holds. */
  inStep(stream?: string): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a cluster and waits until it can make streams.
 *
 * Clients are not told of other nodes than they were given, so that a test decides who talks to whom.
 *
 * @throws {PosternError} `servers.not_found`, `servers.too_old`, `servers.start_failed`.
 */
export async function startNatsCluster(options: NatsClusterOptions): Promise<NatsCluster> {
  const { nodes: size = 3 } = options;
  const ports = await Promise.all(Array.from({ length: size }, () => freePort()));
  const links = await ClusterLinks.start(ports);
  const started = await Promise.allSettled(ports.map((port, index) => startNode(options, links, { port, index })));
  const nodes = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
    await links.close();
  };
  const failed = started.find((result) => result.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  const cluster: NatsCluster = {
    nodes,
    urls: nodes.map(({ url }) => url),
    metaLeader: () => leaderOf(nodes),
    streamLeader: (stream) => leaderOf(nodes, stream),
    inStep: (stream) => inStep(nodes, stream),
    stop,
  };
  await cluster.inStep();
  return cluster;
}

async function inStep(nodes: readonly NatsNode[], stream?: string): Promise<void> {
  await waitFor(() => isInStep(nodes, stream), {
    timeoutMs: electionTimeoutMs,
    describe: `the nodes to hold what the leader of ${stream ?? 'the cluster'} holds`,
  });
}

async function startNode(
  { dataDir, operatorMode, fileStoreBytesMax }: NatsClusterOptions,
  links: ClusterLinks,
  { port, index }: { readonly port: number; readonly index: number },
): Promise<NatsNode> {
  const name = `n${index + 1}`;
  const routes = { routePorts: links.routePorts(index), advertise: links.advertise, noAdvertise: true };
  const config = {
    serverName: name,
    cluster: { name: 'postern', port, ...routes },
    ...(operatorMode && { operatorMode }),
    ...(fileStoreBytesMax !== undefined && { fileStoreBytesMax }),
  };
  return await NatsNode.start({ name, dataDir, config, links: links.of(index) });
}

async function leaderOf(nodes: readonly NatsNode[], stream?: string): Promise<NatsNode> {
  return await waitFor(() => agreedLeader(nodes, stream), {
    timeoutMs: electionTimeoutMs,
    describe: `a leader ${stream === undefined ? 'of the cluster' : `of ${stream}`}`,
  });
}
