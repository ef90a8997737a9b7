import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { connectionEvents, isId, subjects } from '@postern/contracts';
import { CommitReader, Follower, type LogEntry } from '@postern/event-log';
import { Clock, EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { authorizationLimits } from '../authorization-limits.ts';

/** Where a session stands; its truth is the connection's. */
export interface SessionPlace {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly expiresAtMs: number;
}

/**
 * Finds the connection of a session, from the log of the last minutes.
 *
 * A session's place never changes, so nothing here can be wrong, only missing; before anything counts as missing,
 * the end of the log is awaited.
 */
@Injectable()
export class SessionIndex implements OnServiceReady, OnApplicationShutdown {
  readonly #places = new Map<string, SessionPlace>();
  readonly #clock: Clock;
  readonly #follower: Follower;

  constructor(logs: EventLogs, reader: CommitReader, clock: Clock, logger: Logger, readiness: ReadinessRegistry) {
    this.#clock = clock;
    this.#follower = new Follower({
      log: logs.connections,
      reader,
      filter: subjects.allConnections,
      from: { sinceMs: clock.nowMs() - authorizationLimits.sessionRememberedMs },
      onEntry: (entry) => this.#apply(entry),
      onProblem: (problem) => logger.error('a message on the connection log is not folded', { ...problem }),
      onFailure: (error) => logger.error('the connection feed has failed', { err: error }),
    });
    readiness.addFeed('sessions', this.#follower);
  }

  get size(): number {
    return this.#places.size;
  }

  /** @returns undefined when there is no such session, or none that is remembered. @throws {PosternError} `bus.timeout` */
  async find(sessionId: string): Promise<SessionPlace | undefined> {
    if (!isId('session', sessionId)) return undefined;
    const known = this.#places.get(sessionId);
    if (known !== undefined) return known;
    await this.#follower.waitForProof({ timeoutMs: authorizationLimits.catchUpWaitMs });
    return this.#places.get(sessionId);
  }

  async onServiceReady(): Promise<void> {
    await this.#follower.start();
    await this.#follower.waitForProof({ timeoutMs: authorizationLimits.feedReadyWaitMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#follower.stop();
  }

  #apply({ commit }: LogEntry): void {
    for (const { type, data } of commit.events) {
      if (type !== 'AuthorizationStarted') continue;
      const { sessionId, expiresAtMs } = connectionEvents.AuthorizationStarted.data.parse(data);
      this.#places.set(sessionId, { tenantId: commit.tenantId, connectionId: commit.aggregateId, expiresAtMs });
    }
    this.#forgetOld();
  }

  /** Sessions come in the order of their end, give or take a moment: the oldest are at the front. */
  #forgetOld(): void {
    const untilMs = this.#clock.nowMs() - (authorizationLimits.sessionRememberedMs >> 1);
    for (const [sessionId, { expiresAtMs }] of this.#places) {
      if (expiresAtMs >= untilMs) return;
      this.#places.delete(sessionId);
    }
  }
}
