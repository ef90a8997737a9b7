import {
  administratorToken,
  callerOf,
  isId,
  limits,
  operationPattern,
  parseRequest,
  PosternError,
  problemOf,
  toPosternError,
  type CallerOf,
  type Operation,
} from '@postern/contracts';
import { Svcm, type Service, type ServiceMsg } from '@nats-io/services';

import type { Bus } from './bus.ts';
import { callHeaders, correlationIdOf } from './call-headers.ts';
import type { Call, Endpoint } from './operation-endpoint.ts';
import { importReplyPrefix, mayAnswerTo } from './reply-subject.ts';
import { headerBlock } from './header-block.ts';
import { respondAtOnce } from './respond-at-once.ts';
import { checkedHeaders } from './stored-message.ts';

export interface ServeOptions {
  /** The app; also the queue group, so that one of its instances answers. */
  readonly name: string;
  /** Semantic version. */
  readonly version: string;
  readonly endpoints: readonly Endpoint[];
  /** Shown by `nats micro`; the instance, say. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** What a handler threw that is no refusal, or a refused reply subject: log it. */
  readonly onError?: ((error: PosternError, call: Pick<Call, 'subject' | 'correlationId'>) => void) | undefined;
  /** Replies are checked against their schema too; in tests. */
  readonly checkReplies?: boolean | undefined;
}

export interface ServedOperations {
  /** The id under which `$SRV.PING` knows this instance. */
  readonly id: string;
  /** How many calls are being answered. */
  readonly inFlight: number;
  /** Resolves when the service ended, with the error that ended it. */
  readonly stopped: Promise<Error | undefined>;
  /** Takes no more calls, then waits for those that it has. */
  stop(): Promise<void>;
}

/**
 * Serves operations as a NATS service, which `nats micro` can see.
 *
 * Every call is answered: with the reply, or with the error's code in the headers and its problem document as body. The
 * one exception is a call whose reply subject is nobody's inbox: answering would write where the caller may not.
 */
export async function serveOperations(bus: Bus, options: ServeOptions): Promise<ServedOperations> {
  const serving = new Serving(bus, options);
  await serving.start();
  return serving;
}

class Serving implements ServedOperations {
  readonly #bus: Bus;
  readonly #options: ServeOptions;
  readonly #callers = new Callers();
  readonly #ended = Promise.withResolvers<Error | undefined>();
  #inFlight = 0;
  /** Tells who waits that nothing is in flight. */
  #onIdle: () => void = () => undefined;
  #service: Service | undefined;
  #stopListening: () => void = () => undefined;
  #stopping = false;

  constructor(bus: Bus, options: ServeOptions) {
    this.#bus = bus;
    this.#options = options;
  }

  get id(): string {
    return this.#service?.ping().id ?? '';
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get stopped(): Promise<Error | undefined> {
    return this.#ended.promise;
  }

  async start(): Promise<void> {
    this.#service = await this.#add();
    this.#stopListening = this.#bus.onRenewal(() => this.#moveOver());
    await this.#bus.connection.flush();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#stopListening();
    await this.#service?.stop();
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await this.#bus.connection.flush().catch(() => undefined);
  }

  /** For a moment both connections are in the queue group, and a call reaches one of them: none is missed. */
  async #moveOver(): Promise<void> {
    const old = this.#service;
    const next = await this.#add();
    this.#service = next;
    await this.#bus.connection.flush().catch(() => undefined);
    await old?.stop().catch(() => undefined);
    if (this.#stopping) await next.stop();
  }

  async #add(): Promise<Service> {
    const { name, version, endpoints, metadata } = this.#options;
    const about = { name, version, queue: '', ...(metadata === undefined ? {} : { metadata: { ...metadata } }) };
    const service = await new Svcm(this.#bus.connection).add(about);
    for (const endpoint of endpoints) this.#addEndpoint(service, endpoint);
    void service.stopped.then((error) => {
      if (service === this.#service) this.#ended.resolve(error ?? undefined);
    });
    return service;
  }

  #addEndpoint(service: Service, endpoint: Endpoint): void {
    const { operation } = endpoint;
    service.addEndpoint(operation.name.replaceAll('.', '-'), {
      subject: operationPattern(operation),
      queue: operation.broadcast === true ? '' : this.#options.name,
      metadata: { summary: operation.summary },
      handler: (error, message) => {
        if (error === null) void this.#answer(message, endpoint);
      },
    });
  }

  /** Never rejects. */
  async #answer(message: ServiceMsg, { operation, handler }: Endpoint): Promise<void> {
    const { subject } = message;
    const { headers } = headerBlock(message);
    const correlationId = correlationIdOf(headers[callHeaders.correlationId]);
    const caller = this.#callers.of(operation, subject);
    if (!mayAnswerTo(message.reply ?? '', operation, caller)) {
      const sentence = `No answer goes to the reply subject of a call to ${subject}.`;
      this.#options.onError?.(new PosternError('bus.reply_refused', sentence), { subject, correlationId });
      return;
    }
    const stopBeating = headers[callHeaders.beat] === undefined ? undefined : beat(message);
    this.#inFlight += 1;
    try {
      this.#callers.assert(operation, subject, caller);
      const request = parseRequest(operation.request, jsonOf(message.data, operation.requestBytesMax));
      const call: Call = { caller, subject, correlationId, headers, bytes: message.data.byteLength };
      const reply = await handler(request as never, call);
      const body = this.#options.checkReplies === true ? operation.reply.parse(reply) : reply;
      respondAtOnce(message, JSON.stringify(body), correlationId);
    } catch (thrown) {
      const error = toPosternError(thrown);
      if (error.row.status >= 500) this.#options.onError?.(error, { subject, correlationId });
      refuse(message, error, correlationId);
    } finally {
      stopBeating?.();
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#onIdle();
    }
  }
}

