import { join } from 'node:path';

import { freePort, startNatsServer } from '@postern/servers';
import type { NatsServer, NatsServerOptions } from '@postern/servers';

import type { TcpProxy } from '../tcp-proxy.ts';

export interface NatsNodeOptions {
  readonly name: string;
  readonly dataDir: string;
  readonly config: Exclude<NatsServerOptions['config'], undefined>;
  readonly links: readonly TcpProxy[];
}

/** One node of a cluster under test, always on the same ports and data. */
export class NatsNode {
  readonly name: string;
  readonly #options: NatsNodeOptions;
  readonly #links: readonly TcpProxy[];
  #ports: { readonly port: number; readonly monitorPort: number };
  #server: NatsServer | undefined;
  #isCutOff = false;

  private constructor(options: NatsNodeOptions, ports: { readonly port: number; readonly monitorPort: number }) {
    this.name = options.name;
    this.#options = options;
    this.#links = options.links;
    this.#ports = ports;
  }

  static async start(options: NatsNodeOptions): Promise<NatsNode> {
    const node = new NatsNode(options, { port: await freePort(), monitorPort: await freePort() });
    await node.restart();
    return node;
  }

  get port(): number {
    return this.#ports.port;
  }

  /** For clients. */
  get url(): string {
    return `nats://127.0.0.1:${this.#ports.port}`;
  }

  get monitorUrl(): string {
    return `http://127.0.0.1:${this.#ports.monitorPort}`;
  }

  /** Does it run, and do the others reach it? */
  get isReachable(): boolean {
    return this.#server !== undefined && !this.#isCutOff;
  }

  /** Kills it with SIGKILL. May be repeated. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.kill();
  }

  /** Asks it to end. May be repeated. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.stop();
  }

  /** Starts it again; it has then yet to catch up with the others. */
  async restart(): Promise<void> {
    const { dataDir, config, name } = this.#options;
    this.#server ??= await startNatsServer({ dataDir: join(dataDir, name), config, ...this.#ports });
  }

  /** @effect parts it from the other nodes; clients still reach it. */
  cutOff(): void {
    this.#isCutOff = true;
    for (const link of this.#links) link.cut();
  }

  /** @effect lets it reach the others again; both sides try once a second. */
  rejoin(): void {
    this.#isCutOff = false;
    for (const link of this.#links) link.heal();
  }

  /** @effect what it says to other nodes, and they to it, takes that much longer. */
  slowDown(delayMs: number): void {
    for (const link of this.#links) link.delayMs = delayMs;
  }
}
