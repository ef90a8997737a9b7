import { PosternError, type ModelName } from '@postern/contracts';
import type { CrossingTransaction, Row, TenantQuery } from '@postern/persistence';

import { auditSchema } from './tables.ts';

/** `live` is read; `building` will be; `verifying` is compared with it; `old` is being taken away. */
export type GenerationRole = 'live' | 'building' | 'verifying' | 'old';

/** How far one generation of a model has read. */
export interface Checkpoint {
  readonly generation: number;
  readonly role: GenerationRole;
  readonly position: number;
  /** The leaf hash of the message at that position: which log it was. Empty before the first. */
  readonly logIdentity: string;
  readonly messages: number;
  readonly sinceMs: number;
  /** Rows that are older are dropped. It follows from the records that were read, and never goes back. */
  readonly keptFromMs: number;
}

/** What reading on changes of it. */
export type Reached = Pick<Checkpoint, 'position' | 'logIdentity' | 'messages' | 'keptFromMs'>;

/** A message that a model could not use. */
export interface SetAside {
  readonly position: number;
  /** `foreign`, `damaged`, `future` as the reader says; `gap`: it does not follow; `unusable`: no row comes of it. */
  readonly kind: 'foreign' | 'damaged' | 'future' | 'gap' | 'unusable';
  readonly reason: string;
}

const projection = `${auditSchema}.projection`;
const setAside = `${auditSchema}.set_aside`;
const columns = 'generation, role, position, log_identity, messages, since_ms, kept_from_ms';

const checkpointOf = (row: Row): Checkpoint => ({
  generation: Number(row['generation']),
  role: row['role'] as GenerationRole,
  position: Number(row['position']),
  logIdentity: String(row['log_identity']),
  messages: Number(row['messages']),
  sinceMs: Number(row['since_ms']),
  keptFromMs: Number(row['kept_from_ms']),
});

/** Every generation of a model. */
export async function generationsOf({ run }: CrossingTransaction, model: ModelName): Promise<Checkpoint[]> {
  const text = `select ${columns} from ${projection} where model = $1 order by generation`;
  return (await run({ name: 'generations', text, values: [model] })).map(checkpointOf);
}

/** The live generation; nobody moves it until the transaction ends. @throws {PosternError} `audit.projection_superseded` */
export async function lockedLive({ run }: CrossingTransaction, model: ModelName): Promise<Checkpoint> {
  const text = `select ${columns} from ${projection} where model = $1 and role = 'live' for update`;
  const [row] = await run({ name: 'generation_locked', text, values: [model] });
  if (row !== undefined) return checkpointOf(row);
  throw new PosternError('audit.projection_superseded', `The read model ${model} has no live generation.`);
}

/** The first position that two generations have set aside differently. */
export async function setAsideDifference(
  { run }: CrossingTransaction,
  model: ModelName,
  [one, other]: readonly [number, number],
): Promise<Row | undefined> {
  const ones = (parameter: string) =>
    `(select position, kind || ': ' || reason as whole from ${setAside} where model = $1 and generation = ${parameter})`;
  const [row] = await run({
    name: 'set_aside_difference',
    text: `select position, a.whole as live, b.whole as fresh from ${ones('$2')} a full join ${ones('$3')} b using (position)
      where a.whole is distinct from b.whole order by position limit 1`,
    values: [model, one, other],
  });
  return row;
}

/** Begins a generation at the log's start. */
export async function beginGeneration(
  { run }: CrossingTransaction,
  { model, role, nowMs }: { readonly model: ModelName; readonly role: GenerationRole; readonly nowMs: number },
): Promise<void> {
  await run({
    name: 'generation_begun',
    text: `insert into ${projection} (model, generation, role, position, log_identity, messages, since_ms)
      select $1::text, coalesce(max(generation), 0) + 1, $2::text, 0, '', 0, $3::bigint from ${projection} where model = $1
      on conflict do nothing`,
    values: [model, role, nowMs],
  });
}

export async function setRole(
  { run }: CrossingTransaction,
  {
    model,
    generation,
    role,
  }: { readonly model: ModelName; readonly generation: number; readonly role: GenerationRole },
): Promise<void> {
  const text = `update ${projection} set role = $3 where model = $1 and generation = $2`;
  await run({ name: 'generation_role', text, values: [model, generation, role] });
}

/**
 * Moves a checkpoint on from where it was read.
 *
 * Where somebody else has moved it, changed its role, or holds it (models that walk together wait for nobody who works on
 * one of them), PostgreSQL refuses that, and with it whatever is sent after it in the transaction: nothing needs to wait
 * for its answer. `isSuperseded` knows that failure.
 */
export function moveOn(
  model: ModelName,
  { from, to }: { readonly from: Checkpoint; readonly to: Reached },
): TenantQuery {
  return {
    name: 'checkpoint_moved',
    text: `with free as (select generation from ${projection}
        where model = $1 and generation = $2 and role = $3 and position = $4 for update skip locked),
      moved as (update ${projection} p set position = $5, log_identity = $6, messages = $7, kept_from_ms = $8
        from free where p.model = $1 and p.generation = free.generation returning p.generation)
      select 1 / count(*) as moved from moved`,
    values: [
      ...[model, from.generation, from.role, from.position],
      ...[to.position, to.logIdentity, to.messages, to.keptFromMs],
    ],
  };
}

/** Is it that a checkpoint was not moved? Nothing else here divides (SQLSTATE 22012, division_by_zero). */
export const isSuperseded = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === '22012';

export function putSetAside(model: ModelName, generation: number, ones: readonly SetAside[]): TenantQuery {
  return {
    name: 'set_aside_put',
    text: `insert into ${setAside} (model, generation, position, kind, reason)
      select $1::text, $2::integer, * from unnest($3::bigint[], $4::text[], $5::text[])
      on conflict (model, generation, position) do update set kind = excluded.kind, reason = excluded.reason`,
    values: [
      ...[model, generation, ones.map(({ position }) => position)],
      ...[ones.map(({ kind }) => kind), ones.map(({ reason }) => reason)],
    ],
  };
}

/** The eldest of them, and how many there are. */
export async function setAsideOf(
  { run }: CrossingTransaction,
  { model, generation, limit }: { readonly model: ModelName; readonly generation: number; readonly limit: number },
): Promise<{ readonly count: number; readonly ones: readonly SetAside[] }> {
  const rows = await run({
    name: 'set_aside',
    text: `select position, kind, reason, count(*) over () as count from ${setAside}
      where model = $1 and generation = $2 order by position limit $3`,
    values: [model, generation, limit],
  });
  return {
    count: Number(rows[0]?.['count'] ?? 0),
    ones: rows.map(({ position, kind, reason }) => ({
      position: Number(position),
      kind: kind as SetAside['kind'],
      reason: String(reason),
    })),
  };
}

/** Forgets a generation whose rows are gone. */
export async function forgetGeneration(
  { run }: CrossingTransaction,
  { model, generation }: { readonly model: ModelName; readonly generation: number },
): Promise<void> {
  await run({
    name: 'set_aside_gone',
    text: `delete from ${setAside} where model = $1 and generation = $2`,
    values: [model, generation],
  });
  if (model === 'access') {
    const text = `delete from ${auditSchema}.access_writer where generation = $1`;
    await run({ name: 'access_writers_gone', text, values: [generation] });
  }
  await run({
    name: 'generation_gone',
    text: `delete from ${projection} where model = $1 and generation = $2`,
    values: [model, generation],
  });
}
