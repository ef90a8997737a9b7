import { PosternError } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import type { AccessEntry, LogEntry, LruCache } from '@postern/event-log';
import type { CrossingTransaction } from '@postern/persistence';

import { moveOn, putSetAside, type Checkpoint, type Reached, type SetAside } from './checkpoints.ts';
import { gapOf } from './follows.ts';
import type { AccessModel, ConnectionModel, ReadModel } from './model.ts';
import { connectionRows, putRows, rowOf } from './model-rows.ts';
import { auditSchema, type ModelRow } from './tables.ts';

/** A message as its stream's reader understood it. */
export type ReadMessage<Entry> =
  | { readonly entry: Entry; readonly state: Connection | undefined }
  | { readonly problem: SetAside };

/** Of one generation: from where to where it goes. */
export interface Step<Model> {
  readonly model: Model;
  readonly from: Checkpoint;
  readonly to: Reached;
}

export interface ConnectionBatch {
  readonly steps: readonly Step<ConnectionModel>[];
  readonly messages: readonly ReadMessage<LogEntry>[];
  /**
   * Rows of `<tenant>/<connection>` that were written last on the way here, and need not be asked back: commits of one
   * connection mostly stand near one another. They change before the transaction is through: whoever sees it fail, or
   * takes other steps, forgets them all.
   */
  readonly known: LruCache<RowsOfSteps>;
}

/** Of one connection, a row for each step; none where nothing stood. */
export type RowsOfSteps = (ModelRow | undefined)[];

interface Read {
  readonly entry: LogEntry;
  readonly state: Connection;
}

/**
 * Puts what some commits make of their connections beside how far was read, for every model that goes this step.
 *
 * The checkpoints are moved first: they are what two who project the same model meet at, and the later one is told so.
 *
 * @returns what each has set aside. @throws {PosternError} `audit.projection_superseded`
 */
export async function writeConnections(
  transaction: CrossingTransaction,
  { steps, messages, known }: ConnectionBatch,
): Promise<SetAside[][]> {
  const problems: SetAside[] = [];
  const ofTenants = new Map<string, Read[]>();
  for (const message of messages) {
    if ('problem' in message) problems.push(message.problem);
    else if (message.state !== undefined) {
      const { entry, state } = message;
      const known = ofTenants.get(entry.commit.tenantId);
      if (known === undefined) ofTenants.set(entry.commit.tenantId, [{ entry, state }]);
      else known.push({ entry, state });
    }
  }
  await Promise.all(steps.map(async (step) => await requireMoved(transaction, step)));
  const aside = steps.map(() => [...problems]);
  await Promise.all(
    [...ofTenants].map(async ([tenantId, reads]) => {
      const ids = [...new Set(reads.map(({ entry }) => entry.commit.aggregateId))];
      const rows = await standingRows(transaction, { steps, known, tenantId, ids });
      // PostgreSQL writes the rows of one model while those of the next are folded.
      const written = steps.map(async ({ model, from: { generation } }, index) => {
        const [table, second] = model.tables;
        const folded = foldTenant(model, { index, reads, rows });
        aside[index]?.push(...folded.aside);
        const queries = [putRows({ table, generation }, { tenantId, rows: folded.standing })];
        if (second !== undefined && folded.added.length > 0) {
          queries.push(putRows({ table: second, generation }, { tenantId, rows: folded.added }));
        }
        await transaction.inTenant(tenantId, queries);
      });
      await Promise.all(written);
    }),
  );
  return await Promise.all(
    steps.map(async (step, index) => await putAside(transaction, { ...step, aside: aside[index] ?? [] })),
  );
}

/** What stands of each of these connections: what was not written on the way here is asked. */
async function standingRows(
  transaction: CrossingTransaction,
  { steps, known, tenantId, ids }: Pick<ConnectionBatch, 'steps' | 'known'> & { tenantId: string; ids: string[] },
): Promise<ReadonlyMap<string, RowsOfSteps>> {
  const found = new Map<string, RowsOfSteps>();
  const unknown: string[] = [];
  for (const id of ids) {
    const name = `${tenantId}/${id}`;
    const rows = known.get(name) ?? [];
    if (rows.length === 0) {
      unknown.push(id);
      known.set(name, rows);
    }
    found.set(id, rows);
  }
  if (unknown.length === 0) return found;
  const queries = steps.map(({ model, from: { generation } }) =>
    connectionRows({ table: model.tables[0], generation }, unknown),
  );
  const answers = await transaction.inTenant(tenantId, queries);
  for (const [index, { model }] of steps.entries()) {
    for (const row of answers[index] ?? []) {
      const rows = found.get(String(row['connection_id']));
      if (rows !== undefined) rows[index] = rowOf(model.tables[0], row);
    }
  }
  return found;
}

