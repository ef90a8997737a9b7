import { consumers, PosternError, subjects, type RefreshDue } from '@postern/contracts';
import type { AggregateRef, StoredMessage } from '@postern/event-log';

import { SimConsumer, type Worker } from './consumer.ts';
import type { Due } from '../due/due-messages.ts';
import { refreshLimits } from '../refresh-limits.ts';
import type { PlannedDue } from '../schedule/plan-refresh.ts';
import type { Standing } from '../schedule/schedules.ts';
import type { SimProcess } from './process.ts';
import type { World } from './world.ts';

interface Schedule {
  readonly payload: RefreshDue;
  readonly callOff: () => void;
}

/** An old schedule that fires takes along a new one of this instant. */
const sameInstantMs = 20;

/** The stream REFRESH as nats-server has it: one message a subject, schedules that become due messages, a work queue. */
export class RefreshStream {
  readonly #world: World;
  readonly #schedules = new Map<string, Schedule>();
  readonly #dues = new Map<string, StoredMessage>();
  readonly #consumer: SimConsumer;
  #position = 0;

  constructor(world: World, workers: () => readonly Worker[]) {
    this.#world = world;
    this.#consumer = new SimConsumer({
      world,
      name: 'refresh-worker',
      ackWaitMs: consumers.refreshWorker.ackWaitMs,
      concurrencyMax: refreshLimits.workConcurrencyMax,
      workers,
      stands: (message) => this.#dues.get(message.subject) === message,
      onDone: (message) => {
        if (this.#dues.get(message.subject) === message) this.#dues.delete(message.subject);
      },
    });
  }

  /** Everything on it is gone. */
  wipe(): void {
    this.#world.trace('', 'REFRESH is wiped');
    for (const { callOff } of this.#schedules.values()) callOff();
    this.#schedules.clear();
    this.#dues.clear();
  }

  /** What stands now, for whoever looks from outside. */
  standing(ref: AggregateRef): Standing {
    const payload = this.#schedules.get(keyOf(ref))?.payload;
    return {
      schedule:
        payload === undefined
          ? null
          : { dueAtMs: payload.due_at_ms ?? 0, credentialVersion: payload.credential_version },
      dueStands: this.#dues.has(subjects.refreshDue(idsOf(ref))),
    };
  }

  /** In the place of `DueMessages` of one process. */
  dueMessagesOf(process: SimProcess): { publish(due: Due): Promise<void> } {
    return {
      publish: async ({ tenantId, connectionId, reason, credentialVersion, position, dueAtMs }) => {
        const planned = dueAtMs === undefined ? {} : { due_at_ms: dueAtMs };
        const payload = { reason, credential_version: credentialVersion, position, ...planned };
        await this.#reach(process, 'publish due', () => {
          const subject = subjects.refreshDue({ tenantId, connectionId });
          if (!this.#dues.has(subject)) this.#put(subject, payload);
        });
      },
    };
  }

  /** In the place of `Schedules` of one process. */
  schedulesOf(process: SimProcess) {
    const put = async (ref: AggregateRef, payload: RefreshDue, { onlyFirst = false } = {}): Promise<boolean> =>
      await this.#reach(process, 'set schedule', () => {
        if (onlyFirst && this.#schedules.has(keyOf(ref))) return false;
        this.#schedule(ref, payload);
        return true;
      });
    return {
      set: async (ref: AggregateRef, plan: PlannedDue, position: number): Promise<void> =>
        void (await put(ref, scheduled(plan, position))),
      setFirst: async (ref: AggregateRef, plan: PlannedDue, position: number): Promise<boolean> =>
        await put(ref, scheduled(plan, position), { onlyFirst: true }),
      cancel: async (ref: AggregateRef): Promise<void> => {
        await this.#reach(process, 'cancel schedule', () => {
          this.#schedules.get(keyOf(ref))?.callOff();
          this.#schedules.delete(keyOf(ref));
        });
      },
      standing: (refs: readonly AggregateRef[]): Promise<Standing[]> =>
        this.#reach(process, 'look at schedules', () => refs.map((ref) => this.standing(ref))),
    };
  }

  async #reach<T>(process: SimProcess, where: string, effect: () => T): Promise<T> {
    return await process.reach(where, () => {
      const isLost = this.#world.strikes('log');
      if (isLost && this.#world.random.happens(0.5)) throw new PosternError('log.unavailable', 'REFRESH is away.');
      const answer = effect();
      if (isLost) throw new PosternError('log.outcome_unknown', 'No acknowledgement came.');
      return answer;
    });
  }

  /** The timer may be lost: nats-server's does not notice a clock that was set. */
  #schedule(ref: AggregateRef, payload: RefreshDue): void {
    const world = this.#world;
    const key = keyOf(ref);
    this.#schedules.get(key)?.callOff();
    const isTimerLost = world.strikes('schedule');
    const inMs = Math.max(0, (payload.due_at_ms ?? 0) - world.nowMs) + world.random.between(0, 200);
    const callOff = isTimerLost ? () => undefined : world.timeline.after(inMs, () => this.#fire(ref, schedule));
    const schedule = { payload, callOff };
    this.#schedules.set(key, schedule);
  }

  #fire(ref: AggregateRef, schedule: Schedule): void {
    const world = this.#world;
    if (this.#schedules.get(keyOf(ref)) === schedule) this.#schedules.delete(keyOf(ref));
    if (world.strikes('schedule')) {
      // What is set in this very instant goes along with the one that fires.
      world.timeline.after(world.random.between(0, sameInstantMs), () => {
        this.#schedules.get(keyOf(ref))?.callOff();
        this.#schedules.delete(keyOf(ref));
      });
    }
    this.#put(subjects.refreshDue(idsOf(ref)), schedule.payload);
  }

  #put(subject: string, payload: RefreshDue): void {
    this.#position += 1;
    const message: StoredMessage = {
      subject,
      position: this.#position,
      timeMs: this.#world.nowMs,
      payload: Buffer.from(JSON.stringify(payload)),
      headers: {},
    };
    this.#dues.set(subject, message);
    if (!this.#world.strikes('schedule')) return this.#consumer.add(message);
    this.#dues.delete(subject);
    this.#world.trace('', `the message on ${subject} is lost`);
  }
}

function scheduled({ atMs, credentialVersion }: PlannedDue, position: number): RefreshDue {
  return { reason: 'scheduled', credential_version: credentialVersion, position, due_at_ms: atMs };
}

function idsOf({ tenantId, id: connectionId }: AggregateRef) {
  return { tenantId, connectionId };
}

const keyOf = ({ id }: AggregateRef) => id;
