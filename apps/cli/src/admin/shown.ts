import { existsSync } from 'node:fs';

import { limits, PosternError } from '@postern/contracts';

import { table } from '../output/printer.ts';
import type { PlainRun, SessionRun } from '../run-command.ts';
import { listAdmin } from './decide.ts';

type AnyEvolver = Parameters<typeof listAdmin>[1]['evolver'];

/** `list`: the aggregates of one kind, a row each. */
export async function list(
  { session, tenantId, printer }: SessionRun,
  evolver: unknown,
  tenant = tenantId,
): Promise<void> {
  const found = (await listAdmin(session, { evolver: evolver as AnyEvolver, tenantId: tenant })).map((state) =>
    withoutHash(state as object),
  );
  const columns = Object.keys(found[0] ?? {});
  printer.result(found, () =>
    table([columns.map((name) => name.toUpperCase()), ...found.map((row) => columns.map((name) => cell(row[name])))]),
  );
}

/** `show`: one aggregate, a fact a line. */
export async function show({ session, tenantId, printer }: SessionRun, evolver: unknown, id = ''): Promise<void> {
  const { kind } = evolver as AnyEvolver;
  const owner = kind === 'tenant' ? id : tenantId;
  const { state, revision } = await session.repository(evolver as AnyEvolver).load({ tenantId: owner, id });
  if (revision === 0) throw new PosternError(`${kind}.not_found` as 'platform.not_found', `${id} is not there.`);
  const shown = withoutHash(state as object);
  printer.result(shown, () => factLines(shown));
}

export function factLines(facts: object): string[] {
  return table([['FIELD', 'VALUE'], ...Object.entries(facts).map(([name, value]) => [name, cell(value)])]);
}

/** A hash of a secret tells a person nothing: that one is there does. */
export function withoutHash(state: object): Record<string, unknown> {
  const { secretHash, ...rest } = state as Record<string, unknown>;
  return secretHash === undefined ? rest : { ...rest, hasSecret: secretHash !== null };
}

const cell = (value: unknown): string =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
/** An option that commander has seen to be there. */
export const text = (options: PlainRun['options'], name: string): string => String(options[name]);

/** Gathers what a repeated option was given. */
export const gather = (value: string, before: string[] = []) => [...before, value];

/** Credentials that are there already may be somebody's. @throws {PosternError} `request.malformed` */
export function refuseToOverwrite(path: string): void {
  if (existsSync(path)) throw new PosternError('request.malformed', `${path} exists; name another file with --creds.`);
}

/** `--overlap`: how long what a secret replaces stays usable. @throws {PosternError} `request.malformed` */
export function overlapMsOf({ overlap }: PlainRun['options']): number {
  if (overlap === undefined) return limits.secretOverlapMs;
  const overlapMs = Number(overlap) * 1000;
  if (Number.isInteger(overlapMs) && overlapMs >= 0 && overlapMs <= limits.secretOverlapMsMax) return overlapMs;
  throw new PosternError('request.malformed', `--overlap takes 0 to ${limits.secretOverlapMsMax / 1000} seconds.`);
}