/** Turns the rows that stood into those that stand now. */
function foldTenant(
  model: ConnectionModel,
  { index, reads, rows }: { index: number; reads: readonly Read[]; rows: ReadonlyMap<string, RowsOfSteps> },
): { standing: ModelRow[]; added: ModelRow[]; aside: SetAside[] } {
  const changed = new Set<RowsOfSteps>();
  const added: ModelRow[] = [];
  const aside: SetAside[] = [];
  for (const { entry, state } of reads) {
    const { commit, position, hash } = entry;
    const ofSteps = rows.get(commit.aggregateId) ?? [];
    const before = ofSteps[index];
    const gap = gapOf(entry, before);
    if (gap !== null) {
      aside.push({ position, kind: 'gap', reason: gap });
      continue;
    }
    const stands = { revision: commit.revision, hash };
    changed.add(ofSteps);
    // It goes on in a later epoch, in what it was.
    if (state.authorization === 'moved' && before !== undefined) {
      ofSteps[index] = { ...before, ...stands };
      continue;
    }
    const folded = model.fold({ entry, state, before });
    ofSteps[index] = Object.assign(folded.row, stands);
    added.push(...(folded.added ?? []));
  }
  const standing = [...changed].map((ofSteps) => ofSteps[index]).filter((row) => row !== undefined);
  return { standing, added, aside };
}

/**
 * Adds what some groups of access records count to.
 *
 * A group that was told already is set aside; one with others missing before it counts, and the gap is set aside with its
 * position: what is missing is missing, and everything after it is true all the same. What is older than what is kept
 * makes no row.
 */
export async function writeAccess(
  transaction: CrossingTransaction,
  { step, messages }: { readonly step: Step<AccessModel>; readonly messages: readonly ReadMessage<AccessEntry>[] },
): Promise<SetAside[]> {
  const { model, from, to } = step;
  const { generation } = from;
  const [table] = model.tables;
  const aside = messages.flatMap((message) => ('problem' in message ? [message.problem] : []));
  await requireMoved(transaction, step);
  const entries = messages.flatMap((message) => ('problem' in message ? [] : [message.entry]));
  const sequences = await sequencesOf(transaction, generation, entries);
  const counted = entries.filter((entry) => {
    const { position, subject, group } = entry;
    const before = sequences.get(subject) ?? 0;
    if (group.sequence === before + 1) return sequences.set(subject, group.sequence);
    aside.push({ position, kind: 'gap', reason: `number ${group.sequence} of its writer follows ${before}` });
    if (group.sequence <= before) return false;
    return sequences.set(subject, group.sequence);
  });
  const kept = counted.flatMap(model.rowsOf).filter(({ row }) => Number(row[table.agesBy]) >= to.keptFromMs);
  const ofTenants = Map.groupBy(kept, ({ tenantId }) => tenantId);
  await Promise.all(
    [...ofTenants].map(async ([tenantId, ones]) => {
      const rows = new Map<string, ModelRow>();
      for (const { row } of ones) {
        const key = JSON.stringify(table.key.map((column) => row[column]));
        const known = rows.get(key);
        rows.set(key, known === undefined ? row : model.merged(known, row));
      }
      const put = { tenantId, rows: [...rows.values()], onConflict: model.onConflict };
      await transaction.inTenant(tenantId, [putRows({ table, generation }, put)]);
    }),
  );
  await putSequences(transaction, generation, sequences);
  return await putAside(transaction, { ...step, aside });
}

async function sequencesOf(
  { run }: CrossingTransaction,
  generation: number,
  entries: readonly AccessEntry[],
): Promise<Map<string, number>> {
  const rows = await run({
    name: 'access_writers',
    text: `select writer, sequence from ${auditSchema}.access_writer where generation = $1 and writer = any ($2::text[])`,
    values: [generation, [...new Set(entries.map(({ subject }) => subject))]],
  });
  return new Map(rows.map(({ writer, sequence }) => [String(writer), Number(sequence)]));
}

async function putSequences(
  { run }: CrossingTransaction,
  generation: number,
  sequences: ReadonlyMap<string, number>,
): Promise<void> {
  await run({
    name: 'access_writers_put',
    text: `insert into ${auditSchema}.access_writer (generation, writer, sequence)
      select $1::integer, * from unnest($2::text[], $3::bigint[])
      on conflict (generation, writer) do update set sequence = excluded.sequence`,
    values: [generation, [...sequences.keys()], [...sequences.values()]],
  });
}

async function requireMoved(
  transaction: CrossingTransaction,
  { model: { name }, from, to }: Step<ReadModel>,
): Promise<void> {
  if (await moveOn(transaction, name, { from, to })) return;
  throw new PosternError('audit.projection_superseded', `Somebody else has gone on with the read model ${name}.`);
}

async function putAside(
  transaction: CrossingTransaction,
  { model, from: { generation }, aside }: Step<ReadModel> & { readonly aside: readonly SetAside[] },
): Promise<SetAside[]> {
  if (aside.length > 0) await putSetAside(transaction, { model: model.name, generation, ones: aside });
  return aside.toSorted((one, other) => one.position - other.position);
}
