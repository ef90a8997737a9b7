import { Injectable } from '@nestjs/common';
import {
  administratorToken,
  operations,
  PosternError,
  type AggregateChange,
  type Moment,
  type ReplyOf,
  type RequestOf,
} from '@postern/contracts';
import type { AdminState, Agent } from '@postern/domain';
import { aggregateOf, type Aggregate } from '@postern/event-log';
import type { Call } from '@postern/nats';
import { callingOwner, Serves } from '@postern/service';

import { sees, type Asker } from '../connection-log.ts';
import { inRows } from '../past/in-rows.ts';
import { Past } from '../past/past.ts';
import { adminFacts, changedFacts, connectionFacts } from './facts.ts';
import { pageDefault, pageMs } from './page.ts';

type Request = RequestOf<typeof operations.diff>;
type Reply = ReplyOf<typeof operations.diff>;
type Stream = 'connections' | 'admin';

interface Question {
  readonly asker: Asker;
  readonly before: Moment;
  readonly after: Moment;
  readonly limit: number;
}

/** An aggregate that was written between the two moments, and where first. */
interface Touched {
  readonly aggregate: Aggregate;
  readonly position: number;
}

interface Page {
  readonly touched: readonly Touched[];
  /** Where the next page begins to read. */
  readonly next: number | null;
}

/**
 * Answers `audit.diff`: what was written of between two moments is looked up at both. First configuration, then
 * connections, each where it was first written of.
 */
@Injectable()
export class Diff {
  constructor(private readonly past: Past) {}

  @Serves(operations.diff)
  async answer({ at, until, after: cursor = 'admin.0', limit = pageDefault }: Request, call: Call): Promise<Reply> {
    const asker = callingOwner(call);
    const [before, after] = [await this.past.moment(at), await this.past.moment(until)];
    if (before.connections > after.connections || before.admin > after.admin) {
      throw new PosternError('request.malformed', 'The first moment is later than the second.');
    }
    const [stream = '', position = '0'] = cursor.split('.');
    const question = { asker, before, after, limit };
    const fromPosition = Number(position);
    if (stream === 'connections') return await this.#connections(question, fromPosition);
    const { touched, next } = await this.#touched('admin', question, fromPosition);
    const changes = await this.#adminChanges(question, touched);
    return { before, after, changes, next: next === null ? 'connections.0' : `admin.${next}` };
  }

  async #connections(question: Question, fromPosition: number): Promise<Reply> {
    const { asker, before, after } = question;
    const { touched, next } = await this.#touched('connections', question, fromPosition);
    const found = await inRows(touched, async ({ aggregate, position }): Promise<AggregateChange | undefined> => {
      const [then, now] = [
        await this.past.connection(aggregate, before.connections),
        await this.past.connection(aggregate, after.connections),
      ];
      if (now.revision === 0 || !sees(asker, now.state.platformId)) return undefined;
      const facts = then.revision === 0 ? null : connectionFacts(then.state);
      return changeOf({ aggregate, position }, facts, connectionFacts(now.state));
    });
    const changes = found.filter((change) => change !== undefined);
    return { before, after, changes, next: next === null ? null : `connections.${next}` };
  }

  async #adminChanges({ asker, before, after }: Question, touched: readonly Touched[]): Promise<AggregateChange[]> {
    const then = await this.past.directory(asker.tenantId, before.admin);
    const now = await this.past.directory(asker.tenantId, after.admin);
    return touched.flatMap((one) => {
      const { aggregate } = one;
      const [stateThen, stateNow] = [then.stateOf(aggregate), now.stateOf(aggregate)];
      if (stateNow === undefined || !seesAdmin(asker, aggregate, stateNow)) return [];
      const facts = stateThen === undefined ? null : adminFacts(aggregate.kind, stateThen);
      return [changeOf(one, facts, adminFacts(aggregate.kind, stateNow))];
    });
  }

  /** What was first written of after the moment before, where the reading stands or later. */
  async #touched(stream: Stream, { asker, before, after, limit }: Question, from: number): Promise<Page> {
    const fromPosition = Math.max(before[stream] + 1, from);
    const touched: Touched[] = [];
    const met = new Set<string>();
    const deadlineMs = performance.now() + pageMs;
    if (fromPosition > after[stream]) return { touched, next: null };
    const range = { fromPosition, untilPosition: after[stream] };
    for await (const message of this.past.written(stream, asker.tenantId, range)) {
      const { position, subject } = message;
      if (touched.length === limit || performance.now() > deadlineMs) return { touched, next: position };
      const aggregate = aggregateOf(subject);
      if (aggregate === undefined || met.has(subject) || this.past.commitOf(message) === undefined) continue;
      met.add(subject);
      // What was written of earlier stands on an earlier page.
      if ((await this.past.lastPosition(stream, subject, fromPosition - 1)) > before[stream]) continue;
      touched.push({ aggregate, position });
    }
    return { touched, next: null };
  }
}

/** A platform sees itself and its agents; what registrations and tenants are is the administrators' business. */
function seesAdmin({ platformId }: Asker, { kind, id }: Aggregate, state: AdminState): boolean {
  if (platformId === administratorToken) return true;
  return kind === 'platform' ? id === platformId : kind === 'agent' && (state as Agent).platformId === platformId;
}

function changeOf(
  { aggregate: { kind, id }, position }: Touched,
  ...[before, after]: [AggregateChange['before'], AggregateChange['after']]
): AggregateChange {
  return { kind, id, first_position: position, before, after, changed: changedFacts(before, after) };
}
