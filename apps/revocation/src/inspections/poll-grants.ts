import { setTimeout as delay } from 'node:timers/promises';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isPosternError, limits } from '@postern/contracts';
import type { Connection, Registration } from '@postern/domain';
import type { Provider } from '@postern/provider-catalog';
import { Clock, Logger, Metrics, type OnServiceReady } from '@postern/service';

import { ProviderClients, type InquiringClient } from '../provider/provider-clients.ts';
import { ProviderFiles } from '../provider/provider-files.ts';
import { Registrations } from '../registrations.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { Transmitters } from '../security-events/transmitters.ts';
import { Bridges } from '../signals/bridges.ts';
import { InspectGrant, type InspectedConnection, type Question } from './inspect-grant.ts';
import { InspectionRows, type Candidate } from './inspection-rows.ts';

const { inspectionLookIntervalMs, inspectionIdleLookMs, inspectedRegistrationsMax } = revocationLimits;
const { inspectionPassedOverMax, inspectionRetryAfterMsMax } = revocationLimits;
const { inspectionPauseMsMin, inspectionPauseMsMax } = revocationLimits;
const minuteMs = 60_000;

type Polling = NonNullable<Provider['polling']>;

/** What is remembered of a registration between two looks; nothing of it is needed. */
interface Progress {
  lookAtMs: number;
  failures: number;
  /** How long the next question has been due. */
  overdueMs: number;
}

/**
 * Asks providers that have nothing by which they would tell about connections of which nothing was heard for long: by
 * introspection, or about what was made by hand by a call of their API; one by one for each registration, at the pace that
 * the provider's file names.
 *
 * However many processes there are, they share the turns of a registration, and the vault lets each token be shown once
 * in so many hours. A connection that is refreshed is never asked about: its provider has just said that it lives.
 */
@Injectable()
export class PollGrants implements OnServiceReady, OnApplicationShutdown {
  readonly #stopping = new AbortController();
  readonly #progress = new Map<string, Progress>();
  readonly #working = new Map<string, Promise<void>>();
  #looking: Promise<void> | undefined;

