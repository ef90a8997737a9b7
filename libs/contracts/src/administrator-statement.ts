import type { AdminAggregate } from './subjects.ts';

/** Separates an administrator's signatures from signatures over anything else. */
export const administratorSignatureContext = 'postern.administrator.v1';

/** A decision, without who signed it. */
export interface AdministratorDecision {
  readonly tenantId: string;
  readonly aggregate: Extract<AdminAggregate, 'governance' | 'approval'>;
  readonly aggregateId: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * The text that an administrator signs: what is decided, where, and its number there; so that a signature cannot be shown
 * for another tenant, another decision, or a second time.
 *
 * Members are sorted by name, since an event is written and folded in orders of their own. `by` is left out.
 */
export function administratorStatement({
  tenantId,
  aggregate,
  aggregateId,
  type,
  data,
}: AdministratorDecision): string {
  const { by: _by, ...signed } = data;
  return JSON.stringify(sorted({ tenantId, aggregate, aggregateId, type, data: signed }));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => [name, sorted(one)]));
}
