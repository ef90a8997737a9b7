import { Injectable } from '@nestjs/common';
import { subjects } from '@postern/contracts';
import { connectionEvolver, interruptedClaims, type Connection } from '@postern/domain';
import { CommitReader, type AggregateRef, type StoredMessage } from '@postern/event-log';
import { Clock, EventLogs, Logger } from '@postern/service';

import { Connections } from '../connections.ts';
import type { PlannedDue } from '../schedule/plan-refresh.ts';
import { Plans } from '../schedule/plans.ts';
import { faultOf } from '../schedule/schedule-fault.ts';
import { scheduleLimits } from '../schedule/schedule-limits.ts';
import { Schedules } from '../schedule/schedules.ts';
import { SurveyFindings } from './survey-findings.ts';

/** A connection that does not seem to be as it should; to be looked at once more before anything is mended. */
export type Suspect = (ref: AggregateRef) => Promise<void>;

/** What is done about what is found. */
export interface Mending {
  /** Its schedule does not fit. */
  readonly schedule: Suspect;
  /** Its owner is asked to connect anew, since nobody knew a while ago what its refresh token had bought. */
  readonly inDoubt: Suspect;
}

export interface SurveyOptions {
  readonly mending?: Mending | undefined;
  /** Ends it with an error. */
  readonly signal?: AbortSignal | undefined;
}

interface Seen {
  readonly ref: AggregateRef;
  readonly state: Connection;
  readonly plan: PlannedDue | undefined;
  /** Of its last commit. */
  readonly atMs: number;
}

/**
 * Compares every connection of the log with what stands for it on REFRESH, in batches: the log is read once, by the
 * last message of each subject, and memory holds one batch.
 */
@Injectable()
export class Survey {
  constructor(
    private readonly logs: EventLogs,
    private readonly reader: CommitReader,
    private readonly connections: Connections,
    private readonly plans: Plans,
    private readonly schedules: Schedules,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** @throws {PosternError} `log.*` */
  async run({ mending, signal }: SurveyOptions = {}): Promise<SurveyFindings> {
    const findings = new SurveyFindings(this.clock.nowMs());
    let batch: Seen[] = [];
    let toldMs = this.clock.monotonicMs();
    for await (const message of this.logs.connections.read({ filter: subjects.allConnections, lastPerSubject: true })) {
      signal?.throwIfAborted();
      const seen = await this.#seen(message);
      if (seen !== undefined) batch.push(seen);
      if (batch.length < scheduleLimits.compareBatch) continue;
      await this.#compare(batch, findings, mending);
      batch = [];
      if (this.clock.monotonicMs() - toldMs < scheduleLimits.progressEveryMs) continue;
      toldMs = this.clock.monotonicMs();
      const { connections, unscheduled } = findings;
      this.logger.info('comparing the log with the schedules', { connections, unscheduled });
    }
    await this.#compare(batch, findings, mending);
    return findings;
  }

  /** The carried state is believed here: what looks wrong is proven before anything is done about it. */
  async #seen(message: StoredMessage): Promise<Seen | undefined> {
    const [, , tenantId = '', id = ''] = message.subject.split('.');
    const ref = { tenantId, id };
    const read = this.reader.read(message);
    const isReadable = read.kind === 'commit' && read.entry.commit.stateVersion === connectionEvolver.stateVersion;
    try {
      const { state, atMs } = isReadable
        ? { state: read.entry.commit.state as Connection, atMs: Date.parse(read.entry.commit.at) }
        : await this.connections.load(ref, { fromLeader: true });
      // A connection that moved stands under its next epoch's subject, too.
      if (state.authorization === 'moved' || state.authorization === 'none') return undefined;
      return { ref, state, plan: this.plans.of(state), atMs };
    } catch (error) {
      this.logger.warn('a connection cannot be read, and is left out', { subject: message.subject, err: error });
      return undefined;
    }
  }

  async #compare(batch: readonly Seen[], findings: SurveyFindings, mending: Mending | undefined): Promise<void> {
    const standing = await this.schedules.standing(batch.map(({ ref }) => ref));
    const nowMs = this.clock.nowMs();
    const misfits: AggregateRef[] = [];
    const inDoubt: AggregateRef[] = [];
    for (const [index, { ref, state, plan, atMs }] of batch.entries()) {
      const stands = standing[index];
      const isSettling = nowMs - atMs < scheduleLimits.settlingMs && nowMs >= atMs;
      const fault = stands === undefined || isSettling ? undefined : faultOf(plan, stands, nowMs);
      findings.add(state, plan, { fits: fault === undefined });
      if (fault !== undefined) misfits.push(ref);
      if (isInDoubt(state) && nowMs - atMs < scheduleLimits.boughtInDoubtMs) inDoubt.push(ref);
    }
    if (mending === undefined) return;
    await eachOf(misfits, mending.schedule);
    await eachOf(inDoubt, mending.inDoubt);
  }
}

function isInDoubt(state: Connection): boolean {
  return state.reauthorizationCause === 'refresh_interrupted' && interruptedClaims(state).length > 0;
}

/** Some at a time. After an error no other one is begun, and those under way are waited for. @throws the first error */
async function eachOf(suspects: readonly AggregateRef[], onSuspect: Suspect): Promise<void> {
  const left = suspects.values();
  const errors: unknown[] = [];
  const workOff = async () => {
    try {
      for (const ref of left) {
        if (errors.length > 0) return;
        await onSuspect(ref);
      }
    } catch (error) {
      errors.push(error);
    }
  };
  await Promise.all(Array.from({ length: scheduleLimits.mendConcurrencyMax }, workOff));
  if (errors.length > 0) throw errors[0];
}
