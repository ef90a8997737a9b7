/** A message as the stream holds it. */
export interface StoredMessage {
  readonly subject: string;
  /** The stream's sequence: opaque, only its order means something. */
  readonly position: number;
  /** When the server stored it. */
  readonly timeMs: number;
  readonly payload: Uint8Array;
  /** Without what the server adds to an answer; of a repeated header the last value. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Where the last message on its subject stood when this one was stored, 0 for none: its writer expected that, and the
   * server would have refused it otherwise. Undefined where nothing was expected, or where it cannot be told what was.
   */
  readonly previousPosition?: number | undefined;
}

export interface AppendRequest {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** Identifies this append for ever; the commit's id. Sending it again never stores it twice. */
  readonly messageId: string;
  /** The position of the last message of any kind on this subject, 0 for none. */
  readonly expectedPosition: number;
}

export interface Appended {
  readonly position: number;
  /** It had been stored before: an acknowledgement was lost. */
  readonly duplicate: boolean;
}

export interface ReadRequest {
  /** A subject, wildcards allowed. */
  readonly filter: string;
  /** The first position wanted. */
  readonly fromPosition?: number | undefined;
  /** Only messages stored at or after this time. */
  readonly sinceMs?: number | undefined;
  /** Only the last message of each subject. */
  readonly lastPerSubject?: boolean | undefined;
}

export interface BoundedReadRequest extends ReadRequest {
  /** The last position wanted; the head as of the call is the end in any case. */
  readonly untilPosition?: number | undefined;
}

export interface SubscribeRequest extends ReadRequest {
  /** Called in order, each message once. */
  readonly onMessage: (message: StoredMessage) => void;
  /** Called after a gap or a reconnect, before what follows: whoever caches drops what he cached. */
  readonly onReset: () => void;
}

export interface LastOptions {
  readonly fromLeader?: boolean | undefined;
  readonly untilPosition?: number | undefined;
  /**
   * Nothing is answered where the last one stands at or before this position: who knows that one already need not have it
   * sent again. Only with `fromLeader`.
   */
  readonly newerThan?: number | undefined;
}

/** Where a log begins whose first messages were archived and dropped (docs/adr/0031). */
export interface LogBeginning {
  /** The first position that still stands, or that comes next. */
  readonly firstPosition: number;
  /** Up to where everything was verified when the last of it was dropped; 0 while nothing was. */
  readonly verifiedUpTo: number;
}

export interface LogSubscription {
  /** Nothing that matches and stands at or before this position will be delivered. */
  readonly startPosition: number;
  readonly stop: () => Promise<void>;
}

/**
 * The port to one stream of the log. Everything above it (commits, signatures, folding) is the same on every
 * implementation, and one contract suite holds for all of them.
 */
export interface EventLog {
  /**
   * Stores a message if nothing stands on its subject after the expected position.
   *
   * A lost acknowledgement is settled inside: what stands after the expected position is read from the leader.
   *
   * @effect Durable once it resolves. The same request may be sent again.
   * @throws {PosternError} `log.conflict`, `log.unavailable`, `log.outcome_unknown`, `log.commit_too_large`.
   */
  append(request: AppendRequest): Promise<Appended>;
  /**
   * Stores messages on as many subjects, all of them or none: each under its own expectation, one after the other in
   * the stream with nothing between them, and none of them to be read before all are.
   *
   * @param requests 2 to `limits.togetherMax`, no subject twice
   * @returns where each stands
   * @effect As of {@link append}: durable once it resolves, and settled inside whatever became of the acknowledgement.
   * @throws {PosternError} as {@link append}; `log.conflict` where one of the expectations does not hold.
   */
  appendTogether(requests: readonly AppendRequest[]): Promise<number[]>;
  /**
   * The last message on a literal subject; a replica may answer, unless it is asked of the leader.
   *
   * @param options `untilPosition` asks for the last one at or before a position, which no later message changes;
   *   `newerThan` only whether another one stands by now.
   */
  last(subject: string, options?: LastOptions): Promise<StoredMessage | undefined>;
  /**
   * The last message on each of these literal subjects, at or before a position, by subject; those that have none there are
   * left out. The same as `last` tells of each, in as few requests as the log can answer it with.
   */
  lastOfEach(subjects: readonly string[], untilPosition: number): Promise<ReadonlyMap<string, StoredMessage>>;
  at(position: number): Promise<StoredMessage | undefined>;
  /** Messages in order, to the head as of the call. @throws {PosternError} `log.unavailable` */
  read(request: BoundedReadRequest): AsyncIterable<StoredMessage>;
  /** The position of the last message (that matches), from the leader; 0 when there is none. */
  head(filter?: string): Promise<number>;
  beginning(): Promise<LogBeginning>;
  /** Follows in order; reconnects and closes gaps by itself. */
  subscribe(request: SubscribeRequest): Promise<LogSubscription>;
}