/** Tells the caller now and then that it is worked on. An import takes one reply a request, so a platform gets none. */
function beat(message: ServiceMsg): () => void {
  if (message.reply?.startsWith(importReplyPrefix) === true) return () => undefined;
  const headers = checkedHeaders({ [callHeaders.beat]: '1' });
  const timer = setInterval(() => respondQuietly(() => message.respond(undefined, { headers })), limits.callBeatMs);
  return () => clearInterval(timer);
}

function respond(message: ServiceMsg, body: unknown, headers: Readonly<Record<string, string>>): void {
  message.respond(JSON.stringify(body), { headers: checkedHeaders(headers) });
}

function refuse(message: ServiceMsg, error: PosternError, correlationId: string): void {
  const codes = {
    [callHeaders.correlationId]: correlationId,
    [callHeaders.error]: error.code,
    [callHeaders.errorCode]: String(error.row.status),
  };
  respondQuietly(() => respond(message, problemOf(error, correlationId), codes));
}

/** A closed connection takes no answer; the caller learns it by its own. */
function respondQuietly(respond: () => void): void {
  try {
    respond();
  } catch {
    // Nothing can be told any more.
  }
}

/** Who may have called, by the subjects of calls: read and looked at once, for so many as call again and again. */
class Callers {
  readonly #known = new Map<string, CallerOf>();

  of(operation: Operation, subject: string): CallerOf {
    return this.#known.get(subject) ?? callerOf(operation, subject);
  }

  /** The bus lets a platform publish to its own subject only; what is no id at all comes from inside, and is wrong. */
  assert(operation: Operation, subject: string, caller: CallerOf): void {
    if (this.#known.get(subject) === caller) return;
    if (!isWellFormed(operation, caller)) {
      throw new PosternError('request.malformed', 'The subject names no caller of this operation.');
    }
    if (this.#known.size >= callersKnownMax) this.#known.clear();
    this.#known.set(subject, inOnePiece(caller));
  }
}

const callersKnownMax = 4_096;

function isWellFormed(operation: Operation, caller: CallerOf): boolean {
  if (caller.app !== undefined) return operation.callers.some((allowed) => allowed === caller.app);
  return (
    isId('tenant', caller.tenantId) && (isId('platform', caller.platformId) || caller.platformId === administratorToken)
  );
}

/** What was cut out of a subject holds on to it, and JSON takes three times as long to write it. */
function inOnePiece(caller: CallerOf): CallerOf {
  const piece = (id: string) => Buffer.from(id, 'latin1').toString('latin1');
  return caller.app === undefined
    ? { tenantId: piece(caller.tenantId), platformId: piece(caller.platformId) }
    : { app: piece(caller.app) };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function jsonOf(data: Uint8Array, bytesMax: number = limits.requestBytesMax): unknown {
  if (data.byteLength > bytesMax) {
    throw new PosternError('request.too_large', `A request has at most ${bytesMax} bytes.`);
  }
  try {
    return JSON.parse(utf8.decode(data)) as unknown;
  } catch {
    throw new PosternError('request.malformed', 'The request is no JSON.');
  }
}
