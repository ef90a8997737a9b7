import type { AccessModel } from './model.ts';
import { accessHourTable, type ModelRow } from './tables.ts';

export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

const number = (row: ModelRow, column: string) => Number(row[column]);

/** Who used which connection in which hour, by platform and agent: how often it was granted, and refused for what. */
export const accessModel: AccessModel = {
  name: 'access',
  stream: 'access',
  tables: [accessHourTable],
  // By whole days of the newest record, so that a fold of the same log drops the same rows. A writer whose clock ran ahead
  // of the server drops nothing before its time.
  keptFromMs: ({ group, timeMs }, keptMs) => {
    const newestMs = Math.max(...group.records.map(({ at }) => Date.parse(at)));
    return Math.floor((Math.min(newestMs, timeMs) - keptMs) / dayMs) * dayMs;
  },
  rowsOf: ({ group }) =>
    group.records.map(({ tenantId, connectionId, platformId, agentId, outcome, code, at }) => {
      const atMs = Date.parse(at);
      return {
        tenantId,
        row: {
          connection_id: connectionId,
          hour_ms: Math.floor(atMs / hourMs) * hourMs,
          platform_id: platformId,
          agent_id: agentId,
          code: outcome === 'granted' ? '' : (code ?? 'unknown'),
          uses: 1,
          first_at_ms: atMs,
          last_at_ms: atMs,
        },
      };
    }),
  merged: (one, other) => ({
    ...one,
    uses: number(one, 'uses') + number(other, 'uses'),
    first_at_ms: Math.min(number(one, 'first_at_ms'), number(other, 'first_at_ms')),
    last_at_ms: Math.max(number(one, 'last_at_ms'), number(other, 'last_at_ms')),
  }),
  onConflict: `uses = t.uses + excluded.uses, first_at_ms = least(t.first_at_ms, excluded.first_at_ms),
    last_at_ms = greatest(t.last_at_ms, excluded.last_at_ms)`,
};
