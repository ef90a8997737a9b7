import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { startNatsServer, temporaryDataDir, type NatsServer } from '@postern/servers';

import { createOperator, serverOperatorConfig, type OperatorBundle } from '../operator.ts';
import { provision } from '../provision.ts';
import { SpecIdentities } from './spec-identities.ts';

export interface PosternBusOptions {
  /** 1 TiB when absent. */
  readonly fileStoreBytesMax?: number;
  /** True when absent. */
  readonly provisioned?: boolean;
}

/** A nats-server in operator mode, provisioned, with a connection for whoever is asked for. */
export class PosternBus extends SpecIdentities {
  readonly #folder: string;
  readonly #config: ReturnType<typeof configOf>;
  #server: NatsServer;

  private constructor(
    bundle: OperatorBundle,
    started: { folder: string; config: ReturnType<typeof configOf> },
    server: NatsServer,
  ) {
    super(bundle);
    this.#folder = started.folder;
    this.#config = started.config;
    this.#server = server;
  }

  static async start({ provisioned = true, ...more }: PosternBusOptions = {}): Promise<PosternBus> {
    const bundle = await createOperator();
    const folder = temporaryDataDir();
    const config = configOf(bundle, more.fileStoreBytesMax);
    const server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    const made = new PosternBus(bundle, { folder, config }, server);
    if (provisioned) await provision(await made.as('provisioner'));
    return made;
  }

  get port(): number {
    return this.#server.port;
  }

  /** Kills the server, as a crash would. */
  async kill(): Promise<void> {
    await this.#server.kill();
  }

  /** Starts it again on the same data and ports. */
  async restart(): Promise<void> {
    const { port, monitorPort, dataDir } = this.#server;
    this.#server = await startNatsServer({ dataDir, port, monitorPort, config: this.#config });
  }

  async stop(): Promise<void> {
    await this.closeAll();
    await this.#server.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  protected override get servers(): string {
    return this.#server.url;
  }
}

function configOf(bundle: OperatorBundle, fileStoreBytesMax = 1024 ** 4) {
  return { operatorMode: serverOperatorConfig(bundle), fileStoreBytesMax };
}
