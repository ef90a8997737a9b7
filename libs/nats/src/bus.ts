import { inboxPrefix, limits, PosternError } from '@postern/contracts';
import { errors, type Msg } from '@nats-io/nats-core';
import { connect, type NatsConnection } from '@nats-io/transport-node';

import { askOnce, type Question } from './ask-once.ts';
import { busError } from './bus-errors.ts';
import { useBuffersInClient } from './client-encoder.ts';
import { userIn } from './nkey.ts';

export interface BusOptions {
  readonly servers: string | readonly string[];
  /**
   * The text of a `.creds` file, or a function that gives the newest: it is asked again at every reconnect and at
   * {@link Bus.renew}, so that a short-lived user can be renewed.
   */
  readonly creds?: string | (() => string) | undefined;
  /** Whose inbox this is: an app, another identity of CORE, or a platform id. */
  readonly identity: string;
  /** Shown by the server's monitoring; the instance. */
  readonly name: string;
  /** How long the first connection may take; later it reconnects for ever. */
  readonly connectTimeoutMs?: number | undefined;
}

/** What happens to the connection; `renewed`: it is another one now, and the one before it lives on for a while. */
export type BusStatus =
  | { readonly type: 'disconnected' }
  | { readonly type: 'reconnected' }
  | { readonly type: 'renewed' }
  | { readonly type: 'error'; readonly error: Error };

/** How long a connection that was renewed stays for what is in hand: the longest that any call waits. */
const retireMs = limits.claimTimeoutMs + limits.requestTimeoutMs;

/** A connection, and the credentials it was last made with. */
interface Link {
  readonly connection: NatsConnection;
  readonly credsInUse: () => string;
  /** Whoever waits for an answer on it: told when it is lost. */
  readonly waiting: Set<(error: Error) => void>;
}

/** Sends by `send`, to this stream, and gives back what came of it. */
export type AroundSend = <T extends { readonly kind: string }>(stream: string, send: () => Promise<T>) => Promise<T>;

/** A connection to NATS as one identity. */
export class Bus {
  readonly identity: string;
  /** Runs around every message that is sent to a stream, and must send it: for whoever measures. */
  aroundSend: AroundSend | undefined;
  readonly #options: BusOptions;
  readonly #listeners = new Set<(status: BusStatus) => void>();
  readonly #movers = new Set<() => Promise<void>>();
  readonly #retiring = new Set<NatsConnection>();
  readonly #closed = Promise.withResolvers<Error | undefined>();
  #link: Link;
  #renewing: Promise<void> | undefined;
  #turn: Promise<void> | undefined;
  #ending = false;
  #connected = true;

  private constructor(link: Link, options: BusOptions) {
    this.identity = options.identity;
    this.#options = options;
    this.#link = link;
    void this.#watch(link);
  }

  /** @throws {PosternError} `bus.unavailable`, `auth.forbidden` */
  static async connect(options: BusOptions): Promise<Bus> {
    return new Bus(await dial(options), options);
  }

  /**
   * The connection of now; ask for it anew each time, since {@link renew} changes it.
   *
   * For this library only: whoever needs something of NATS gets it from here as a function of ours.
   */
  get connection(): NatsConnection {
    return this.#link.connection;
  }

  /** Resolves when the connection is closed for good, with the error that closed it. */
  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  get isConnected(): boolean {
    return this.#connected && !this.connection.isClosed();
  }

  /** Is the server that we are connected to one of no cluster? Then there is one of each stream. */
  get isAlone(): boolean {
    const { info } = this.connection;
    return info?.jetstream === true && info.cluster === undefined;
  }

