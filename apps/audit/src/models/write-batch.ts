import { setImmediate as turn } from 'node:timers/promises';

import { isId } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import { aggregateOf, LruCache, type AccessEntry, type LogEntry, type StoredMessage } from '@postern/event-log';
import type { CrossingTransaction, Row, TenantQuery } from '@postern/persistence';

import { moveOn, putSetAside, type Checkpoint, type Reached, type SetAside } from './checkpoints.ts';
import { gapOf } from './follows.ts';
import { modelLimits } from './model-limits.ts';
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

/** A row as it stands, and what its model remembers beside it. */
interface Stood {
  readonly row: Record<string, ModelRow[string]>;
  remembered: unknown;
}

/** Of one connection, a row for each model that walks; none where nothing stood. */
type RowsOfModels = (Stood | undefined)[];

/**
 * Rows of `<tenant>/<connection>` that were folded last on the way here, and need not be asked back: commits of one
 * connection mostly stand near one another. They run ahead of what is written, so whoever sees a transaction fail, or goes
 * on with other models, forgets them all; what was folded at another age than that of now counts for nothing.
 *
 * Of two batches under way none is dropped (they are a fraction of all): what is unknown stands in the tables.
 */
export class KnownRows {
  readonly #rows = new LruCache<RowsOfModels>(modelLimits.knownConnectionsMax);
  #age = 0;

  get age(): number {
    return this.#age;
  }

  forget(): void {
    this.#age += 1;
    this.#rows.clear();
  }

  of(name: string): RowsOfModels | undefined {
    return this.#rows.get(name);
  }

  /** @returns an empty list; what is put into it is known from then on. */
  begin(name: string): RowsOfModels {
    const rows: RowsOfModels = [];
    this.#rows.set(name, rows);
    return rows;
  }
}

/** A generation of a model, as far as its rows depend on it. */
export interface FoldedModel {
  readonly model: ConnectionModel;
  readonly generation: number;
}

export interface FoldOptions {
  readonly models: readonly FoldedModel[];
  readonly known: KnownRows;
  readonly read: (message: StoredMessage) => ReadMessage<LogEntry> | Promise<ReadMessage<LogEntry>>;
  /** Asks each tenant these queries. */
  readonly ask: (queries: ReadonlyMap<string, readonly TenantQuery[]>) => Promise<ReadonlyMap<string, Row[][]>>;
}

/** What some commits make of their connections, ready to be written. */
export interface FoldedConnections {
  /** What is put behind each tenant's wall. */
  readonly puts: ReadonlyMap<string, readonly TenantQuery[]>;
  /** What each model sets aside. */
  readonly aside: readonly (readonly SetAside[])[];
}

/** So many are folded without a look at anything else, some milliseconds: what PostgreSQL answers would wait for that. */
const messagesATurn = 64;

/**
 * Folds some messages into the rows of all models, each message read just here: what it is made of is gone before the next
 * one is looked at, and nothing of it has to be kept until it is written.
 */
export async function foldConnections(
  messages: readonly StoredMessage[],
  options: FoldOptions,
): Promise<FoldedConnections> {
  const { models, read } = options;
  const rows = await standingRows(messages, options);
  const tenants = new Map<string, Changes[]>();
  const aside: SetAside[][] = models.map(() => []);
  for (const [at, message] of messages.entries()) {
    if (at % messagesATurn === messagesATurn - 1) await turn();
    const given = read(message);
    const one = given instanceof Promise ? await given : given;
    if ('problem' in one) for (const ones of aside) ones.push(one.problem);
    if ('problem' in one || one.state === undefined) continue;
    const { entry, state } = one;
    const { tenantId } = entry.commit;
    let changes = tenants.get(tenantId);
    if (changes === undefined) {
      changes = models.map(() => ({ standing: new Set<RowsOfModels>(), added: [] }));
      tenants.set(tenantId, changes);
    }
    const ofModels = rows[at] ?? [];
    for (const [index, { model }] of models.entries()) {
      const why = foldInto(ofModels, { index, model, entry, state, changes: changes[index] });
      if (why !== undefined) aside[index]?.push({ position: entry.position, ...why });
    }
  }
  const puts = new Map<string, TenantQuery[]>();
  for (const [tenantId, changes] of tenants) {
    const queries: TenantQuery[] = [];
    for (const [index, { model, generation }] of models.entries()) {
      const [table, second] = model.tables;
      const { standing, added } = changes[index] ?? { standing: [], added: [] };
      const newest: ModelRow[] = [];
      for (const ofModels of standing) {
        const stood = ofModels[index];
        if (stood !== undefined) newest.push(stood.row);
      }
      if (newest.length > 0) queries.push(putRows({ table, generation }, { tenantId, rows: newest }));
      if (second !== undefined && added.length > 0) {
        queries.push(putRows({ table: second, generation }, { tenantId, rows: added }));
      }
      if (newest.length > messagesATurn) await turn();
    }
    puts.set(tenantId, queries);
  }
  return { puts, aside };
}

/** Of one tenant and model. */
interface Changes {
  readonly standing: Set<RowsOfModels>;
  readonly added: ModelRow[];
}

