import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { inboxPrefix, type IdentityName } from '@postern/contracts';
import { startNatsServer, temporaryDataDir, type NatsServer } from '@postern/servers';

import { connectBus, type Bus } from '../bus.ts';
import { createOperator, serverOperatorConfig, type OperatorBundle } from '../operator.ts';
import { provision } from '../provision.ts';
import { identityCreds, platformCreds, systemCreds } from '../user-credentials.ts';

/** A nats-server in operator mode, provisioned, with a connection for whoever is asked for. */
export class PosternBus {
  readonly bundle: OperatorBundle;
  readonly #folder: string;
  readonly #buses: Bus[] = [];
  readonly #shared = new Map<IdentityName, Promise<Bus>>();
  #server: NatsServer;

  private constructor(bundle: OperatorBundle, folder: string, server: NatsServer) {
    this.bundle = bundle;
    this.#folder = folder;
    this.#server = server;
  }

  static async start(): Promise<PosternBus> {
    const bundle = await createOperator();
    const folder = temporaryDataDir();
    const server = await startNatsServer({ dataDir: join(folder, 'nats'), config: configOf(bundle) });
    const made = new PosternBus(bundle, folder, server);
    await provision(await made.as('provisioner'));
    return made;
  }

  get port(): number {
    return this.#server.port;
  }

  async as(identity: IdentityName, servers = this.#server.url): Promise<Bus> {
    return await this.#connect(identity, await identityCreds(this.bundle, identity), servers);
  }

  /** The same connection for everybody who asks: connecting costs more than most tests. */
  async shared(identity: IdentityName): Promise<Bus> {
    const bus = this.#shared.get(identity) ?? this.as(identity);
    this.#shared.set(identity, bus);
    return await bus;
  }

  async asPlatform(tenantId: string, platformId: string): Promise<Bus> {
    const { creds } = await platformCreds(this.bundle, { tenantId, platformId });
    return await this.#connect(platformId, creds, this.#server.url);
  }

  async asSystem(): Promise<Bus> {
    return await this.#connect('system', await systemCreds(this.bundle), this.#server.url);
  }

  /** Kills the server, as a crash would. */
  async kill(): Promise<void> {
    await this.#server.kill();
  }

  /** Starts it again on the same data and ports. */
  async restart(): Promise<void> {
    const { port, monitorPort, dataDir } = this.#server;
    this.#server = await startNatsServer({ dataDir, port, monitorPort, config: configOf(this.bundle) });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#buses.map((bus) => bus.close()));
    await this.#server.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #connect(identity: string, creds: string, servers: string): Promise<Bus> {
    const bus = await connectBus({ servers, creds, identity, name: `spec-${inboxPrefix(identity)}` });
    this.#buses.push(bus);
    return bus;
  }
}

function configOf(bundle: OperatorBundle) {
  return { operatorMode: serverOperatorConfig(bundle), fileStoreBytesMax: 1024 ** 4 };
}
