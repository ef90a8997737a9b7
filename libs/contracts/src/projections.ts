import { z } from 'zod';

import { Timestamp } from './wire.ts';

const Count = z.number().int().nonnegative();

/** The read models of `audit`. */
export const modelNames = ['connections', 'health', 'notifications', 'access'] as const;
export const ModelName = z.enum(modelNames);
export type ModelName = z.infer<typeof ModelName>;

const Generation = z.object({
  generation: z.number().int().positive(),
  role: z.enum(['live', 'building', 'verifying', 'old']),
  /** Up to which position of its stream it has read. */
  position: Count,
  messages: Count,
  since: Timestamp,
  /** Rows of before then were dropped; null where all are kept. */
  kept_from: Timestamp.nullable(),
});

/** How far a read model is, and what it could not use. */
export const Projection = z.object({
  model: ModelName,
  stream: z.string(),
  /** The stream's last position. */
  head: Count,
  /** Messages that the live generation has not read. */
  behind: Count,
  /** `halted`: the log is not the one it was made of. */
  state: z.enum(['current', 'behind', 'halted']),
  generations: z.array(Generation),
  set_aside: z.object({
    count: Count,
    first: z.array(z.object({ position: Count, kind: z.string(), reason: z.string() })),
  }),
});
export type Projection = z.infer<typeof Projection>;

export const ProjectionsList = z.object({ projections: z.array(Projection) });
export type ProjectionsList = z.infer<typeof ProjectionsList>;

export const ModelRequest = z.strictObject({ model: ModelName });

export const ProjectionRebuilt = z.object({ model: ModelName, generation: Count, position: Count, messages: Count });
export type ProjectionRebuilt = z.infer<typeof ProjectionRebuilt>;

export const ProjectionVerified = z.object({
  model: ModelName,
  /** Both were folded up to here. */
  position: Count,
  messages: Count,
  tenants: Count,
  same: z.boolean(),
  /** The first row that differs, by tenant and key; `null` on the side where there is none. */
  difference: z
    .object({
      table: z.string(),
      tenant_id: z.string().nullable(),
      key: z.record(z.string(), z.union([z.string(), z.number()])),
      live: z.string().nullable(),
      fresh: z.string().nullable(),
    })
    .nullable(),
});
export type ProjectionVerified = z.infer<typeof ProjectionVerified>;
