import { PosternError } from '@postern/contracts';

import { risks, type ScopeMatrixFile } from './scope-matrix-file.ts';

/** The worst that a scope allows, from looking to changing who may do what. */
export type Risk = (typeof risks)[number];

/** What each scope of a provider lets one do. */
export interface ScopeMatrix {
  readonly version: number;
  readonly rows: readonly ScopeRow[];
}

/** One scope, with what the scopes that it includes allow. */
export interface ScopeRow {
  readonly scope: string;
  readonly allows: readonly string[];
  readonly risk: Risk;
  /** Every scope that comes with it, however far. */
  readonly includes: readonly string[];
  readonly says: string | null;
  readonly evidence: 'documented' | 'observed' | 'unverified';
}

/** A scope that was chosen, and why. */
export interface ChosenScope {
  readonly scope: string;
  readonly risk: Risk;
  /** The capabilities for which it was chosen. */
  readonly for: readonly string[];
  /** What comes with it though nobody asked. */
  readonly besides: readonly string[];
  readonly evidence: ScopeRow['evidence'];
}

/** @internal */
export function scopeMatrixFrom(file: ScopeMatrixFile | undefined): ScopeMatrix | null {
  if (file === undefined) return null;
  const listed = file.tables.flatMap(({ value, evidence }) => value.map((row) => ({ ...row, evidence })));
  const byScope = new Map(listed.map((row) => [row.scope, row]));
  const rows = listed.map((row): ScopeRow => {
    const includes = includedIn(row.scope, byScope);
    const all = [row, ...includes.flatMap((scope) => byScope.get(scope) ?? [])];
    return {
      scope: row.scope,
      allows: [...new Set(all.flatMap(({ allows }) => allows))].toSorted(),
      risk: all.reduce<Risk>((worst, { risk }) => (rank(risk) > rank(worst) ? risk : worst), 'read'),
      includes,
      says: row.says ?? null,
      evidence: row.evidence,
    };
  });
  return { version: file.version, rows };
}

/** All scopes that one brings along; a circle ends where it began. */
function includedIn(first: string, byScope: ReadonlyMap<string, { readonly includes: readonly string[] }>): string[] {
  const found = new Set<string>();
  const waiting = [first];
  for (let scope = waiting.pop(); scope !== undefined; scope = waiting.pop()) {
    for (const next of byScope.get(scope)?.includes ?? []) {
      if (next === first || found.has(next)) continue;
      found.add(next);
      waiting.push(next);
    }
  }
  return [...found].toSorted();
}

/** From `read`, 0, to `admin`. */
function rank(risk: Risk): number {
  return risks.indexOf(risk);
}

/**
 * The scopes to ask for so that these capabilities are had, with as little besides as the provider allows.
 *
 * For each capability the scope of the least risk is taken, among those the one that allows the least; one whose share
 * the others allow anyway is left out then. The order in which capabilities are named changes nothing.
 *
 * @param offered only these scopes count, such as those of a client registration; absent, all that the matrix knows
 * @throws {PosternError} `provider.capability_unknown` for a capability that none of these scopes allows, with those
 *   that they do; also where the catalog has no matrix for the provider.
 */
export function scopesFor(
  { id, scopeMatrix }: { readonly id: string; readonly scopeMatrix: ScopeMatrix | null },
  capabilities: readonly string[],
  offered?: readonly string[],
): ChosenScope[] {
  if (scopeMatrix === null) {
    throw new PosternError('provider.capability_unknown', `The catalog does not know what the scopes of ${id} allow.`);
  }
  const rows = scopeMatrix.rows.filter(({ scope }) => offered === undefined || offered.includes(scope));
  const asked = [...new Set(capabilities)].toSorted();
  const needed = withoutSpare(new Set(asked.map((capability) => leastThatAllows(id, capability, rows))), asked);
  return needed
    .map((row) => ({
      scope: row.scope,
      risk: row.risk,
      for: asked.filter((capability) => row.allows.includes(capability)),
      besides: row.allows.filter((capability) => !asked.includes(capability)),
      evidence: row.evidence,
    }))
    .toSorted((a, b) => (a.scope < b.scope ? -1 : 1));
}

/**
 * What a request for these capabilities asks for, of what a client registration offers: the chosen scopes, and those that
 * allow nothing by themselves, without which there would be no account or no refresh token.
 *
 * @throws {PosternError} as {@link scopesFor}
 */
export function requestFor(
  provider: { readonly id: string; readonly scopeMatrix: ScopeMatrix | null },
  capabilities: readonly string[],
  offered: readonly string[],
): string[] {
  const rows = provider.scopeMatrix?.rows ?? [];
  const chosen = scopesFor(provider, capabilities, offered).map(({ scope }) => scope);
  const harmless = rows.filter(({ allows, risk }) => allows.length === 0 && risk === 'read').map(({ scope }) => scope);
  return offered.filter((scope) => chosen.includes(scope) || harmless.includes(scope));
}

/** One after the other, the least risky first: who needs to write may not need to be asked for reading. */
function withoutSpare(taken: ReadonlySet<ScopeRow>, asked: readonly string[]): ScopeRow[] {
  const left = new Set([...taken].toSorted(byLeast));
  for (const row of left) {
    const others = new Set([...left].filter((other) => other !== row).flatMap(({ allows }) => allows));
    if (asked.every((capability) => !row.allows.includes(capability) || others.has(capability))) left.delete(row);
  }
  return [...left];
}

function byLeast(a: ScopeRow, b: ScopeRow): number {
  return rank(a.risk) - rank(b.risk) || a.allows.length - b.allows.length || (a.scope < b.scope ? -1 : 1);
}

function leastThatAllows(id: string, capability: string, rows: readonly ScopeRow[]): ScopeRow {
  const [least] = rows.filter(({ allows }) => allows.includes(capability)).toSorted(byLeast);
  if (least !== undefined) return least;
  const known = [...new Set(rows.flatMap(({ allows }) => allows))].toSorted();
  throw new PosternError(
    'provider.capability_unknown',
    `No scope of ${id} is known to allow ${capability.slice(0, 64)}; known are: ${known.join(', ') || 'none'}.`,
  );
}
