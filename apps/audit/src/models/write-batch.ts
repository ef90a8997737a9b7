import { PosternError } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import type { AccessEntry, LogEntry } from '@postern/event-log';
import type { CrossingTransaction } from '@postern/persistence';

import { moveOn, putSetAside, type Checkpoint, type Reached, type SetAside } from './checkpoints.ts';
import { gapOf } from './follows.ts';
import type { AccessModel, ConnectionModel } from './model.ts';
import { connectionRows, putRows, rowOf } from './model-rows.ts';
import { auditSchema, type ModelRow } from './tables.ts';

/** A message as its stream's reader understood it. */
export type ReadMessage<Entry> =
  | { readonly entry: Entry; readonly state: Connection | undefined }
  | { readonly problem: SetAside };

export interface Batch<Model, Entry> {
  readonly model: Model;
  readonly from: Checkpoint;
  readonly to: Reached;
  readonly messages: readonly ReadMessage<Entry>[];
}

/**
 * Puts what some commits make of their connections beside how far was read.
 *
 * The checkpoint is moved first: it is what two who project the same model meet at, and the later one sees the rows of
 * the earlier.
 *
 * @returns what was set aside. @throws {PosternError} `audit.projection_superseded`
 */
export async function writeConnections(
  transaction: CrossingTransaction,
  { model, from, to, messages }: Batch<ConnectionModel, LogEntry>,
): Promise<SetAside[]> {
  const { generation } = from;
  const [table, second] = model.tables;
  const aside: SetAside[] = [];
  const ofTenants = new Map<string, { entry: LogEntry; state: Connection }[]>();
  for (const message of messages) {
    if ('problem' in message) aside.push(message.problem);
    else if (message.state !== undefined) {
      const { entry, state } = message;
      const known = ofTenants.get(entry.commit.tenantId);
      if (known === undefined) ofTenants.set(entry.commit.tenantId, [{ entry, state }]);
      else known.push({ entry, state });
    }
  }
  await requireMoved(transaction, model.name, { from, to });
  const tenants = await Promise.all(
    [...ofTenants].map(async ([tenantId, entries]) => {
      const ids = [...new Set(entries.map(({ entry }) => entry.commit.aggregateId))];
      const [rows = []] = await transaction.inTenant(tenantId, [connectionRows({ table, generation }, ids)]);
      return { tenantId, entries, rows: rows.map((row) => rowOf(table, row)) };
    }),
  );
  await Promise.all(
    tenants.map(async ({ tenantId, entries, rows }) => {
      const folded = foldTenant(model, { entries, rows });
      aside.push(...folded.aside);
      const put = { tenantId, rows: [...folded.standing.values()] };
      const queries = [putRows({ table, generation }, put)];
      if (second !== undefined && folded.added.length > 0) {
        queries.push(putRows({ table: second, generation }, { tenantId, rows: folded.added }));
      }
      await transaction.inTenant(tenantId, queries);
    }),
  );
  return await putAside(transaction, { model: model.name, generation, aside });
}

function foldTenant(
  model: ConnectionModel,
  {
    entries,
    rows,
  }: { readonly entries: readonly { entry: LogEntry; state: Connection }[]; readonly rows: readonly ModelRow[] },
): { standing: Map<string, ModelRow>; added: ModelRow[]; aside: SetAside[] } {
  const known = new Map(rows.map((row) => [String(row['connection_id']), row]));
  const standing = new Map<string, ModelRow>();
  const added: ModelRow[] = [];
  const aside: SetAside[] = [];
  for (const { entry, state } of entries) {
    const { commit, position, hash } = entry;
    const before = standing.get(commit.aggregateId) ?? known.get(commit.aggregateId);
    const gap = gapOf(entry, before);
    if (gap !== null) {
      aside.push({ position, kind: 'gap', reason: gap });
      continue;
    }
    const stands = { revision: commit.revision, hash };
    // It goes on in a later epoch, in what it was.
    if (state.authorization === 'moved' && before !== undefined) {
      standing.set(commit.aggregateId, { ...before, ...stands });
      continue;
    }
    const folded = model.fold({ entry, state, before });
    standing.set(commit.aggregateId, { ...folded.row, ...stands });
    added.push(...(folded.added ?? []));
  }
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
  { model, from, to, messages }: Batch<AccessModel, AccessEntry>,
): Promise<SetAside[]> {
  const { generation } = from;
  const [table] = model.tables;
  const aside = messages.flatMap((message) => ('problem' in message ? [message.problem] : []));
  await requireMoved(transaction, model.name, { from, to });
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
  return await putAside(transaction, { model: model.name, generation, aside });
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
  model: ConnectionModel['name'],
  step: Parameters<typeof moveOn>[2],
): Promise<void> {
  if (await moveOn(transaction, model, step)) return;
  throw new PosternError('audit.projection_superseded', `Somebody else has gone on with the read model ${model}.`);
}

async function putAside(
  transaction: CrossingTransaction,
  { model, generation, aside }: { model: ConnectionModel['name']; generation: number; aside: SetAside[] },
): Promise<SetAside[]> {
  if (aside.length > 0) await putSetAside(transaction, { model, generation, ones: aside });
  return aside.toSorted((one, other) => one.position - other.position);
}
