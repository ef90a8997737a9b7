import { Capability } from '@postern/contracts';
import { z } from 'zod';

import { factOf } from './fact.ts';

/**
 * The worst that a scope allows: `read` looks, `write` adds and changes, `destructive` takes away for good, `money`
 * moves or asks for money, `admin` changes who may do what.
 */
export const risks = ['read', 'write', 'destructive', 'money', 'admin'] as const;

const ScopeRow = z.strictObject({
  scope: z.string().min(1).max(256),
  allows: z.array(Capability).max(32).default([]),
  risk: z.enum(risks),
  /** Other scopes whose rows count for this one, too. */
  includes: z.array(z.string().min(1).max(256)).max(64).default([]),
  /** One sentence for whoever has to agree. */
  says: z.string().min(1).max(200).optional(),
});

/** What each scope of a provider lets one do. */
export const ScopeMatrixFile = z
  .strictObject({
    /** Rises with every change of a row, so that it can be said by which matrix a scope was chosen. */
    version: z.number().int().positive(),
    tables: z
      .array(factOf(z.array(ScopeRow).min(1).max(128)))
      .min(1)
      .max(8),
  })
  .refine(({ tables }) => rowsAreUnique(tables.flatMap(({ value }) => value)), {
    message: 'two rows of the scope matrix have one scope',
  })
  .refine(({ tables }) => includesAreRows(tables.flatMap(({ value }) => value)), {
    message: 'a row of the scope matrix includes a scope that has no row',
  });
export type ScopeMatrixFile = z.infer<typeof ScopeMatrixFile>;
export type ScopeRowFile = z.infer<typeof ScopeRow>;

function rowsAreUnique(rows: readonly ScopeRowFile[]): boolean {
  return new Set(rows.map(({ scope }) => scope)).size === rows.length;
}

function includesAreRows(rows: readonly ScopeRowFile[]): boolean {
  const known = new Set(rows.map(({ scope }) => scope));
  return rows.every(({ includes }) => includes.every((scope) => known.has(scope)));
}
