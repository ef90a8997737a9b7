import { inboxPrefix } from '@postern/contracts';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';

import { busError } from './bus-errors.ts';

export interface BusOptions {
  readonly servers: string | readonly string[];
  /**
   * The text of a `.creds` file, or a function that gives the newest: it is asked again at every reconnect, so that a
   * short-lived user can be renewed.
   */
  readonly creds?: string | (() => string) | undefined;
  /** Whose inbox this is: an app, another identity of CORE, or a platform id. */
  readonly identity: string;
  /** Shown by the server's monitoring; the instance. */
  readonly name: string;
  /** How long the first connection may take; later it reconnects for ever. */
  readonly connectTimeoutMs?: number | undefined;
}

/** What happens to the connection. */
export type BusStatus =
  | { readonly type: 'disconnected' }
  | { readonly type: 'reconnected' }
  | { readonly type: 'error'; readonly error: Error };

/** A connection to NATS as one identity. */
export class Bus {
  /** For this library only: whoever needs something of NATS gets it from here as a function of ours. */
  readonly connection: NatsConnection;
  readonly identity: string;
  readonly #listeners = new Set<(status: BusStatus) => void>();
  #connected = true;

  constructor(connection: NatsConnection, identity: string) {
    this.connection = connection;
    this.identity = identity;
    void this.#watch();
  }

  /** Resolves when the connection is closed for good, with the error that closed it. */
  get closed(): Promise<Error | undefined> {
    return this.connection.closed().then((error) => error ?? undefined);
  }

  get isConnected(): boolean {
    return this.#connected && !this.connection.isClosed();
  }

  /** @returns the way to stop listening. */
  onStatus(listener: (status: BusStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Sends what is under way, then closes. */
  async drain(): Promise<void> {
    if (!this.connection.isClosed()) await this.connection.drain();
  }

  async close(): Promise<void> {
    await this.connection.close();
  }

  async #watch(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === 'disconnect') this.#tell({ type: 'disconnected' });
      else if (status.type === 'reconnect') this.#tell({ type: 'reconnected' });
      else if (status.type === 'error') this.#tell({ type: 'error', error: status.error });
    }
  }

  #tell(status: BusStatus): void {
    if (status.type !== 'error') this.#connected = status.type === 'reconnected';
    for (const listener of this.#listeners) listener(status);
  }
}

/**
 * Connects as one identity, with an inbox prefix of its own: nobody else can read its answers.
 *
 * @throws {PosternError} `bus.unavailable`, `auth.forbidden`
 */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const { servers, creds, identity, name, connectTimeoutMs = 5_000 } = options;
  // Its parser wants the line feed at the end that a file has and a trimmed secret has not.
  const bytes = () => new TextEncoder().encode(`${typeof creds === 'function' ? creds() : (creds ?? '')}\n`);
  try {
    const connection = await connect({
      servers: typeof servers === 'string' ? servers : [...servers],
      name,
      inboxPrefix: inboxPrefix(identity),
      timeout: connectTimeoutMs,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
      reconnectJitter: 100,
      pingInterval: 10_000,
      maxPingOut: 2,
      ...(creds === undefined ? {} : { authenticator: credsAuthenticator(bytes) }),
    });
    return new Bus(connection, identity);
  } catch (error) {
    throw busError(error);
  }
}
