import { inboxPrefix, type IdentityName } from '@postern/contracts';

import { connectBus, type Bus } from '../bus.ts';
import type { OperatorBundle } from '../operator.ts';
import { bridgeCreds, identityCreds, platformCreds, systemCreds } from '../user-credentials.ts';

/** A bound on failure: a machine that is busy with everything else takes its time. */
const connectTimeoutMs = 120_000;

type Servers = string | readonly string[];

/** Connects as whoever is asked for, and closes all that it connected. */
export abstract class SpecIdentities {
  readonly bundle: OperatorBundle;
  readonly #buses: Bus[] = [];
  readonly #shared = new Map<IdentityName, Promise<Bus>>();

  protected constructor(bundle: OperatorBundle) {
    this.bundle = bundle;
  }

  protected abstract get servers(): Servers;

  async as(identity: IdentityName, servers: Servers = this.servers): Promise<Bus> {
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
    return await this.#connect(platformId, creds, this.servers);
  }

  async asBridge(bridge: { readonly bridgeId: string; readonly registrationIds: readonly string[] }): Promise<Bus> {
    const { creds } = await bridgeCreds(this.bundle, bridge);
    return await this.#connect(bridge.bridgeId, creds, this.servers);
  }

  async asSystem(): Promise<Bus> {
    return await this.#connect('system', await systemCreds(this.bundle), this.servers);
  }

  protected async closeAll(): Promise<void> {
    await Promise.all(this.#buses.map((bus) => bus.close()));
  }

  async #connect(identity: string, creds: string, servers: Servers): Promise<Bus> {
    const name = `spec-${inboxPrefix(identity)}`;
    const bus = await connectBus({ servers, creds, identity, name, connectTimeoutMs });
    this.#buses.push(bus);
    return bus;
  }
}
