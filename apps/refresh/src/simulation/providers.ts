import type { VersionedCatalog } from '@postern/provider-catalog';

/** What a provider does with refresh tokens. */
export type ReuseRule =
  /** The same one for ever. */
  | 'stable'
  /** A new one each time; the old one works for a while, and its use after that ends everything. */
  | 'grace'
  /** A new one each time; the use of an old one ends everything. */
  | 'family';

/** A provider of a simulation: its rules, and what our catalog knows of them. */
export interface ProviderRules {
  readonly rule: ReuseRule;
  readonly graceMs: number;
  /** Null: an access token has no end. */
  readonly accessTtlMs: number | null;
  readonly hasRefreshToken: boolean;
  /** A refresh ends the access token of before. */
  readonly endsOldAccess: boolean;
  readonly leadS: number;
  readonly idleTtlS: number | null;
  readonly absoluteTtlS: number | null;
}

const hourMs = 3_600_000;
const dayS = 86_400;

const usual: ProviderRules = Object.freeze({
  rule: 'stable',
  graceMs: 0,
  accessTtlMs: hourMs,
  hasRefreshToken: true,
  endsOldAccess: false,
  leadS: 300,
  idleTtlS: null,
  absoluteTtlS: null,
});

/** Each clock and each reuse rule, as providers have them. */
export const providerRules: Readonly<Record<string, ProviderRules>> = Object.freeze({
  stable: usual,
  grace: { ...usual, rule: 'grace', graceMs: 60_000, accessTtlMs: 2 * hourMs, idleTtlS: 60 * dayS },
  family: { ...usual, rule: 'family', accessTtlMs: 3 * hourMs, leadS: 60 },
  'ends-old-access': { ...usual, rule: 'family', endsOldAccess: true, leadS: 60, accessTtlMs: 2 * hourMs },
  'idle-a-day': { ...usual, rule: 'family', accessTtlMs: null, idleTtlS: dayS },
  'idle-stable': { ...usual, accessTtlMs: 12 * hourMs, idleTtlS: dayS / 2 },
  absolute: { ...usual, rule: 'grace', graceMs: 30_000, accessTtlMs: 4 * hourMs, absoluteTtlS: 2 * dayS },
  'no-refresh-token': { ...usual, hasRefreshToken: false, accessTtlMs: 10 * hourMs },
});

/** With access tokens that live longer, so that weeks hold no more refreshes than seconds can. */
export function slowed(rules: Readonly<Record<string, ProviderRules>>, by: number): Record<string, ProviderRules> {
  return Object.fromEntries(
    Object.entries(rules).map(([id, one]) => [
      id,
      {
        ...one,
        accessTtlMs: one.accessTtlMs === null ? null : one.accessTtlMs * by,
        idleTtlS: one.idleTtlS === null ? null : one.idleTtlS * by,
        absoluteTtlS: one.absoluteTtlS === null ? null : one.absoluteTtlS * by,
      },
    ]),
  );
}

/** What our catalog says of them. */
export function catalogOf(rules: Readonly<Record<string, ProviderRules>>): VersionedCatalog {
  return new Map(Object.entries(rules).map(([id, refresh]) => [id, { refresh }])) as unknown as VersionedCatalog;
}

/** Nobody decides about versions in a simulation, and its connections have no pins. */
export const noRollouts = Object.freeze({ of: () => undefined });
