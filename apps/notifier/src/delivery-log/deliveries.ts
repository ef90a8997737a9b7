import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { timestampOf, WebhookDelivery, type WebhookAttempt, type WebhookDeliveryStatus } from '@postern/contracts';
import { Clock } from '@postern/service';

import type { WebhookRef } from '../webhooks.ts';
import { NotifierDatabase } from './notifier-database.ts';
import { attemptTable, deliveryTable } from './tables.ts';

/** A message that somebody shall hear. */
export interface NewDelivery {
  readonly position: number;
  readonly messageId: string;
  readonly type: string;
}

/** A delivery that this process may send now, and nobody else until its time is over. */
export interface ClaimedDelivery extends NewDelivery, WebhookRef {
  /** Counts them all, from 1. */
  readonly attempt: number;
  /** Counts those since it was last begun, by hand or at first, from 1. */
  readonly tries: number;
}

/** What comes after an attempt. */
export type Fate =
  | { readonly status: 'delivered' | 'dead' }
  | { readonly status: 'pending'; readonly nextAttemptAtMs: number };

interface ClaimedRow {
  readonly position: string;
  readonly message_id: string;
  readonly type: string;
  readonly attempts: number;
  readonly tries: number;
}

interface ListedRow extends ClaimedRow {
  readonly status: WebhookDeliveryStatus;
  readonly next_attempt_at: Date | string | null;
  readonly created_at: Date | string;
}

interface AttemptRow {
  readonly position: string;
  readonly at: Date | string;
  readonly outcome: string;
  readonly http_status: number | null;
  readonly duration_ms: number;
}

export interface DeliveryQuery extends WebhookRef {
  readonly status: WebhookDeliveryStatus | null;
  readonly beforePosition: number | null;
  readonly limit: number;
}

/** What failed of a webhook's, in the order in which it was owed. */
export interface FailedQuery extends WebhookRef {
  /** From when on it was owed. Null: of all times, but only what was given up. */
  readonly sinceMs: number | null;
  /** Behind it. */
  readonly afterPosition: number;
  readonly limit: number;
}

/** As if it had never been tried; its attempts stay in the log. */
const begunAgain = `status = 'pending', tries = 0, next_attempt_at = ?, settled_at = null`;

/** What is owed to webhooks and what came of it, behind the tenants' wall. It survives whoever works on it. */
@Injectable()
export class Deliveries {
  readonly #database: NotifierDatabase;
  readonly #clock: Clock;

