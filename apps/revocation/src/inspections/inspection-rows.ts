import { Injectable } from '@nestjs/common';
import { Inspection, timestampOf, type InspectionOutcome } from '@postern/contracts';

import { RevocationDatabase } from '../accounts/revocation-database.ts';
import { revocationSchema } from '../accounts/tables.ts';

const inspection = `${revocationSchema}.inspection`;
const turn = `${revocationSchema}.inspection_turn`;

/** A client registration, at whose provider it is asked. */
export interface Polled {
  readonly tenantId: string;
  readonly registrationId: string;
}

/** A connection to be asked about. */
export interface Candidate {
  readonly connectionId: string;
  /** As far as is written down. */
  readonly dueAtMs: number;
  /** How long after the provider was heard that is. */
  readonly afterMs: number;
}

export interface CandidateQuery {
  readonly nowMs: number;
  /** How long after the provider was heard it is asked, and how long where much is at risk. */
  readonly everyMs: number;
  readonly everyMsAtRisk: number;
}

interface LongestUnheard {
  readonly connectionId: string;
  readonly atRisk: boolean;
  readonly heardAt: Date | string;
}

const candidatesQuery = {
  name: 'inspection_candidates',
  text: [true, false]
    .map(
      (
        atRisk,
      ) => `(select connection_id as "connectionId", at_risk as "atRisk", heard_at as "heardAt" from ${inspection}
        where tenant_id = $1 and registration_id = $2 and at_risk = ${atRisk} order by heard_at, connection_id limit 1)`,
    )
    .join(' union all '),
};

/** Who is to be asked about next, whose turn it is, and what was answered last. All of it can be lost. */
@Injectable()
export class InspectionRows {
  readonly #database: RevocationDatabase;

  constructor(database: RevocationDatabase) {
    this.#database = database;
  }

  /**
   * Of those at risk the one that was not heard of for longest, if it is due; else the one of all others.
   *
   * @returns undefined where there is none at all. @throws {PosternError} `signal.index_unavailable`
   */
  async next({ tenantId, registrationId }: Polled, query: CandidateQuery): Promise<Candidate | undefined> {
    const values = [tenantId, registrationId];
    const rows = await this.#database.readInTenant(tenantId, { ...candidatesQuery, values });
    const candidates = (rows as unknown as LongestUnheard[]).map(({ connectionId, atRisk, heardAt }) => {
      const afterMs = atRisk ? query.everyMsAtRisk : query.everyMs;
      return { connectionId, dueAtMs: new Date(heardAt).getTime() + afterMs, afterMs };
    });
    const [first, second] = candidates;
    if (first === undefined || second === undefined || first.dueAtMs <= query.nowMs) return first;
    return second.dueAtMs < first.dueAtMs ? second : first;
  }

  /** Nothing is asked before so long after this time. @throws {PosternError} `signal.index_unavailable` */
  async heard(tenantId: string, connectionId: string, heardAtMs: number): Promise<void> {
    await this.#database.inTenant(tenantId, (em) =>
      em.execute(`update ${inspection} set heard_at = ? where tenant_id = ? and connection_id = ?`, [
        timestampOf(heardAtMs),
        tenantId,
        connectionId,
      ]),
    );
  }

  /** @effect may be repeated. @throws {PosternError} `signal.index_unavailable` */
  async keep(
    { tenantId, connectionId }: { readonly tenantId: string; readonly connectionId: string },
    { outcome, askedAtMs }: { readonly outcome: InspectionOutcome; readonly askedAtMs: number },
  ): Promise<void> {
    const askedAt = timestampOf(askedAtMs);
    await this.#database.inTenant(tenantId, (em) =>
      em.execute(
        `update ${inspection} set heard_at = ?, asked_at = ?, outcome = ? where tenant_id = ? and connection_id = ?`,
        [askedAt, askedAt, outcome, tenantId, connectionId],
      ),
    );
  }

  /**
   * Takes the next question of a registration, however many processes want it.
   *
   * @returns when the next one may be, where it is not ours
   * @throws {PosternError} `signal.index_unavailable`
   */
  async takeTurn(
    { tenantId, registrationId }: Polled,
    { nowMs, gapMs }: { readonly nowMs: number; readonly gapMs: number },
  ): Promise<'taken' | number> {
    return await this.#database.inTenant(tenantId, async (em) => {
      const taken = await em.execute<unknown[]>(
        `insert into ${turn} as standing (tenant_id, registration_id, next_at) values (?, ?, ?)
          on conflict (tenant_id, registration_id) do update set next_at = excluded.next_at where standing.next_at <= ?
          returning 1`,
        [tenantId, registrationId, timestampOf(nowMs + gapMs), timestampOf(nowMs)],
      );
      if (taken.length > 0) return 'taken';
      const rows = await em.execute<{ next_at: Date | string }[]>(
        `select next_at from ${turn} where tenant_id = ? and registration_id = ?`,
        [tenantId, registrationId],
      );
      return rows[0] === undefined ? nowMs + gapMs : new Date(rows[0].next_at).getTime();
    });
  }

  /** Nobody asks for this registration until then. @throws {PosternError} `signal.index_unavailable` */
  async pause({ tenantId, registrationId }: Polled, untilMs: number): Promise<void> {
    await this.#database.inTenant(tenantId, (em) =>
      em.execute(
        `insert into ${turn} as standing (tenant_id, registration_id, next_at) values (?, ?, ?)
          on conflict (tenant_id, registration_id) do update set next_at = greatest(standing.next_at, excluded.next_at)`,
        [tenantId, registrationId, timestampOf(untilMs)],
      ),
    );
  }

  /** The last question about each connection, newest first. @throws {PosternError} `signal.index_unavailable` */
  async list(
    tenantId: string,
    { before, limit }: { readonly before: string | null; readonly limit: number },
  ): Promise<Inspection[]> {
    const rows = await this.#database.inTenant(tenantId, (em) =>
      em.execute<(Omit<Inspection, 'asked_at'> & { asked_at: Date | string })[]>(
        `select connection_id, registration_id, asked_at, outcome from ${inspection}
          where tenant_id = ? and asked_at is not null ${before === null ? '' : 'and asked_at < ?'}
          order by asked_at desc, connection_id limit ?`,
        [tenantId, ...(before === null ? [] : [before]), limit],
      ),
    );
    return rows.map((row) => Inspection.parse({ ...row, asked_at: timestampOf(new Date(row.asked_at).getTime()) }));
  }
}