  /** Are there newer credentials than those this connection was made with? */
  get hasNewerCreds(): boolean {
    return newestCreds(this.#options) !== this.#link.credsInUse();
  }

  /** @returns the way to stop listening. */
  onStatus(listener: (status: BusStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whoever takes requests moves to the new connection here, before it leaves the old one. @returns the way out. */
  onRenewal(mover: () => Promise<void>): () => void {
    this.#movers.add(mover);
    return () => this.#movers.delete(mover);
  }

  /**
   * Goes over to a second connection with the newest credentials, before the server ends the first.
   *
   * A reconnect would lose what is on the wire: answers to us, and requests that the server has handed over already. So
   * the new connection takes over first, and the old one ends when nobody can wait for anything on it any more.
   *
   * @throws {PosternError} `bus.unavailable`, `auth.forbidden`; the connection of before goes on.
   */
  async renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    await this.#renewing;
  }

  /** Asks on the connection of now. @throws {Error} the client's own */
  async ask(question: Question): Promise<Msg> {
    return await askOnce(this.connection, question);
  }

  /**
   * Asks for an answer, and fails at once when the connection is lost: what was asked on it cannot be answered any more.
   *
   * While there is no connection it waits for the next one, since what is sent into the gap gets lost.
   *
   * @param question `timeoutMs` is what both may take together.
   * @throws {PosternError} `bus.unavailable` when the connection was lost; whether the question arrived is not known.
   * @throws {ClosedConnectionError} when there was no connection in time: nothing was sent.
   */
  async request(question: Question): Promise<Msg> {
    const timeoutMs = this.isConnected ? question.timeoutMs : await this.#connectedWithin(question.timeoutMs);
    const { connection, waiting } = this.#link;
    let lose: ((error: Error) => void) | undefined;
    const onAsk = (giveUp: (error: Error) => void) => {
      lose = giveUp;
      waiting.add(giveUp);
      question.onAsk?.(giveUp);
    };
    try {
      return await askOnce(connection, { ...question, timeoutMs, onAsk });
    } finally {
      if (lose !== undefined) waiting.delete(lose);
    }
  }

  /**
   * Resolves at the end of this turn of the event loop: what waits for it leaves in one write. Requests that came in on
   * sockets of their own would otherwise leave in a write each, which costs more than all else about them.
   */
  turnEnd(): Promise<void> {
    this.#turn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#turn = undefined;
        resolve();
      });
    });
    return this.#turn;
  }

  /** Sends what is under way, then closes. */
  async drain(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#all().map(drained));
  }

  async close(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#all().map((connection) => connection.close()));
  }

  async #renew(): Promise<void> {
    const next = await dial(this.#options);
    if (this.#ending || this.connection.isClosed()) return await next.connection.close();
    const old = this.#link.connection;
    this.#retiring.add(old);
    this.#link = next;
    this.#connected = true;
    void this.#watch(next);
    this.#tell({ type: 'renewed' });
    const end = setTimeout(() => void drained(old), retireMs);
    end.unref();
    void old.closed().then(() => {
      clearTimeout(end);
      this.#retiring.delete(old);
    });
    await Promise.all([...this.#movers].map((move) => move()));
  }

  /** @returns what is left of the time. */
  async #connectedWithin(timeoutMs: number): Promise<number> {
    const sinceMs = performance.now();
    const connected = Promise.withResolvers<void>();
    const stopListening = this.onStatus(() => this.isConnected && connected.resolve());
    const timer = setTimeout(connected.resolve, timeoutMs);
    await Promise.race([connected.promise, this.closed]);
    stopListening();
    clearTimeout(timer);
    const leftMs = Math.ceil(timeoutMs - (performance.now() - sinceMs));
    if (!this.isConnected || leftMs <= 0) throw new errors.ClosedConnectionError();
    return leftMs;
  }

  #all(): NatsConnection[] {
    return [this.connection, ...this.#retiring];
  }

  async #watch({ connection, waiting }: Link): Promise<void> {
    const isCurrent = () => connection === this.connection;
    void connection.closed().then((error) => {
      if (isCurrent()) this.#closed.resolve(error ?? undefined);
    });
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') for (const fail of waiting) fail(lostError());
      if (status.type === 'error') this.#tell({ type: 'error', error: status.error });
      else if (status.type === 'disconnect' && isCurrent()) this.#tell({ type: 'disconnected' });
      else if (status.type === 'reconnect' && isCurrent()) this.#tell({ type: 'reconnected' });
      // One that was replaced has nothing to come back for.
      else if (status.type === 'disconnect') void connection.close();
    }
  }

  #tell(status: BusStatus): void {
    if (status.type === 'disconnected') this.#connected = false;
    else if (status.type === 'reconnected') this.#connected = true;
    for (const listener of this.#listeners) listener(status);
  }
}

/**
 * Connects as one identity, with an inbox prefix of its own: nobody else can read its answers.
 *
 * @throws {PosternError} `bus.unavailable`, `auth.forbidden`
 */
export async function connectBus(options: BusOptions): Promise<Bus> {
  useBuffersInClient();
  return await Bus.connect(options);
}

async function dial(options: BusOptions): Promise<Link> {
  const { servers, creds, identity, name, connectTimeoutMs = 20_000 } = options;
  let inUse = '';
  const authenticator = (nonce?: string) => {
    // Read once for both its halves: a file that is replaced in between would give the JWT of one user and the key of
    // another.
    inUse = newestCreds(options);
    const { jwt, key } = userIn(inUse);
    const sig = Buffer.from(key.sign(Buffer.from(nonce ?? '', 'utf8'))).toString('base64url');
    return { jwt, nkey: key.getPublicKey(), sig };
  };
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
      // A stack for every request, in case that it fails: what fails here becomes a coded error with its own.
      noAsyncTraces: true,
      ...(creds === undefined ? {} : { authenticator }),
    });
    return { connection, credsInUse: () => inUse, waiting: new Set() };
  } catch (error) {
    throw busError(error);
  }
}

function lostError(): PosternError {
  return new PosternError('bus.unavailable', 'The connection to the bus was lost before the answer came.');
}

function newestCreds({ creds }: BusOptions): string {
  return typeof creds === 'function' ? creds() : (creds ?? '');
}

async function drained(connection: NatsConnection): Promise<void> {
  if (!connection.isClosed()) await connection.drain();
}
