import { Controller } from '@nestjs/common';
import type { ConnectionEventType } from '@postern/contracts';
import { aggregateOf, CommitReader } from '@postern/event-log';
import type { WorkMessage } from '@postern/nats';
import { Works } from '@postern/service';

import { Connections } from '../connections.ts';
import { KeepSchedule } from './keep-schedule.ts';
import { scheduleLimits } from './schedule-limits.ts';

/** What changes when a connection is due. A claim does not: its due message stands until its outcome is written. */
const changingThePlan: readonly ConnectionEventType[] = [
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
];
const nameOfOneOfThose = new RegExp(`"(?:${changingThePlan.join('|')})"`);

/**
 * Turns the log into schedules, from a durable consumer: a crash between a credential and its schedule loses nothing,
 * however many processes there are, and a redelivery sets the same schedule again: so an acknowledgement may be lost.
 */
@Controller()
export class ScheduleCommits {
  constructor(
    private readonly reader: CommitReader,
    private readonly connections: Connections,
    private readonly keeper: KeepSchedule,
  ) {}

  @Works('refreshScheduler', {
    concurrencyMax: scheduleLimits.workConcurrencyMax,
    confirms: false,
    parses: false,
    skips: (payload) => !namesAChange(payload),
  })
  async commit(_payload: unknown, message: WorkMessage): Promise<void> {
    const { position } = message;
    const aggregate = aggregateOf(message.subject);
    if (aggregate === undefined) return;
    // What is planned by is the newest state. Where memory is proven up to here, this message says nothing more.
    const isKnown = (this.connections.peek(aggregate)?.position ?? 0) >= position;
    // What is not a commit is counted and alarmed where the log is followed; it changes no plan.
    if (isKnown || this.reader.read(message).kind === 'commit') await this.keeper.set(aggregate, { position });
  }
}

/** Of the commits of a refresh only the outcome changes the plan: what names no such event need be neither parsed nor proven. */
export function namesAChange(payload: Uint8Array): boolean {
  return nameOfOneOfThose.test(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1'));
}
