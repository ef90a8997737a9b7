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
  /** The day on which the source was read, `YYYY-MM-DD`. */
  readonly as_of?: string | undefined;
  readonly note?: string | undefined;
}

const factShape = 'must be a fact: value and evidence, with source and as_of where it is documented';

/** The schema of a fact in a provider file; what is called documented must say where. */
export function factOf<S extends z.ZodType>(value: S) {
  return z
    .strictObject(
      {
        value,
        evidence: Evidence,
        source: z.url({ protocol: /^https$/ }).optional(),
        as_of: z.iso.date().optional(),
        note: z.string().min(1).max(400).optional(),
      },
      { error: ({ code }) => (code === 'invalid_type' ? factShape : undefined) },
    )
    .refine(
      ({ evidence, source, as_of: asOf }) => evidence !== 'documented' || (source !== undefined && asOf !== undefined),
      {
        message: 'a documented fact names its source and, as_of, the day on which it was read',
      },
    )
    .refine((fact) => fact.evidence !== 'observed' || fact.note !== undefined, 'an observed fact says how, in note');
}

/** What stands for a fact of which a file says nothing: the value that does least harm when it is wrong. */
export function cautious<T>(value: T): { value: T; evidence: 'unverified'; note: string } {
  return { value, evidence: 'unverified', note: nothingKnown };
}

const nothingKnown = 'Nothing is known of it; this is the cautious value.';

/** Does this fact stand for one of which the file says nothing? */
export function isAssumed({ note }: Fact<unknown>): boolean {
  return note === nothingKnown;
}
