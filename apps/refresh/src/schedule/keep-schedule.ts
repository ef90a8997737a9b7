import { Injectable } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import type { AggregateRef, Loaded } from '@postern/event-log';
import { Clock, EventLogs } from '@postern/service';

import { Connections } from '../connections.ts';
import { DueMessages } from '../due/due-messages.ts';
import { Plans } from './plans.ts';
import { faultOf, type ScheduleFault } from './schedule-fault.ts';
import { scheduleLimits } from './schedule-limits.ts';
import { Schedules } from './schedules.ts';

type Act = (loaded: Loaded<Connection>) => Promise<void>;

/**
 * Makes what is scheduled fit the newest state of a connection.
 *
 * Two processes may do so for two commits at a time, and the older one come last. So each looks, after it has
 * published, whether what it planned by is still the newest, and plans again if not: whoever comes last is right.
 *
 * Where no schedule stood, as after one that has fired, there is nothing to look for: who comes for a newer commit finds this one
 * standing. What an older one leaves behind where the newer one wanted none, or has seen its own fire, wakes somebody in vain.
 */
@Injectable()
export class KeepSchedule {
  constructor(
    private readonly connections: Connections,
    private readonly logs: EventLogs,
    private readonly plans: Plans,
    private readonly schedules: Schedules,
    private readonly due: DueMessages,
    private readonly clock: Clock,
  ) {}

  /** After a commit that changes the plan. @effect May be repeated. @throws {PosternError} `log.*` */
  async set(ref: AggregateRef, { position }: { readonly position: number }): Promise<void> {
    const known = await this.connections.load(ref);
    const first = known.position >= position ? known : await this.#newest(ref);
    const plan = this.plans.of(first.state);
    if (plan !== undefined && (await this.schedules.setFirst(ref, plan, first.position))) return;
    await this.#untilNewest(ref, first, async (loaded) => {
      const planOfNow = this.plans.of(loaded.state);
      if (planOfNow !== undefined) return await this.schedules.set(ref, planOfNow, loaded.position);
      const [standing] = await this.schedules.standing([ref]);
      if (standing?.schedule !== null) await this.schedules.cancel(ref);
    });
  }

  /** Before a due message is acknowledged for which nothing was done: it may have been the only wake-up. */
  async ensure(ref: AggregateRef): Promise<void> {
    await this.#untilNewest(ref, await this.#newest(ref), async (loaded) => {
      const plan = this.plans.of(loaded.state);
      const [standing] = await this.schedules.standing([ref]);
      if (plan === undefined || standing === undefined) return;
      const own = { ...standing, dueStands: false };
      const fault = faultOf(plan, own, this.clock.nowMs());
      if (fault !== undefined) await this.schedules.set(ref, plan, loaded.position);
    });
  }

  /**
   * Mends what stands for a connection, if on a second look it still does not fit.
   *
   * What is due already is published as such, and not left to a server whose timer may be what is wrong.
   *
   * @returns what was mended.
   */
  async mend(ref: AggregateRef): Promise<ScheduleFault | undefined> {
    let mended: ScheduleFault | undefined;
    await this.#untilNewest(ref, await this.#newest(ref), async (loaded) => {
      const [standing] = await this.schedules.standing([ref]);
      const fault = standing && faultOf(this.plans.of(loaded.state), standing, this.clock.nowMs());
      if (fault !== undefined) await this.#put(ref, loaded);
      mended ??= fault;
    });
    return mended;
  }

  async #put(ref: AggregateRef, { state, position }: Loaded<Connection>): Promise<void> {
    const plan = this.plans.of(state);
    if (plan === undefined) return await this.schedules.cancel(ref);
    if (plan.atMs > this.clock.nowMs()) return await this.schedules.set(ref, plan, position);
    const { credentialVersion, atMs: dueAtMs } = plan;
    const ids = { tenantId: ref.tenantId, connectionId: ref.id };
    await this.due.publish({ ...ids, reason: 'scheduled', credentialVersion, position, dueAtMs });
  }

  async #untilNewest(ref: AggregateRef, first: Loaded<Connection>, act: Act): Promise<void> {
    const subject = this.connections.subjectOf(ref);
    let loaded = first;
    for (let attempt = 1; attempt <= scheduleLimits.keepAttemptsMax; attempt += 1) {
      await act(loaded);
      const newerThan = loaded.expectedPosition;
      if ((await this.logs.connections.last(subject, { fromLeader: true, newerThan })) === undefined) return;
      loaded = await this.#newest(ref);
    }
    throw new PosternError('log.unavailable', 'The connection changed faster than it could be scheduled.');
  }

  #newest(ref: AggregateRef): Promise<Loaded<Connection>> {
    return this.connections.load(ref, { fromLeader: true });
  }
}
