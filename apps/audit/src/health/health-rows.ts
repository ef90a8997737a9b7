import { Injectable } from '@nestjs/common';

import { hourMs } from '../models/access-model.ts';
import { AuditDatabase } from '../models/audit-database.ts';
import { rowOf } from '../models/model-rows.ts';
import { accessHourTable, auditSchema, connectionHealthTable } from '../models/tables.ts';
import { factsOf, type HealthFacts, type UseFacts } from './health-facts.ts';

export interface HealthQuery {
  readonly tenantId: string;
  /** Null for every platform, provider, connection. */
  readonly platformId: string | null;
  readonly providerId: string | null;
  readonly connectionId: string | null;
  /** Beyond this one; empty at first. */
  readonly afterId: string;
  readonly limit: number;
}

const live = (model: string) =>
  `(select generation from ${auditSchema}.projection where model = '${model}' and role = 'live')`;

const factsText = `select ${Object.keys(connectionHealthTable.columns).join(', ')}
  from ${auditSchema}.connection_health
  where generation = ${live('health')} and connection_id > $1
    and ($2::text is null or platform_id = $2) and ($3::text is null or provider_id = $3)
    and ($4::text is null or connection_id = $4)
  order by connection_id limit $5`;

const usesText = `select connection_id, code, sum(uses) filter (where hour_ms >= $2) as uses, max(last_at_ms) as last_at_ms
  from ${auditSchema}.${accessHourTable.name}
  where generation = ${live('access')} and connection_id = any ($1::text[]) group by connection_id, code`;

const unused: UseFacts = Object.freeze({ lastUsedAtMs: null, refused: {} });

/** Reads how connections fare. */
@Injectable()
export class HealthRows {
  constructor(private readonly database: AuditDatabase) {}

  /** Some at a time, in the order of their ids. @throws {PosternError} `audit.database_unavailable` */
  async facts({ tenantId, platformId, providerId, connectionId, afterId, limit }: HealthQuery): Promise<HealthFacts[]> {
    const values = [afterId, platformId, providerId, connectionId, limit];
    const rows = await this.database.readInTenant(tenantId, { name: 'health_facts', text: factsText, values });
    return rows.map((row) => factsOf(rowOf(connectionHealthTable, row)));
  }

  /** How these were leased. @throws {PosternError} `audit.database_unavailable` */
  async uses(
    tenantId: string,
    { connectionIds, nowMs }: { readonly connectionIds: readonly string[]; readonly nowMs: number },
  ): Promise<(connectionId: string) => UseFacts> {
    const since = Math.floor(nowMs / hourMs) * hourMs - 24 * hourMs;
    const query = { name: 'health_uses', text: usesText, values: [connectionIds, since] };
    const found = new Map<string, { lastUsedAtMs: number | null; refused: Record<string, number> }>();
    for (const { connection_id, code, uses, last_at_ms } of await this.database.readInTenant(tenantId, query)) {
      const id = String(connection_id);
      const one = found.get(id) ?? { lastUsedAtMs: null, refused: {} };
      found.set(id, one);
      if (code === '') one.lastUsedAtMs = Number(last_at_ms);
      else if (Number(uses ?? 0) > 0) one.refused[String(code)] = Number(uses);
    }
    return (connectionId) => found.get(connectionId) ?? unused;
  }
}
