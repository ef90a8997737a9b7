import { setTimeout as delay } from 'node:timers/promises';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { timestampOf, type RefreshStatus } from '@postern/contracts';
import type { AggregateRef } from '@postern/event-log';
import { Bus } from '@postern/nats';
import { Clock, Logger, Metrics, ServiceIdentity, type Counter, type OnServiceReady } from '@postern/service';

import { TakeOver } from '../claim/take-over.ts';
import { RefreshConfig } from '../refresh-config.ts';
import { KeepSchedule } from '../schedule/keep-schedule.ts';
import type { ScheduleFault } from '../schedule/schedule-fault.ts';
import { scheduleLimits } from '../schedule/schedule-limits.ts';
import { SurveyFindings } from './survey-findings.ts';
import { Survey, type Mending } from './survey.ts';

/** What was found, and when. */
interface Surveyed {
  readonly findings: SurveyFindings;
  readonly atMs: number;
  readonly tookMs: number;
}

/**
 * Compares the log with the schedules and mends, at the start, by and by, and after a reconnect: REFRESH may have been wiped, a
 * schedule lost, a clock set, and a nats-server that was killed has lost what it had not synced. What the log says is what
 * counts; REFRESH can be made again from it.
 */
@Injectable()
export class Reconciler implements OnServiceReady, OnApplicationShutdown {
  readonly #stopping = new AbortController();
  readonly #mended: Record<ScheduleFault, number> = { missing: 0, moved: 0, stray: 0, overdue: 0 };
  readonly #mendedTotal: Counter;
  /** Ends the pause before the next reconciling. */
  #reconnected = new AbortController();
  #stopListening: () => void = () => undefined;
  #last: Surveyed | undefined;
  #looking: Promise<Surveyed> | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly config: RefreshConfig,
    private readonly survey: Survey,
    private readonly keeper: KeepSchedule,
    private readonly takeOver: TakeOver,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly identity: ServiceIdentity,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.#mendedTotal = metrics.counter('postern.refresh.schedules.mended');
    const counted = (read: (findings: SurveyFindings) => number) => () =>
      this.#last === undefined ? 0 : read(this.#last.findings);
    metrics.gauge(
      'postern.refresh.due',
      counted(({ due }) => due),
    );
    metrics.gauge(
      'postern.refresh.late',
      counted(({ late }) => late),
    );
  }

  onServiceReady(): void {
    this.#stopListening = this.bus.onStatus(({ type }) => {
      if (type === 'reconnected') this.#reconnected.abort();
    });
    this.#running = this.#byAndBy();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopListening();
    this.#stopping.abort();
    await this.#running;
  }

  /**
   * Mends what does not fit, everywhere, once.
   *
   * @returns how many were mended. @throws {PosternError} `log.*`; what was mended by then stays mended.
   */
  async reconcile(): Promise<number> {
    const before = this.#mendedCount();
    const { findings, tookMs } = await this.#look({
      schedule: async (ref) => await this.#mendSchedule(ref),
      inDoubt: async (ref) => await this.#recover(ref),
    });
    const mended = this.#mendedCount() - before;
    const { connections, scheduled, late } = findings;
    const words = { connections, scheduled, late, mended, tookMs, since_start: this.#mended };
    if (mended > 0) this.logger.warn('the schedules did not fit the log, and were mended', words);
    else this.logger.debug('the schedules fit the log', words);
    return mended;
  }

  async #mendSchedule(ref: AggregateRef): Promise<void> {
    const fault = await this.keeper.mend(ref);
    if (fault === undefined) return;
    this.#mended[fault] += 1;
    this.#mendedTotal.add(1, { fault });
    const { tenantId, id: connectionId } = ref;
    this.logger.debug('a schedule was mended', { tenantId, connectionId, fault });
  }

  /** What came in to the vault when nobody waited for it any more. A vault that does not answer is asked next time. */
  async #recover({ tenantId, id: connectionId }: AggregateRef): Promise<void> {
    try {
      await this.takeOver.recover({ tenantId, connectionId });
    } catch (error) {
      this.logger.warn('nobody says what a lost worker bought', { tenantId, connectionId, err: error });
    }
  }

  /** How refreshing goes, found anew unless that was done just now or takes too long. @throws {PosternError} `log.*` */
  async status(): Promise<Omit<RefreshStatus, 'open_breakers'>> {
    const isRecent = this.#last !== undefined && this.clock.nowMs() - this.#last.atMs < scheduleLimits.statusAgeMsMax;
    if (!isRecent) {
      // One that is under way is nearer to its end than another begun beside it.
      const looking = this.#looking ?? this.#look();
      looking.catch(() => undefined);
      await Promise.race([looking, delay(scheduleLimits.statusWaitMs, undefined, { ref: false })]);
    }
    const { findings, atMs, tookMs } = this.#last ?? { findings: new SurveyFindings(0), atMs: null, tookMs: 0 };
    return {
      instance: this.identity.instanceId,
      surveyed_at: atMs === null ? null : timestampOf(atMs),
      survey_ms: tookMs,
      ...findings.told(),
      mended: { ...this.#mended },
    };
  }

  #look(mending?: Mending): Promise<Surveyed> {
    const looking = this.#survey(mending).finally(() => {
      if (this.#looking === looking) this.#looking = undefined;
    });
    this.#looking = looking;
    return looking;
  }

  async #survey(mending: Mending | undefined): Promise<Surveyed> {
    const sinceMs = this.clock.monotonicMs();
    const findings = await this.survey.run({ signal: this.#stopping.signal, mending });
    const tookMs = Math.round(this.clock.monotonicMs() - sinceMs);
    const surveyed = { findings, atMs: this.clock.nowMs(), tookMs };
    this.#last = surveyed;
    return surveyed;
  }

  async #byAndBy(): Promise<void> {
    const { signal } = this.#stopping;
    let pauseMs = this.#soonMs();
    let failures = 0;
    let tookMs = 0;
    for (;;) {
      let sinceMs = this.clock.monotonicMs();
      try {
        await this.#pause(pauseMs, tookMs);
        sinceMs = this.clock.monotonicMs();
        await this.reconcile();
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.logger.error('the schedules could not be compared with the log', { err: error, failures });
      }
      tookMs = this.clock.monotonicMs() - sinceMs;
      pauseMs = this.#pauseMs(failures, tookMs);
    }
  }

  /** Shorter after a reconnect: until what was lost just before it is noticed as such, and no shorter than the last one took. */
  async #pause(pauseMs: number, tookMs: number): Promise<void> {
    const { signal } = this.#stopping;
    const reconnected = this.#reconnected.signal;
    try {
      await this.clock.sleep(pauseMs, { signal: AbortSignal.any([signal, reconnected]) });
    } catch (error) {
      if (signal.aborted || !reconnected.aborted) throw error;
      const settledMs = scheduleLimits.settlingMs + this.#soonMs();
      await this.clock.sleep(Math.min(pauseMs, Math.max(settledMs, tookMs)), { signal });
    }
    this.#reconnected = new AbortController();
  }

  #soonMs(): number {
    return this.clock.random() * scheduleLimits.firstReconcileWithinMs;
  }

  /** Until the next reconciling, after so many in a row that failed, the last of which took so long. */
  #pauseMs(failures: number, tookMs: number): number {
    const { reconcileIntervalMs, reconcileAgainMs } = this.config;
    // Half of it is chance: several processes do not read the log at the same time.
    const chance = 0.5 + this.clock.random();
    if (failures === 0) return Math.max(reconcileIntervalMs * chance, tookMs * scheduleLimits.reconcileTimeShare);
    const againMs = Math.min(reconcileIntervalMs, reconcileAgainMs * 2 ** (failures - 1));
    return Math.max(againMs * chance, tookMs);
  }

  #mendedCount(): number {
    return Object.values(this.#mended).reduce((sum, count) => sum + count, 0);
  }
}
