import { Injectable } from '@nestjs/common';
import { isPosternError, limits } from '@postern/contracts';
import { announceAuthorizationEnd, announceRotation, type Connection } from '@postern/domain';
import type { WorkMessage } from '@postern/nats';
import { Clock, commitOrigin, Logger } from '@postern/service';

import { Connections, refreshActor } from '../connections.ts';
import { noticeClocks, type DueClock, type PlannedDue } from '../schedule/plan-refresh.ts';
import { Plans } from '../schedule/plans.ts';
import { scheduleLimits } from '../schedule/schedule-limits.ts';
import type { Due } from './due-messages.ts';

/** `refresh`: the time has come; `waits`: it has not, and the message was put back; `nothing`: another time, or none. */
export type Ripeness = 'refresh' | 'waits' | 'nothing';

/** Nothing may come of these before their time by our own clock. */
const strict: ReadonlySet<DueClock> = new Set(['retry', 'no_refresh_token']);
/** How far two services' clocks may be apart. */
const toleranceMs = 2 * limits.clockSkewMsMax;

/**
 * Judges scheduled due messages by the newest plan: one may come from a schedule that was replaced in the last moment,
 * or by a clock that is not ours, and a refresh too early costs something at some providers.
 */
@Injectable()
export class ScheduledDue {
  constructor(
    private readonly connections: Connections,
    private readonly plans: Plans,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /**
   * What memory calls ripe is ripe: the claim stands only where memory was right. Anything else is the leader's to say.
   *
   * @effect Tells of the end of an authorization, or of the age of a credential, where that is what is due. @throws {PosternError} `log.*`
   */
  async ripeness(due: Due, message: Pick<WorkMessage, 'nak'>): Promise<Ripeness> {
    const known = this.connections.peek(refOf(due));
    if (known !== undefined && this.#isRipe(known.state)) return 'refresh';
    const { state } = await this.connections.load(refOf(due), { fromLeader: true });
    const plan = this.plans.of(state);
    if (plan === undefined) return 'nothing';
    if (this.#leftMs(plan) > 0) return this.#early(due, plan, message);
    if (!noticeClocks.has(plan.clock)) return 'refresh';
    const next = this.plans.of(await this.#announce(due, state, plan.clock));
    return next === undefined || noticeClocks.has(next.clock) || this.#leftMs(next) > 0 ? 'nothing' : 'refresh';
  }

  #isRipe(state: Connection): boolean {
    const plan = this.plans.of(state);
    return plan !== undefined && !noticeClocks.has(plan.clock) && this.#leftMs(plan) <= 0;
  }

  /** How long it is still too early. */
  #leftMs({ clock, atMs }: PlannedDue): number {
    // Whoever finds a claim watches it by a clock of its own.
    if (clock === 'claim') return 0;
    const leftMs = atMs - this.clock.nowMs();
    return strict.has(clock) || leftMs > toleranceMs ? leftMs : 0;
  }

  /** By its own time it was due: the plan has changed since. Otherwise the server's clock is ahead, and we wait. */
  #early({ connectionId, dueAtMs = 0 }: Due, plan: PlannedDue, message: Pick<WorkMessage, 'nak'>): Ripeness {
    if (dueAtMs <= this.clock.nowMs()) return 'nothing';
    const leftMs = this.#leftMs(plan);
    this.logger.debug('a scheduled refresh came before its time', { connectionId, leftMs });
    message.nak(Math.min(Math.ceil(leftMs), scheduleLimits.earlyWaitMsMax));
    return 'waits';
  }

  async #announce(due: Due, state: Connection, clock: DueClock): Promise<Connection> {
    const endsAtMs = this.plans.authorizationEndOf(state);
    const { credentialVersion } = due;
    const options = { actor: refreshActor, ...commitOrigin(), fromLeader: true };
    try {
      const decide = (current: Connection) => {
        if (clock === 'rotation') return announceRotation({ credentialVersion }, current);
        return endsAtMs === null ? [] : announceAuthorizationEnd({ endsAtMs, credentialVersion }, current);
      };
      return (await this.connections.execute(refOf(due), decide, options)).state;
    } catch (error) {
      if (!isPosternError(error) || error.code.startsWith('log.')) throw error;
      return state;
    }
  }
}

function refOf({ tenantId, connectionId }: Due) {
  return { tenantId, id: connectionId };
}