  constructor(
    private readonly registrations: Registrations,
    private readonly transmitters: Transmitters,
    private readonly bridges: Bridges,
    private readonly clients: ProviderClients,
    private readonly files: ProviderFiles,
    private readonly rows: InspectionRows,
    private readonly grants: InspectGrant,
    private readonly clock: Clock,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    metrics.gauge('postern.inspection.overdue', () =>
      Math.max(0, ...[...this.#progress.values()].map(({ overdueMs }) => overdueMs / 1000)),
    );
  }

  async onServiceReady(): Promise<void> {
    this.#looking = this.#look();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#looking, ...this.#working.values()]);
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      for (const { registration, polling, progress } of this.#due()) {
        if (this.#working.size >= inspectedRegistrationsMax) break;
        const { registrationId } = registration;
        const work = this.#work(registration, polling, progress).finally(() => this.#working.delete(registrationId));
        this.#working.set(registrationId, work);
      }
      await delay(inspectionLookIntervalMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  /** Whose time to be looked at has come, the longest due first; nobody is that somebody else speaks for. */
  #due() {
    const spokenFor = new Set(
      [...this.transmitters.all(), ...this.bridges.all()]
        .filter(({ disabled }) => !disabled)
        .flatMap(({ speaksFor }) => speaksFor.map(({ registrationId }) => registrationId)),
    );
    const nowMs = this.clock.nowMs();
    const due: { registration: Registration; polling: Polling; progress: Progress }[] = [];
    for (const registration of this.registrations.all()) {
      const { registrationId, disabled } = registration;
      const polling = this.files.ofRegistration(registration)?.polling ?? null;
      if (polling === null || disabled || spokenFor.has(registrationId)) {
        this.#progress.delete(registrationId);
        continue;
      }
      const progress = this.#progress.get(registrationId) ?? { lookAtMs: 0, failures: 0, overdueMs: 0 };
      this.#progress.set(registrationId, progress);
      if (progress.lookAtMs > nowMs || this.#working.has(registrationId)) continue;
      due.push({ registration, polling, progress });
    }
    return due.toSorted((one, other) => one.progress.lookAtMs - other.progress.lookAtMs);
  }

  /** Never rejects. */
  async #work(registration: Registration, polling: Polling, progress: Progress): Promise<void> {
    try {
      progress.lookAtMs = await this.#next(registration, polling, progress);
    } catch (error) {
      const { tenantId, registrationId } = registration;
      const level = isPosternError(error) ? 'warn' : 'error';
      progress.lookAtMs = this.clock.nowMs() + pauseMs(progress);
      this.logger[level]('polling a provider about its grants waits', { tenantId, registrationId, err: error });
    }
  }

  /** @returns when to look again */
  async #next(registration: Registration, polling: Polling, progress: Progress): Promise<number> {
    const everyMs = polling.everyS * 1000;
    const everyMsAtRisk = Math.max(limits.inspectionIntervalMsMin, everyMs / 2);
    for (let passedOver = 0; passedOver < inspectionPassedOverMax; passedOver += 1) {
      const nowMs = this.clock.nowMs();
      const candidate = await this.rows.next(registration, { nowMs, everyMs, everyMsAtRisk });
      progress.overdueMs = candidate === undefined ? 0 : Math.max(0, nowMs - candidate.dueAtMs);
      if (candidate === undefined) return nowMs + inspectionIdleLookMs;
      if (candidate.dueAtMs > nowMs) return Math.min(candidate.dueAtMs, nowMs + inspectionIdleLookMs);
      if (await this.#isDue(registration, candidate, nowMs)) {
        return await this.#ask({ ...inspectedOf(registration), ...candidate }, { polling, progress });
      }
    }
    return this.clock.nowMs();
  }

  /** What happened since it was written down stands in the log. */
  async #isDue(registration: Registration, { connectionId, afterMs }: Candidate, nowMs: number): Promise<boolean> {
    const heardAtMs = await this.grants.heardAtMs({ ...inspectedOf(registration), connectionId });
    if (heardAtMs !== null && nowMs >= heardAtMs + afterMs) return true;
    await this.rows.heard(registration.tenantId, connectionId, heardAtMs ?? nowMs);
    return false;
  }

  async #ask(
    connection: InspectedConnection,
    { polling, progress }: { readonly polling: Polling; readonly progress: Progress },
  ): Promise<number> {
    const state = await this.grants.stateOf(connection);
    const file = this.files.of(state);
    if ((file?.polling ?? null) === null) {
      // By the version that it uses nobody asks; the others of its registration must not wait for it.
      await this.rows.heard(connection.tenantId, connection.connectionId, this.clock.nowMs());
      return this.clock.nowMs();
    }
    const question = (file?.credential ?? null) === null ? 'introspection' : 'probe';
    const client = await this.#client(state, question);
    if (client === undefined) return this.clock.nowMs() + inspectionPauseMsMax;
    const gapMs = minuteMs / polling.perMinuteMax;
    const askedAtMs = this.clock.nowMs();
    const turn = await this.rows.takeTurn(connection, { nowMs: askedAtMs, gapMs });
    if (turn !== 'taken') return turn;
    const inspected = await this.grants.about(connection, client, question);
    if (inspected.kind === 'not_due') {
      await this.rows.heard(connection.tenantId, connection.connectionId, askedAtMs);
      return askedAtMs + gapMs;
    }
    const { outcome } = inspected;
    await this.rows.keep(connection, { outcome, askedAtMs });
    if (inspected.outcome !== 'no_answer') {
      progress.failures = 0;
      return askedAtMs + gapMs;
    }
    const askedForMs = Math.min(inspected.retryAfterMs ?? 0, inspectionRetryAfterMsMax);
    const untilMs = this.clock.nowMs() + Math.max(pauseMs(progress), askedForMs);
    await this.rows.pause(connection, untilMs);
    return untilMs;
  }

  /** @returns undefined where the provider cannot be asked */
  async #client(connection: Connection, question: Question): Promise<InquiringClient | undefined> {
    const { tenantId, registrationId } = connection;
    const client = await this.clients.inquiring(connection);
    if (question === 'probe') return client;
    const { endpoints } = await client.discover();
    if (endpoints.introspectionEndpoint !== null) return client;
    this.logger.info('a provider cannot be asked about its grants', { tenantId, registrationId });
    return undefined;
  }
}

/** Of a registration's connection; which one is added. */
function inspectedOf({
  tenantId,
  registrationId,
  providerId,
}: Registration): Omit<InspectedConnection, 'connectionId'> {
  return { tenantId, registrationId, providerId };
}

/** How long a provider that had no answer is left alone, from failure to failure. */
function pauseMs(progress: Progress): number {
  const doubledMs = inspectionPauseMsMin * 2 ** Math.min(progress.failures, 10);
  progress.failures += 1;
  return Math.min(doubledMs, inspectionPauseMsMax);
}
