import { z } from 'zod';

/**
 * How well a fact about a provider is known.
 *
 * `documented`: the provider or a standard says so at `source`. `observed`: a real server did so; `note` says when
 * and how. `unverified`: believed, or from a second hand; code must be safe when it is wrong.
 */
export const Evidence = z.enum(['documented', 'observed', 'unverified']);
export type Evidence = z.infer<typeof Evidence>;

/** A judged statement: the value with its evidence, so that nobody mistakes a guess for a fact. */
export interface Fact<T> {
  readonly value: T;
  readonly evidence: Evidence;
  readonly source?: string | undefined;
  readonly note?: string | undefined;
}

/** The schema of a fact in a provider file; what is called documented must say where. */
export function factOf<S extends z.ZodType>(value: S) {
  return z
    .strictObject({
      value,
      evidence: Evidence,
      source: z.url({ protocol: /^https$/ }).optional(),
      note: z.string().min(1).max(400).optional(),
    })
    .refine((fact) => fact.evidence !== 'documented' || fact.source !== undefined, 'a documented fact names its source')
    .refine((fact) => fact.evidence !== 'observed' || fact.note !== undefined, 'an observed fact says how, in note');
}