  constructor(database: NotifierDatabase, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /**
   * Owes a message to webhooks.
   *
   * @effect May be repeated: what is owed already, or was settled, stays as it is.
   * @throws {PosternError} `webhook.log_unavailable`
   */
  async owe(tenantId: string, webhookIds: readonly string[], delivery: NewDelivery): Promise<void> {
    const { position, messageId, type } = delivery;
    const now = this.#now();
    await this.#database.inTenant(tenantId, async (em) => {
      for (const webhookId of webhookIds) {
        await em.execute(
          `insert into ${deliveryTable}
              (tenant_id, webhook_id, position, message_id, type, status, next_attempt_at, created_at)
            values (?, ?, ?, ?, ?, 'pending', ?, ?) on conflict do nothing`,
          [tenantId, webhookId, position, messageId, type, now, now],
        );
      }
    });
  }

  /**
   * Takes the delivery that is due longest.
   *
   * @param claimMs for how long it is this process's alone.
   * @returns undefined when none is due that is not taken.
   */
  async claim({ tenantId, webhookId }: WebhookRef, claimMs: number): Promise<ClaimedDelivery | undefined> {
    const nowMs = this.#clock.nowMs();
    const rows = await this.#database.inTenant(tenantId, (em) =>
      em.execute<ClaimedRow[]>(
        `update ${deliveryTable} set attempts = attempts + 1, tries = tries + 1, next_attempt_at = ?
          where tenant_id = ? and webhook_id = ? and position = (
            select position from ${deliveryTable}
            where tenant_id = ? and webhook_id = ? and status = 'pending' and next_attempt_at <= ?
            order by next_attempt_at, position limit 1 for update skip locked)
          returning position, message_id, type, attempts, tries`,
        [timestampOf(nowMs + claimMs), tenantId, webhookId, tenantId, webhookId, timestampOf(nowMs)],
        'all',
      ),
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    const { position, message_id: messageId, type, attempts: attempt, tries } = row;
    return { tenantId, webhookId, position: Number(position), messageId, type, attempt, tries };
  }

  /**
   * Writes down what came of an attempt. Of one whose claim passed on to somebody else only the attempt is kept.
   *
   * @throws {PosternError} `webhook.log_unavailable`: it will be sent again.
   */
  async settle(claimed: ClaimedDelivery, attempt: WebhookAttempt, fate: Fate): Promise<void> {
    const { tenantId, webhookId, position } = claimed;
    await this.#database.inTenant(tenantId, async (em) => {
      await em.execute(
        `insert into ${attemptTable} (tenant_id, webhook_id, position, attempt, at, outcome, http_status, duration_ms)
          values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing`,
        [
          ...[tenantId, webhookId, position, claimed.attempt],
          ...[attempt.at, attempt.outcome, attempt.http_status, attempt.duration_ms],
        ],
      );
      await this.#move(em, claimed, fate);
    });
  }

  /** Puts it back as if it had not been taken: what kept it from being sent was on our side. */
  async postpone(claimed: ClaimedDelivery, delayMs: number): Promise<void> {
    const { tenantId, webhookId, position, attempt } = claimed;
    await this.#database.inTenant(tenantId, (em) =>
      em.execute(
        `update ${deliveryTable} set attempts = attempts - 1, tries = tries - 1, next_attempt_at = ?
          where tenant_id = ? and webhook_id = ? and position = ? and attempts = ? and status = 'pending'`,
        [timestampOf(this.#clock.nowMs() + delayMs), tenantId, webhookId, position, attempt],
      ),
    );
  }

  /** Ends all that is owed to a webhook: it was disabled. @returns how many there were. */
  async giveUp({ tenantId, webhookId }: WebhookRef): Promise<number> {
    const rows = await this.#database.inTenant(tenantId, (em) =>
      em.execute<unknown[]>(
        `update ${deliveryTable} set status = 'dead', next_attempt_at = null, settled_at = ?
          where tenant_id = ? and webhook_id = ? and status = 'pending' returning position`,
        [this.#now(), tenantId, webhookId],
        'all',
      ),
    );
    return rows.length;
  }

  /** Begins one message again that was taken or given up. @returns whether there was one. */
  async again({ tenantId, webhookId }: WebhookRef, messageId: string): Promise<boolean> {
    const rows = await this.#database.inTenant(tenantId, (em) =>
      em.execute<unknown[]>(
        `update ${deliveryTable} set ${begunAgain}
          where tenant_id = ? and webhook_id = ? and status <> 'pending' and message_id = ? returning position`,
        [this.#now(), tenantId, webhookId, messageId],
        'all',
      ),
    );
    return rows.length > 0;
  }

  /**
   * Begins a page again of what was given up; where it is named since when, also what failed and waits for its next
   * attempt. What is under way at this moment stays as it is: nothing is known of it yet.
   *
   * @effect May be repeated. @returns their positions, in order: fewer than `limit` are the last.
   */
  async failedAgain({ tenantId, webhookId, sinceMs, afterPosition, limit }: FailedQuery): Promise<number[]> {
    const failed = `(status = 'dead' or exists (select from ${attemptTable} a where a.tenant_id = d.tenant_id
      and a.webhook_id = d.webhook_id and a.position = d.position and a.attempt = d.attempts and d.status = 'pending'))`;
    const which = sinceMs === null ? `status = 'dead'` : `created_at >= ? and ${failed}`;
    const rows = await this.#database.inTenant(tenantId, (em) =>
      em.execute<{ position: string }[]>(
        // An array, so that the page is chosen once, however the planner joins.
        `update ${deliveryTable} set ${begunAgain}
          where tenant_id = ? and webhook_id = ? and position = any (array(
            select position from ${deliveryTable} d where tenant_id = ? and webhook_id = ? and position > ? and ${which}
            order by position limit ? for update))
          returning position`,
        [
          ...[this.#now(), tenantId, webhookId, tenantId, webhookId, afterPosition],
          ...(sinceMs === null ? [limit] : [timestampOf(sinceMs), limit]),
        ],
        'all',
      ),
    );
    return rows.map(({ position }) => Number(position)).toSorted((one, other) => one - other);
  }

  /** Is there such a message of the webhook's? */
  async has({ tenantId, webhookId }: WebhookRef, messageId: string): Promise<boolean> {
    const rows = await this.#database.inTenant(tenantId, (em) =>
      em.execute<unknown[]>(`select from ${deliveryTable} where tenant_id = ? and webhook_id = ? and message_id = ?`, [
        tenantId,
        webhookId,
        messageId,
      ]),
    );
    return rows.length > 0;
  }

  /** When the next delivery of each webhook of a tenant is due. */
  async due(tenantId: string): Promise<{ readonly webhookId: string; readonly atMs: number }[]> {
    const rows = await this.#database.inTenant(tenantId, (em) =>
      em.execute<{ webhook_id: string; at: Date | string }[]>(
        `select webhook_id, min(next_attempt_at) as at from ${deliveryTable}
          where tenant_id = ? and status = 'pending' group by webhook_id`,
        [tenantId],
      ),
    );
    return rows.map(({ webhook_id: webhookId, at }) => ({ webhookId, atMs: new Date(at).getTime() }));
  }

  /** Deletes what was settled before then. */
  async clean(tenantId: string, beforeMs: number): Promise<void> {
    await this.#database.inTenant(tenantId, (em) =>
      em.execute(`delete from ${deliveryTable} where tenant_id = ? and status <> 'pending' and settled_at < ?`, [
        tenantId,
        timestampOf(beforeMs),
      ]),
    );
  }

  /** Newest first, each with its attempts. */
  async list({ tenantId, webhookId, status, beforePosition, limit }: DeliveryQuery): Promise<WebhookDelivery[]> {
    return await this.#database.inTenant(tenantId, async (em) => {
      const rows = await em.execute<ListedRow[]>(
        `select * from ${deliveryTable} where tenant_id = ? and webhook_id = ?
            and (?::text is null or status = ?) and (?::bigint is null or position < ?)
          order by position desc limit ?`,
        [tenantId, webhookId, status, status, beforePosition, beforePosition, limit],
      );
      const last = rows.at(-1);
      if (last === undefined) return [];
      const attempts = await em.execute<AttemptRow[]>(
        `select * from ${attemptTable} where tenant_id = ? and webhook_id = ? and position between ? and ?
          order by attempt`,
        [tenantId, webhookId, last.position, rows[0]?.position ?? last.position],
      );
      const attemptsAt = Map.groupBy(attempts, ({ position }) => position);
      return rows.map((row) => viewOf(row, attemptsAt.get(row.position) ?? []));
    });
  }

  async #move(em: EntityManager, claimed: ClaimedDelivery, fate: Fate): Promise<void> {
    const { tenantId, webhookId, position, attempt } = claimed;
    const isPending = fate.status === 'pending';
    await em.execute(
      `update ${deliveryTable} set status = ?, next_attempt_at = ?, settled_at = ?
        where tenant_id = ? and webhook_id = ? and position = ? and attempts = ? and status = 'pending'`,
      [
        ...[fate.status, isPending ? timestampOf(fate.nextAttemptAtMs) : null, isPending ? null : this.#now()],
        ...[tenantId, webhookId, position, attempt],
      ],
    );
  }

  #now(): string {
    return timestampOf(this.#clock.nowMs());
  }
}

const told = (at: Date | string) => timestampOf(new Date(at).getTime());

function viewOf(row: ListedRow, attempts: readonly AttemptRow[]): WebhookDelivery {
  return WebhookDelivery.parse({
    message_id: row.message_id,
    position: Number(row.position),
    type: row.type,
    status: row.status,
    attempts: attempts.map(({ at, outcome, http_status, duration_ms }) => ({
      ...{ at: told(at), outcome, http_status, duration_ms },
    })),
    created_at: told(row.created_at),
    next_attempt_at: row.next_attempt_at === null ? null : told(row.next_attempt_at),
  });
}
