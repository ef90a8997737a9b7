import type { ModelName } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import type { AccessEntry, LogEntry } from '@postern/event-log';

import type { AgingTable, ModelRow, ModelTable } from './tables.ts';

/** What one commit makes of what stood of its connection. */
export interface Folded {
  /** Of the first table, every column of it. */
  readonly row: ModelRow;
  /** What the next commit of the connection is folded with, and would have to be read from the row. */
  readonly remembered?: unknown;
  /** Rows added to the second table. */
  readonly added?: readonly ModelRow[];
}

/** Turns each connection's commits into rows. */
export interface ConnectionModel {
  readonly name: ModelName;
  readonly stream: 'connections';
  /** The first has one row a connection with its standing (`revision`, `hash`), whatever else is added stands in the second. */
  readonly tables: readonly [ModelTable, ModelTable?];
  /** A pure function of these, so that whoever folds the same log gets the same rows. */
  fold(input: {
    readonly entry: LogEntry;
    readonly state: Connection;
    /** The row that stood. */
    readonly before: ModelRow | undefined;
    /** As it was given with that row; undefined where the row comes from the table. */
    readonly remembered: unknown;
  }): Folded;
}

/** Turns groups of access records into counts. */
export interface AccessModel {
  readonly name: ModelName;
  readonly stream: 'access';
  readonly tables: readonly [AgingTable];
  /** From when on rows are kept after a group was read, as far as the group tells. */
  keptFromMs(entry: AccessEntry, keptMs: number): number;
  readonly rowsOf: (entry: AccessEntry) => { readonly tenantId: string; readonly row: ModelRow }[];
  /** Two rows of one key as one. */
  merged(one: ModelRow, other: ModelRow): ModelRow;
  /** What an update does where the row stands already. */
  readonly onConflict: string;
}

export type ReadModel = ConnectionModel | AccessModel;
