import { commitHeaders, PosternError } from '@postern/contracts';

import type {
  Appended,
  AppendRequest,
  BoundedReadRequest,
  EventLog,
  LastOptions,
  LogBeginning,
  LogSubscription,
  StoredMessage,
  SubscribeRequest,
} from './event-log.ts';
import { assertMessageSize } from './message-size.ts';
import { resolveAppend, resolveTogether, type AppendPolicy, type Pause, type SendOutcome } from './resolve-append.ts';
import { subjectMatches } from './subject-filter.ts';

/** What happens to the next appends of a memory log; for tests. */
export type AppendFault = 'lose_message' | 'lose_acknowledgement';

export interface MemoryEventLogOptions {
  readonly nowMs?: (() => number) | undefined;
  readonly policy?: AppendPolicy | undefined;
  readonly pause?: Pause | undefined;
}

interface Subscriber {
  readonly request: SubscribeRequest;
  nextPosition: number;
  scheduled: boolean;
  stopped: boolean;
}

/**
 * The log in memory: the same contract as on JetStream, for specs that are about something else, with the faults that
 * a network has.
 */
export class MemoryEventLog implements EventLog {
  readonly #messages: StoredMessage[] = [];
  readonly #bySubject = new Map<string, StoredMessage[]>();
  readonly #subscribers = new Set<Subscriber>();
  readonly #faults: AppendFault[] = [];
  readonly #nowMs: () => number;
  readonly #policy: AppendPolicy | undefined;
  readonly #pause: Pause | undefined;
  #beginning: LogBeginning = { firstPosition: 1, verifiedUpTo: 0 };
  #up = true;

  constructor({ nowMs = Date.now, policy, pause }: MemoryEventLogOptions = {}) {
    this.#nowMs = nowMs;
    this.#policy = policy;
    this.#pause = pause;
  }

  /** The next appends meet these faults, one each. */
  injectFaults(...faults: readonly AppendFault[]): void {
    this.#faults.push(...faults);
  }

  /** From now on nobody is answered. */
  stopServing(): void {
    this.#up = false;
  }

  /** Serves again; followers are told that they reconnected. */
  resumeServing(): void {
    this.#up = true;
    for (const subscriber of this.#subscribers) {
      subscriber.request.onReset();
      this.#schedule(subscriber);
    }
  }