/** What stands of each message's connection: what was not folded on the way here is asked. */
async function standingRows(
  messages: readonly StoredMessage[],
  { models, known, ask }: FoldOptions,
): Promise<readonly (RowsOfModels | undefined)[]> {
  const unknown = new Map<string, Map<string, RowsOfModels>>();
  const found = messages.map(({ subject }) => {
    const name = nameIn(subject);
    const rows = known.of(name);
    // What was begun a message ago is empty yet, and asked once.
    if (rows !== undefined) return rows;
    const { tenantId, id } = aggregateOf(subject) ?? { tenantId: '', id: '' };
    // Anybody may have written there: what is no tenant's is foreign, and has no rows.
    if (!isId('tenant', tenantId)) return undefined;
    const begun = known.begin(name);
    const ofTenant = unknown.get(tenantId) ?? new Map<string, RowsOfModels>();
    unknown.set(tenantId, ofTenant.set(id, begun));
    return begun;
  });
  if (unknown.size === 0) return found;
  const queries = new Map(
    [...unknown].map(([tenantId, ids]) => [
      tenantId,
      models.map(({ model, generation }) => connectionRows({ table: model.tables[0], generation }, [...ids.keys()])),
    ]),
  );
  for (const [tenantId, answers] of await ask(queries)) {
    for (const [index, { model }] of models.entries()) {
      for (const row of answers[index] ?? []) {
        const rows = unknown.get(tenantId)?.get(String(row['connection_id']));
        if (rows !== undefined) rows[index] = { row: rowOf(model.tables[0], row), remembered: undefined };
      }
    }
  }
  return found;
}

/** A connection's name is its tenant and its id, whatever epoch of the log it stands in: `connection.<epoch>.<name>`. */
const nameIn = (subject: string): string => subject.slice(subject.indexOf('.', epochAt) + 1);
const epochAt = 'connection.'.length;

interface Folding {
  readonly index: number;
  readonly model: ConnectionModel;
  readonly entry: LogEntry;
  readonly state: Connection;
  readonly changes: Changes | undefined;
}

/** Turns the row that stood into the one that stands now. @returns why no row comes of the commit; undefined when one does. */
function foldInto(
  ofModels: RowsOfModels,
  { index, model, entry, state, changes }: Folding,
): Pick<SetAside, 'kind' | 'reason'> | undefined {
  const stood = ofModels[index];
  const before = stood?.row;
  const gap = gapOf(entry, before);
  if (gap !== null) return { kind: 'gap', reason: gap };
  // It goes on in a later epoch, in what it was.
  if (state.authorization === 'moved' && before !== undefined) {
    before['revision'] = entry.commit.revision;
    before['hash'] = entry.hash;
    changes?.standing.add(ofModels);
    return undefined;
  }
  const { row, remembered, added } = model.fold({ entry, state, before, remembered: stood?.remembered });
  // PostgreSQL takes no NUL into a text. Found out here it does not matter whether a later row of the same batch has none.
  if (hasNul(row) || added?.some(hasNul) === true) {
    return { kind: 'unusable', reason: 'a text of it holds U+0000' };
  }
  changes?.standing.add(ofModels);
  if (added !== undefined) changes?.added.push(...added);
  if (stood === undefined) {
    ofModels[index] = { row: { ...row }, remembered };
    return undefined;
  }
  takeOver(stood.row, row);
  stood.remembered = remembered;
  return undefined;
}

/**
 * The row that stands stays the same object, and so does what has not changed in it: rows of thousands of connections
 * outlive the young generation of the heap, and a new one for each commit would have to be moved there and collected.
 */
function takeOver(stood: Stood['row'], row: ModelRow): void {
  for (const column in row) {
    const value = row[column] ?? null;
    if (stood[column] !== value) stood[column] = value;
  }
}

function hasNul(row: Readonly<Record<string, unknown>>): boolean {
  for (const name in row) {
    const value = row[name];
    if (typeof value === 'string' && value.includes('\u0000')) return true;
  }
  return false;
}

/**
 * Puts what some commits make of their connections beside how far was read, for every model that goes this step.
 *
 * The checkpoints are moved first: they are what two who project the same model meet at, and of the later one nothing is
 * written. Nothing is waited for: who runs the transaction hears of every failure.
 *
 * @returns what each has set aside.
 */
export function writeConnections(
  transaction: CrossingTransaction,
  { steps, folded }: { readonly steps: readonly Step<ConnectionModel>[]; readonly folded: FoldedConnections },
): SetAside[][] {
  for (const { model, from, to } of steps) void transaction.run(moveOn(model.name, { from, to }));
  for (const [tenantId, queries] of folded.puts) void transaction.inTenant(tenantId, queries);
  return steps.map((step, index) => putAside(transaction, { ...step, aside: folded.aside[index] ?? [] }));
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
  await transaction.run(moveOn(model.name, step));
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
  return putAside(transaction, { ...step, aside });
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

function putAside(
  { run }: CrossingTransaction,
  { model, from: { generation }, aside }: Step<ReadModel> & { readonly aside: readonly SetAside[] },
): SetAside[] {
  if (aside.length > 0) void run(putSetAside(model.name, generation, aside));
  return aside.toSorted((one, other) => one.position - other.position);
}
