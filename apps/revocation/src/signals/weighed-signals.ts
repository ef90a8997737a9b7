import { Injectable } from '@nestjs/common';
import { timestampOf, WeighedSignal, type Signal, type SignalOutcome } from '@postern/contracts';
import { Clock } from '@postern/service';

import { RevocationDatabase } from '../accounts/revocation-database.ts';
import { revocationSchema } from '../accounts/tables.ts';

const table = `${revocationSchema}.weighed_signal`;

/** What came of a signal. */
export interface Weighed {
  readonly outcome: SignalOutcome;
  readonly matched: number;
  readonly revoked: number;
  readonly suspected: number;
  /** Only where a provider is to be asked again: not before that. */
  readonly againAfterMs?: number;
}

export interface SignalQuery {
  readonly tenantId: string;
  readonly unmatched: boolean;
  readonly beforePosition: number | null;
  readonly limit: number;
}

type Row = Omit<WeighedSignal, 'position' | 'received_at' | 'weighed_at'> & {
  readonly position: string;
  readonly received_at: Date | string;
  readonly weighed_at: Date | string;
};

/** What came of each signal, for people who ask. The decisions themselves stand in the log. */
@Injectable()
export class WeighedSignals {
  readonly #database: RevocationDatabase;
  readonly #clock: Clock;

  constructor(database: RevocationDatabase, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** @effect may be repeated: the last word counts. @throws {PosternError} `signal.index_unavailable` */
  async keep(signal: Signal, position: number, { outcome, matched, revoked, suspected }: Weighed): Promise<void> {
    const { tenantId, registrationId, source, type, deliveryId, receivedAtMs } = signal;
    const nowMs = this.#clock.nowMs();
    await this.#database.inTenant(tenantId, (em) =>
      em.execute(
        `insert into ${table} (tenant_id, position, registration_id, source, type, delivery_id, received_at, outcome,
            matched, revoked, suspected, weighed_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
          on conflict (tenant_id, position) do update set outcome = excluded.outcome, matched = excluded.matched,
            revoked = excluded.revoked, suspected = excluded.suspected, weighed_at = excluded.weighed_at`,
        [
          ...[tenantId, position, registrationId, source, type, deliveryId, timestampOf(receivedAtMs)],
          ...[outcome, matched, revoked, suspected, timestampOf(nowMs)],
        ],
      ),
    );
  }

  /** Newest first. @throws {PosternError} `signal.index_unavailable` */
  async list({ tenantId, unmatched, beforePosition, limit }: SignalQuery): Promise<WeighedSignal[]> {
    const before = beforePosition === null ? '' : 'and position < ?';
    const rows = await this.#database.inTenant(tenantId, (em) =>
      em.execute<Row[]>(
        `select * from ${table} where tenant_id = ? ${unmatched ? "and outcome = 'unmatched'" : ''} ${before}
          order by position desc limit ?`,
        [tenantId, ...(beforePosition === null ? [] : [beforePosition]), limit],
      ),
    );
    return rows.map((row) =>
      WeighedSignal.parse({
        ...row,
        position: Number(row.position),
        received_at: timestampOf(new Date(row.received_at).getTime()),
        weighed_at: timestampOf(new Date(row.weighed_at).getTime()),
      }),
    );
  }
}
