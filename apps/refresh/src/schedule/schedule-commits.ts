import { Controller } from '@nestjs/common';
import type { ConnectionEventType, StoredEvent } from '@postern/contracts';
import { CommitReader } from '@postern/event-log';
import type { WorkMessage } from '@postern/nats';
import { Works } from '@postern/service';

import { KeepSchedule } from './keep-schedule.ts';
import { scheduleLimits } from './schedule-limits.ts';

/** What changes when a connection is due. A claim does not: its due message stands until its outcome is written. */
const changingThePlan: ReadonlySet<string> = new Set<ConnectionEventType>([
  'ConnectionAuthorized',
  'ConnectionReauthorized',
  'AccessTokenRefreshed',
  'RefreshFailed',
  'RefreshInterrupted',
  'ReauthorizationRequired',
  'AuthorizationExpiring',
  'RotationDue',
  'ConnectionRevoked',
  'ConnectionSuspended',
  'ConnectionResumed',
  'DeletionRequested',
  'EpochOpened',
]);

/**
 * Turns the log into schedules, from a durable consumer: a crash between a credential and its schedule loses nothing,
 * however many processes there are, and a redelivery sets the same schedule again: so an acknowledgement may be lost.
 */
@Controller()
export class ScheduleCommits {
  constructor(
    private readonly reader: CommitReader,
    private readonly keeper: KeepSchedule,
  ) {}

  @Works('refreshScheduler', { concurrencyMax: scheduleLimits.workConcurrencyMax, confirms: false })
  async commit(payload: unknown, message: WorkMessage): Promise<void> {
    // Two of a refresh's three commits say themselves that they change nothing: nobody need check who signed that.
    if (!saysItChangesThePlan(payload)) return;
    const read = this.reader.read(message);
    // What is not a commit is counted and alarmed where the log is followed; it changes no plan.
    if (read.kind !== 'commit') return;
    const { commit, position } = read.entry;
    await this.keeper.set({ tenantId: commit.tenantId, id: commit.aggregateId }, { position });
  }
}

function saysItChangesThePlan(payload: unknown): boolean {
  const { events } = (payload ?? {}) as { readonly events?: unknown };
  return (
    Array.isArray(events) && events.some((event) => changingThePlan.has((event as StoredEvent | null)?.type ?? ''))
  );
}
