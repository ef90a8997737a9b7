import { Injectable } from '@nestjs/common';
import { isPosternError, type RefreshDue, streams, subjects, timestampOf } from '@postern/contracts';
import type { AggregateRef, StoredMessage } from '@postern/event-log';
import { acknowledgedUpTo, Bus, lastMessages, publishMessage } from '@postern/nats';
import { linkingHeaders } from '@postern/service';

import { dueIn } from '../due/due-messages.ts';
import type { PlannedDue } from './plan-refresh.ts';

/** What stands on REFRESH for one connection. */
export interface Standing {
  readonly schedule: { readonly dueAtMs: number; readonly credentialVersion: number } | null;
  /** Waiting or in work. One that came back after it was acknowledged is neither: nobody gets it. */
  readonly dueStands: boolean;
}

const stream = streams.refresh.name;
/** The last time that RFC 3339 can write. */
const timestampMsMax = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * The schedules on REFRESH: one message a connection, which the server turns into its due message when it is time.
 *
 * An old schedule that fires takes a new one along that was published in the same instant, since the server empties the
 * subject; so whoever works off a due message and finds nothing to do makes sure that a schedule stands.
 */
@Injectable()
export class Schedules {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Replaces what was scheduled. @effect May be repeated. @throws {PosternError} `log.unavailable`, `log.outcome_unknown` */
  async set(ref: AggregateRef, plan: PlannedDue, position: number): Promise<void> {
    await this.#put(ref, plan, { position });
  }

  /** Schedules where nothing stands. @returns whether that was so. @throws as {@link set} */
  async setFirst(ref: AggregateRef, plan: PlannedDue, position: number): Promise<boolean> {
    try {
      await this.#put(ref, plan, { position, expectedLastSubjectPosition: 0 });
      return true;
    } catch (error) {
      if (isPosternError(error) && error.code === 'log.conflict') return false;
      throw error;
    }
  }

  async #put(
    ref: AggregateRef,
    plan: PlannedDue,
    { position, expectedLastSubjectPosition }: { position: number; expectedLastSubjectPosition?: number },
  ): Promise<void> {
    const payload: RefreshDue = {
      reason: 'scheduled',
      credential_version: plan.credentialVersion,
      position,
      due_at_ms: plan.atMs,
    };
    const headers = {
      ...linkingHeaders(),
      'Nats-Schedule': `@at ${timestampOf(Math.min(plan.atMs, timestampMsMax))}`,
      'Nats-Schedule-Target': subjects.refreshDue(idsOf(ref)),
    };
    const subject = subjects.refreshSchedule(idsOf(ref));
    await publishMessage(this.#bus, { stream, subject, payload, headers, expectedLastSubjectPosition });
  }

  /** Puts something in the schedule's place that is no schedule, and goes by itself. @effect May be repeated. */
  async cancel(ref: AggregateRef): Promise<void> {
    const subject = subjects.refreshSchedule(idsOf(ref));
    const headers = { ...linkingHeaders(), 'Nats-TTL': '1s' };
    await publishMessage(this.#bus, { stream, subject, payload: { cancelled: true }, headers });
  }

  /** What stands for each of these connections, in their order. @throws {PosternError} `log.unavailable` */
  async standing(refs: readonly AggregateRef[]): Promise<Standing[]> {
    const pairs = refs.map((ref) => [subjects.refreshSchedule(idsOf(ref)), subjects.refreshDue(idsOf(ref))] as const);
    const settled = await acknowledgedUpTo(this.#bus, 'refreshWorker');
    const found = await lastMessages(this.#bus, { stream, subjects: pairs.flat() });
    return pairs.map(([schedule, due]) => ({
      schedule: scheduleOf(found.get(schedule)),
      dueStands: (found.get(due)?.position ?? 0) > settled,
    }));
  }
}

function idsOf({ tenantId, id: connectionId }: AggregateRef) {
  return { tenantId, connectionId };
}

function scheduleOf(message: StoredMessage | undefined): Standing['schedule'] {
  if (message?.headers['Nats-Schedule'] === undefined) return null;
  const due = dueIn(message);
  if (due === undefined) return { dueAtMs: 0, credentialVersion: 0 };
  const { due_at_ms: dueAtMs = 0, credential_version: credentialVersion } = due;
  return { dueAtMs, credentialVersion };
}
