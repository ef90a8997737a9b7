import type { Metrics } from './metrics.ts';
import { withCall } from './telemetry.ts';

/** Runs a question to a database, measured, and with a span in its trace. */
export type AroundDatabase = <T>(operation: string, run: () => Promise<T>) => Promise<T>;

/**
 * Measures what is asked of PostgreSQL. Of the statements nothing is told.
 *
 * @returns what to put around each question; its `operation` says what kind it is, in one word of few.
 * @source OpenTelemetry semantic conventions, database spans
 */
export function measureDatabase(metrics: Metrics): AroundDatabase {
  const times = metrics.histogram('db.client.operation.duration');
  const known = new Map<string, { observe: (seconds: number) => void; attributes: Record<string, string> }>();
  const kindOf = (operation: string) => {
    let kind = known.get(operation);
    if (kind === undefined) {
      const attributes = { 'db.system.name': 'postgresql', 'db.operation.name': operation };
      kind = { observe: times.observer({ 'db.operation.name': operation }), attributes };
      known.set(operation, kind);
    }
    return kind;
  };
  return async (operation, run) => {
    const startedMs = performance.now();
    const { observe, attributes } = kindOf(operation);
    try {
      return await withCall(`${operation} postgresql`, run, { attributes });
    } finally {
      observe((performance.now() - startedMs) / 1_000);
    }
  };
}
