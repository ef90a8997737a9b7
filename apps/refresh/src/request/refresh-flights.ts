import { Injectable } from '@nestjs/common';
import { isPosternError, PosternError } from '@postern/contracts';
import { connectionEvolver, type Connection } from '@postern/domain';
import type { AggregateRef, LogEntry } from '@postern/event-log';
import { Clock, Logger } from '@postern/service';

import { ConnectionFeed } from '../connection-feed.ts';
import { Connections } from '../connections.ts';
import { DueMessages } from '../due/due-messages.ts';
import { Pace } from '../pace/pace.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { answerAfter, answerNow, answerPaused, type Answer, type Question, type Standing } from './refresh-answer.ts';

/** One refresh that somebody asks for. */
export interface Ask extends Omit<Question, 'nowMs'> {
  readonly connection: AggregateRef;
}

interface Flight {
  readonly answer: Promise<Answer>;
  readonly abort: AbortController;
  waiting: number;
}

/** Answers everyone in this process who asks for the same refresh by one due message and one wait. */
@Injectable()
export class RefreshFlights {
  readonly #connections: Pick<Connections, 'load' | 'subjectOf'>;
  readonly #feed: Pick<ConnectionFeed, 'waitForEntry'>;
  readonly #due: Pick<DueMessages, 'publish'>;
  readonly #clock: Pick<Clock, 'nowMs' | 'after'>;
  readonly #logger: Pick<Logger, 'warn'>;
  readonly #pace: Pick<Pace, 'pausedMs'>;
  readonly #flights = new Map<string, Flight>();

  constructor(
    connections: Connections,
    feed: ConnectionFeed,
    due: DueMessages,
    clock: Clock,
    logger: Logger,
    pace: Pace,
  ) {
    this.#connections = connections;
    this.#feed = feed;
    this.#due = due;
    this.#clock = clock;
    this.#logger = logger;
    this.#pace = pace;
  }

  /** How many refreshes are waited for. */
  get size(): number {
    return this.#flights.size;
  }

  /** @throws {PosternError} `refresh.timeout` when nothing came of it in time; the refresh itself goes on. */
  async answer(ask: Ask, { timeoutMs }: { readonly timeoutMs: number }): Promise<Answer> {
    const name = `${this.#connections.subjectOf(ask.connection)}/${ask.credentialVersion}/${ask.reason}`;
    const flight = this.#flights.get(name) ?? this.#begin(name, ask);
    const late = Promise.withResolvers<never>();
    const callOff = this.#clock.after(timeoutMs, () => {
      late.reject(new PosternError('refresh.timeout', `The refresh did not end within ${timeoutMs} ms.`));
    });
    flight.waiting += 1;
    try {
      return await Promise.race([flight.answer, late.promise]);
    } finally {
      callOff();
      flight.waiting -= 1;
      if (flight.waiting === 0) this.#end(name, flight);
    }
  }

  #begin(name: string, ask: Ask): Flight {
    const abort = new AbortController();
    const answer = this.#fly(ask, abort.signal);
    const flight = { answer, abort, waiting: 0 };
    // Nobody may be left to hear how it ended.
    answer.catch(() => undefined);
    this.#flights.set(name, flight);
    return flight;
  }

  #end(name: string, flight: Flight): void {
    flight.abort.abort();
    if (this.#flights.get(name) === flight) this.#flights.delete(name);
  }

  /**
   * Listens first, then looks, then asks: whatever is written after the look is heard. Now and then it looks and asks
   * again, because a due message that stood when it asked may have been acknowledged for an older attempt.
   */
  async #fly(ask: Ask, signal: AbortSignal): Promise<Answer> {
    for (;;) {
      const heard = this.#listen(ask, signal);
      heard.catch(() => undefined);
      const standing = await this.#connections.load(ask.connection, { fromLeader: true });
      const question = { ...ask, nowMs: Math.max(this.#clock.nowMs(), standing.atMs) };
      const answer = answerNow(standing, question) ?? this.#answerPaused(standing, question);
      if (answer !== undefined) return answer;
      await this.#publish(ask, standing.position);
      const outcome = await heard;
      if (outcome !== undefined) return outcome;
      signal.throwIfAborted();
    }
  }

  /** Nobody will claim it before the provider's pause is over; a claim that stands may still bring an outcome. */
  #answerPaused(standing: Standing, question: Question): Answer | undefined {
    const { claim, registrationId } = standing.state;
    const pausedMs = claim === null ? this.#pace.pausedMs(registrationId) : 0;
    return pausedMs > 0 ? answerPaused(standing, question, pausedMs) : undefined;
  }

  /** @returns undefined when nothing was heard for a while. @throws when there is nothing to listen to any more. */
  async #listen(ask: Ask, signal: AbortSignal): Promise<Answer | undefined> {
    const subject = this.#connections.subjectOf(ask.connection);
    let answer: Answer | undefined;
    const fits = (entry: LogEntry): boolean => {
      if (entry.subject !== subject) return false;
      if (entry.commit.stateVersion !== connectionEvolver.stateVersion) return true;
      answer = this.#answerAfter(entry, ask);
      return answer !== undefined;
    };
    try {
      await this.#feed.waitForEntry(fits, { timeoutMs: refreshLimits.knockAgainMs, signal });
    } catch (error) {
      if (!isPosternError(error) || error.code !== 'bus.timeout') throw error;
    }
    return answer;
  }

  #answerAfter({ commit, position }: LogEntry, ask: Ask): Answer | undefined {
    const nowMs = Math.max(this.#clock.nowMs(), Date.parse(commit.at));
    return answerAfter(commit.events, { state: commit.state as Connection, position }, { ...ask, nowMs });
  }

  async #publish({ connection, reason, credentialVersion }: Ask, position: number): Promise<void> {
    const { tenantId, id: connectionId } = connection;
    try {
      await this.#due.publish({ tenantId, connectionId, reason, credentialVersion, position });
    } catch (error) {
      this.#logger.warn('a due message could not be published', { connectionId, err: error });
    }
  }
}