  /** Stores without any check, as somebody would who does not keep to the rules. */
  put(message: Pick<StoredMessage, 'subject' | 'payload' | 'headers' | 'previousPosition'>): number {
    const position = this.#messages.length + 1;
    const stored = { ...message, position, timeMs: this.#nowMs() };
    this.#messages.push(stored);
    const onSubject = this.#bySubject.get(message.subject);
    if (onSubject === undefined) this.#bySubject.set(message.subject, [stored]);
    else onSubject.push(stored);
    for (const subscriber of this.#subscribers) this.#schedule(subscriber);
    return position;
  }

  /** Drops the first messages, as the provisioner does once they are archived. */
  cut(beginning: LogBeginning): void {
    this.#beginning = beginning;
    const stands = ({ position }: StoredMessage) => position >= beginning.firstPosition;
    for (const [subject, messages] of this.#bySubject) this.#bySubject.set(subject, messages.filter(stands));
  }

  beginning(): Promise<LogBeginning> {
    return this.#answer(() => this.#beginning);
  }

  async append(request: AppendRequest): Promise<Appended> {
    assertMessageSize(request);
    return await resolveAppend(request, {
      send: () => Promise.resolve(this.#send(request)),
      standing: () => Promise.resolve(this.#standing(request)),
      policy: this.#policy,
      pause: this.#pause,
    });
  }

  async appendTogether(requests: readonly AppendRequest[]): Promise<number[]> {
    for (const request of requests) assertMessageSize(request);
    return await resolveTogether(requests, {
      send: () => Promise.resolve(this.#sendTogether(requests)),
      standing: (request) => Promise.resolve(this.#standing(request)),
      policy: this.#policy,
      pause: this.#pause,
    });
  }

  last(
    subject: string,
    { untilPosition = Infinity, newerThan = 0 }: LastOptions = {},
  ): Promise<StoredMessage | undefined> {
    return this.#answer(() => {
      const found = this.#lastMatching(subject, untilPosition);
      return found !== undefined && found.position > newerThan ? found : undefined;
    });
  }

  lastOfEach(subjects: readonly string[], untilPosition: number): Promise<ReadonlyMap<string, StoredMessage>> {
    return this.#answer(() => {
      const found = subjects.map((subject) => this.#lastMatching(subject, untilPosition));
      return new Map(found.flatMap((message) => (message === undefined ? [] : [[message.subject, message]])));
    });
  }

  at(position: number): Promise<StoredMessage | undefined> {
    return this.#answer(() => (this.#stands(position) ? this.#messages[position - 1] : undefined));
  }

  async *read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    const end = Math.min(request.untilPosition ?? Infinity, await this.head());
    const wanted = this.#select(request, end);
    for (const message of wanted) yield message;
  }

  head(filter = '>'): Promise<number> {
    return this.#answer(() => this.#lastMatching(filter)?.position ?? 0);
  }

  async subscribe(request: SubscribeRequest): Promise<LogSubscription> {
    const head = await this.head();
    const backlog = this.#select(request, head);
    const startPosition = (backlog[0]?.position ?? head + 1) - 1;
    const subscriber = { request, nextPosition: head + 1, scheduled: false, stopped: false };
    this.#subscribers.add(subscriber);
    setImmediate(() => {
      for (const message of backlog) if (!subscriber.stopped) request.onMessage(message);
      this.#schedule(subscriber);
    });
    return {
      startPosition,
      stop: () => {
        subscriber.stopped = true;
        this.#subscribers.delete(subscriber);
        return Promise.resolve();
      },
    };
  }

  #send(request: AppendRequest): SendOutcome {
    return this.#sendTogether([request]);
  }

  #sendTogether(requests: readonly AppendRequest[]): SendOutcome {
    if (!this.#up) return { kind: 'unreachable', cause: new Error('the log is stopped') };
    const fault = this.#faults.shift();
    if (fault === 'lose_message') return { kind: 'silent', cause: new Error('the message was lost') };
    const isExpected = ({ subject, expectedPosition }: AppendRequest) =>
      (this.#lastMatching(subject)?.position ?? 0) === expectedPosition;
    if (!requests.every(isExpected)) return { kind: 'conflict' };
    const [position = 0] = requests.map(({ subject, payload, headers, messageId, expectedPosition }) =>
      this.put({
        subject,
        payload: Uint8Array.from(payload),
        headers: { ...headers, [commitHeaders.messageId]: messageId },
        previousPosition: expectedPosition,
      }),
    );
    return fault === 'lose_acknowledgement'
      ? { kind: 'silent', cause: new Error('the acknowledgement was lost') }
      : { kind: 'stored', position };
  }

  #standing({ subject, expectedPosition }: AppendRequest): StoredMessage | undefined {
    const last = this.#bySubject.get(subject)?.findLastIndex(({ position }) => position <= expectedPosition) ?? -1;
    return this.#bySubject.get(subject)?.[last + 1];
  }

  #lastMatching(filter: string, untilPosition = Infinity): StoredMessage | undefined {
    const candidates = isLiteral(filter) ? (this.#bySubject.get(filter) ?? []) : this.#messages;
    return candidates.findLast(({ subject, position }) => position <= untilPosition && subjectMatches(filter, subject));
  }

  #select(request: BoundedReadRequest, end: number): StoredMessage[] {
    const { filter, fromPosition = 1, sinceMs = 0, lastPerSubject = false } = request;
    const isWanted = ({ position, timeMs }: StoredMessage) =>
      this.#stands(position) && position <= end && position >= fromPosition && timeMs >= sinceMs;
    if (isLiteral(filter) || lastPerSubject) {
      const subjects = isLiteral(filter) ? [filter] : [...this.#bySubject.keys()];
      const found = subjects
        .filter((subject) => subjectMatches(filter, subject))
        .map((subject) => this.#bySubject.get(subject) ?? []);
      if (!lastPerSubject) return found.flat().filter(isWanted);
      const last = found.map((messages) => messages.findLast(isWanted)).filter((message) => message !== undefined);
      return last.sort((a, b) => a.position - b.position);
    }
    return this.#messages.filter((message) => isWanted(message) && subjectMatches(filter, message.subject));
  }

  #stands(position: number): boolean {
    return position >= this.#beginning.firstPosition;
  }

  #schedule(subscriber: Subscriber): void {
    if (subscriber.scheduled || !this.#up) return;
    subscriber.scheduled = true;
    setImmediate(() => {
      subscriber.scheduled = false;
      this.#deliver(subscriber);
    });
  }

  #deliver(subscriber: Subscriber): void {
    while (this.#up && !subscriber.stopped) {
      const message = this.#messages[subscriber.nextPosition - 1];
      if (message === undefined) return;
      subscriber.nextPosition += 1;
      if (subjectMatches(subscriber.request.filter, message.subject)) subscriber.request.onMessage(message);
    }
  }

  #answer<T>(give: () => T): Promise<T> {
    return this.#up
      ? Promise.resolve(give())
      : Promise.reject(new PosternError('log.unavailable', 'The log is stopped.'));
  }
}

function isLiteral(filter: string): boolean {
  return !/[*>]/.test(filter);
}
