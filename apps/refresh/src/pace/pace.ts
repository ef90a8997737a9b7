import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Connection } from '@postern/domain';
import { Clock, Logger, Metrics, type Counter } from '@postern/service';

import { RefreshConfig } from '../refresh-config.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { breakerStates } from './circuit-breaker.ts';
import { paceLimits } from './pace-limits.ts';
import { ProviderPace, type Answer, type PaceReading } from './provider-pace.ts';
import { Recent } from './recent.ts';
import { ReturnTimes } from './return-times.ts';
import { Seats } from './seats.ts';
import { WaitingRoom, type DueTime, type WaitedSeat } from './waiting-room.ts';

/** The message goes back to the queue for so long, and nothing was decided. */
export interface PutBack {
  readonly kind: 'put_back';
  readonly delayMs: number;
}

/** The right to claim and spend one refresh token now. */
export interface Permit {
  readonly kind: 'permit';
  /** Must be called, whatever happened; where the provider was not called, the right goes to the next one. */
  end(outcome: { readonly called: boolean }): void;
}

/**
 * At which pace this process works: fair between tenants, as fast as each provider takes it, and not at all while one
 * is down. What may not be done now is put back before it is claimed.
 */
@Injectable()
export class Pace implements OnModuleDestroy {
  readonly #seats = new Seats(refreshLimits.seatsMax);
  readonly #room: WaitingRoom;
  readonly #returns = new Recent<ReturnTimes>(paceLimits.tenantsKnownMax);
  readonly #providers = new Recent<ProviderPace>(paceLimits.registrationsKnownMax);
  readonly #clock: Pick<Clock, 'monotonicMs' | 'random' | 'after'>;
  readonly #logger: Pick<Logger, 'error' | 'warn' | 'info'>;
  readonly #callsPerSMax: number;
  readonly #putBacks: Counter;
  #seatMs: number = paceLimits.seatMsFirst;

  constructor({ providerCallsPerSecond }: RefreshConfig, clock: Clock, logger: Logger, metrics: Metrics) {
    this.#callsPerSMax = providerCallsPerSecond;
    this.#clock = clock;
    this.#room = new WaitingRoom({
      seats: this.#seats,
      placesMax: refreshLimits.placesMax,
      clock,
      seatMs: () => this.#seatMs,
    });
    this.#logger = logger;
    this.#putBacks = metrics.counter('postern.refresh.put_back');
    metrics.gauge('postern.refresh.seats.taken', () => this.#seats.taken);
    metrics.gauge('postern.refresh.places.taken', () => this.#room.taken);
    metrics.gauge('postern.refresh.breakers', () => this.#byBreaker());
    metrics.gauge(
      'postern.refresh.rejection_waves',
      () => [...this.#providers.values()].filter((pace) => pace.hasWave).length,
    );
  }

  /** What waits for a seat is given back before the work ends: another process may have one. */
  onModuleDestroy(): void {
    this.#room.close();
  }

  /** A seat for a due message of this tenant, at once or as soon as one is left. */
  async seat(tenantId: string, dueTime: DueTime): Promise<(WaitedSeat & { readonly kind: 'seat' }) | PutBack> {
    const free = this.#seats.take(tenantId);
    const seat = free === undefined ? await this.#room.seat(tenantId, dueTime) : { ...free, waitedMs: 0 };
    if (seat === undefined) return { kind: 'put_back', delayMs: this.#comesBackInMs(tenantId) };
    const nowMs = this.#clock.monotonicMs();
    return {
      kind: 'seat',
      waitedMs: seat.waitedMs,
      leave: () => {
        seat.leave();
        this.#room.fill();
        this.#seatMs += (this.#clock.monotonicMs() - nowMs - this.#seatMs) * paceLimits.seatMsWeight;
      },
    };
  }

  /** In how long a due message of this tenant shall come again; undefined when there is a seat for it, or a place to wait. */
  passOverMs(tenantId: string, dueTime: DueTime): number | undefined {
    const isWelcome = this.#seats.hasOneFor(tenantId) || this.#room.isWelcome(tenantId, dueTime);
    return isWelcome ? undefined : this.#comesBackInMs(tenantId);
  }

  #comesBackInMs(tenantId: string): number {
    this.#putBacks.add(1, { why: 'share' });
    const returns = this.#returns.get(tenantId, () => new ReturnTimes());
    const intervalMs = this.#seatMs / refreshLimits.seatsMax / paceLimits.returnsPerTurn;
    return returns.delayMs({ nowMs: this.#clock.monotonicMs(), intervalMs, random: this.#clock.random() });
  }

  /** The right to spend the refresh token of this connection at its provider now. */
  turn({ registrationId, providerId }: Pick<Connection, 'registrationId' | 'providerId'>): Permit | PutBack {
    const now = this.#now();
    const ids = { registrationId, providerId };
    const rate = { callsPerSMax: this.#callsPerSMax, nowMs: now.nowMs };
    const pace = this.#providers.get(registrationId, () => new ProviderPace(ids, rate));
    const turn = pace.turn(now);
    if (turn.kind === 'put_back') {
      this.#putBacks.add(1, { why: turn.why });
      return turn;
    }
    const { isTrial } = turn;
    return { kind: 'permit', end: ({ called }) => pace.ended({ isTrial, called }) };
  }

  /** What the provider said to this client registration. @returns what of it counts */
  heard(registrationId: string, said: Answer): Answer {
    const now = this.#now();
    const pace = this.#providers.peek(registrationId);
    if (pace === undefined) return said;
    const answer = pace.weighed(said, now.nowMs);
    const turned = pace.heard(answer, now);
    if (turned === undefined) return answer;
    const { providerId, nextTrialInMs, lastError } = pace.reading(now.nowMs);
    const words = { registrationId, providerId, nextTrialInMs, error: lastError };
    if (answer !== said) this.#logger.error('a provider calls one refresh token after the other dead: ask it', words);
    else if (turned === 'break_began') this.#logger.warn('a provider is left alone for a while', words);
    else this.#logger.info('a provider is back', words);
    return answer;
  }

  /** How long nobody need ask this client registration's provider for anything; 0 when it may be asked. */
  pausedMs(registrationId: string): number {
    return this.#providers.peek(registrationId)?.reading(this.#clock.monotonicMs()).nextTrialInMs ?? 0;
  }

  /** Every client registration that this process has worked for lately. */
  readings(): PaceReading[] {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#providers.values()].map((pace) => pace.reading(nowMs));
  }

  #byBreaker(): [{ provider: string; state: string }, number][] {
    const counts = new Map<string, [{ provider: string; state: string }, number]>();
    for (const { providerId: provider, breaker } of this.readings()) {
      for (const state of breakerStates) {
        const series = counts.get(`${provider} ${state}`) ?? [{ provider, state }, 0];
        if (breaker === state) series[1] += 1;
        counts.set(`${provider} ${state}`, series);
      }
    }
    return [...counts.values()];
  }

  #now(): { nowMs: number; random: number } {
    return { nowMs: this.#clock.monotonicMs(), random: this.#clock.random() };
  }
}
