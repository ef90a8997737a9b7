import { rmSync } from 'node:fs';

import { streams } from '@postern/contracts';
import { temporaryDataDir } from '@postern/servers';
import { startNatsCluster, waitFor, type NatsCluster, type NatsNode } from '@postern/testing';

import { createOperator, serverOperatorConfig, type OperatorBundle } from '../operator.ts';
import { provision } from '../provision.ts';
import { SpecIdentities } from './spec-identities.ts';

/** Three nats-servers in operator mode, provisioned with three replicas. */
export class PosternCluster extends SpecIdentities {
  readonly cluster: NatsCluster;
  readonly #folder: string;

  private constructor(bundle: OperatorBundle, folder: string, cluster: NatsCluster) {
    super(bundle);
    this.#folder = folder;
    this.cluster = cluster;
  }

  static async start(): Promise<PosternCluster> {
    const bundle = await createOperator();
    const folder = temporaryDataDir();
    const operatorMode = serverOperatorConfig(bundle);
    const cluster = await startNatsCluster({ dataDir: folder, operatorMode, fileStoreBytesMax: 1024 ** 4 });
    const made = new PosternCluster(bundle, folder, cluster);
    try {
      await made.#provision();
      await made.whole();
      return made;
    } catch (error) {
      await made.stop();
      throw error;
    }
  }

  /** A node that just started knows its accounts a moment after it answers. */
  async #provision(): Promise<void> {
    const bus = await this.as('provisioner');
    let last: unknown;
    const isDone = async () => {
      try {
        return await provision(bus, { replicas: 3 });
      } catch (error) {
        last = error;
        return undefined;
      }
    };
    await waitFor(isDone, { timeoutMs: 120_000, describe: () => `the streams to be made: ${String(last)}` });
  }

  /** Who leads CONNECTIONS, and who follows. */
  async roles(): Promise<{ readonly leader: NatsNode; readonly followers: readonly [NatsNode, NatsNode] }> {
    const leader = await this.cluster.streamLeader(streams.connections.name);
    const [first, second] = this.cluster.nodes.filter((node) => node !== leader);
    if (first === undefined || second === undefined) throw new Error('the cluster has not three nodes');
    return { leader, followers: [first, second] };
  }

  /** Waits until consumers can be made, CONNECTIONS is led, and every replica has what its leader has. */
  async whole(): Promise<void> {
    await this.cluster.inStep();
    await this.cluster.inStep(streams.connections.name);
  }

  async stop(): Promise<void> {
    await this.closeAll();
    await this.cluster.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  protected override get servers(): readonly string[] {
    return this.cluster.urls;
  }
}
