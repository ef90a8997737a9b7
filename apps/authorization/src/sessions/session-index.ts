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
  /** Where its browser goes back to; empty where no browser has a part in it. */
  readonly returnUrl: string;
}

/** Somebody asks a provider about the device code of a session. */
export interface DeviceStep {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly sessionId: string;
  readonly pollerId: string;
  readonly pollingUntilMs: number;
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
  readonly #listeners: ((step: DeviceStep) => void)[] = [];
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

  /** Tells of every device code that is asked about, also of those of the last minutes; to be called before the start. */
  onDeviceStep(listener: (step: DeviceStep) => void): void {
    this.#listeners.push(listener);
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
    const ref = { tenantId: commit.tenantId, connectionId: commit.aggregateId };
    for (const { type, data } of commit.events) {
      if (type === 'AuthorizationStarted') {
        const { sessionId, expiresAtMs, returnUrl } = connectionEvents.AuthorizationStarted.data.parse(data);
        this.#places.set(sessionId, { ...ref, expiresAtMs, returnUrl });
      }
      if (type === 'DeviceAuthorizationStarted' || type === 'DevicePollingStarted') {
        const step = connectionEvents.DevicePollingStarted.data.parse(data);
        for (const listener of this.#listeners) listener({ ...ref, ...step });
      }
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
