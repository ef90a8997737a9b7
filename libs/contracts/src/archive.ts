import { z } from 'zod';

const Position = z.number().int().positive();

/** What stands beside a segment of an archived stream: which positions it holds, its hash, and what proves them. */
export const ArchiveManifest = z
  .object({
    stream: z.string(),
    from: Position,
    to: Position,
    /** Fewer than its positions where some held nothing. */
    messages: z.number().int().nonnegative(),
    /** Of the file as it lies there. */
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    /** The signed note (C2SP tlog-checkpoint) whose size is `to`. */
    checkpoint: z.string(),
  })
  .refine(({ from, to }) => from <= to, 'it ends before it begins');
export type ArchiveManifest = z.infer<typeof ArchiveManifest>;

/** How an object store is reached that keeps archives; the file that holds it is a secret. */
export const ArchiveStoreSettings = z.strictObject({
  endpoint: z.url({ protocol: /^https?$/ }),
  region: z.string().min(1).default('us-east-1'),
  access_key_id: z.string().min(1),
  secret_access_key: z.string().min(1),
});
