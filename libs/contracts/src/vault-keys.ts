import { z } from 'zod';

import { ConnectionId, RegistrationId, TenantId } from './ids.ts';
import { limits } from './limits.ts';
import { Timestamp } from './wire.ts';

const KeyVersion = z.number().int().positive();
const Count = z.number().int().nonnegative();
const KeyOwnerId = z.union([ConnectionId, RegistrationId]).describe('Whose data key: a connection or a registration');

/** How many data keys belong to a version of the tenant's key; null for those that name none. */
const ByVersion = z.array(z.object({ version: KeyVersion.nullable(), count: Count }));

export const KeysStatusRequest = z.strictObject({
  tenant_id: TenantId,
  /** Goes on with the shreddings after this owner. */
  after: KeyOwnerId.optional(),
  limit: z.number().int().min(1).max(limits.listPageMax).optional(),
});

export const KeysStatus = z.object({
  key_service: z.object({
    kind: z.enum(['local', 'transit']),
    ready: z.boolean(),
    /** The versions that still open, as the vault's key service says; null when it cannot say. */
    oldest: KeyVersion.nullable(),
    latest: KeyVersion.nullable(),
    reason: z.string().nullable(),
  }),
  data_keys: z.object({
    total: Count,
    /** By the version that wraps them now. */
    wrapped_by: ByVersion,
    /** By the version under which they were generated: what a copy of an older wrapping would give. */
    made_under: ByVersion,
  }),
  /** The vault wraps nothing under versions before this one; null when it was never asked to rewrap. */
  refused_before: KeyVersion.nullable(),
  /** Versions before this one were reported gone from the key service; null for none. */
  gone_before: KeyVersion.nullable(),
  /** A shredding is complete once the version that wrapped its key is gone: then no old copy of the tables yields it. */
  shreddings: z.object({
    complete: Count,
    pending: Count,
    /** When the newest of the complete ones became so. */
    complete_since: Timestamp.nullable(),
    /** Versions before this one must go for all of them to be complete; null when all are, or when nobody knows. */
    pending_until_before: KeyVersion.nullable(),
    page: z.array(
      z.object({
        owner_id: z.string(),
        shredded_at: Timestamp.nullable(),
        /** The version that wrapped the key when it was shredded; null for one that was never made, or not known. */
        key_version: KeyVersion.nullable(),
        complete_since: Timestamp.nullable(),
      }),
    ),
    next: z.string().nullable(),
  }),
});
export type KeysStatus = z.infer<typeof KeysStatus>;

export const KeysRewrapRequest = z.strictObject({
  tenant_id: TenantId,
  /** The version that must wrap every data key; nothing is wrapped under an older one from the first step on. */
  version: KeyVersion,
  /** Also replaces data keys that were generated under an older version, and re-encrypts what they sealed. */
  data_keys: z.boolean().optional(),
  /** Goes on after this owner; absent at the first step, also of a run that resumes another. */
  after: KeyOwnerId.optional(),
  limit: z.number().int().min(1).max(limits.listPageMax).optional(),
});

export const KeysRewrapped = z.object({
  /** The tenant's data keys, and how many of them need nothing more; counted after this step. */
  total: Count,
  done: Count,
  /** What this step could not do, and why; it stands where it stood. */
  failed: z.array(z.object({ owner_id: z.string(), code: z.string() })),
  /** Where the next step goes on; null after the last one. */
  next: z.string().nullable(),
});
export type KeysRewrapped = z.infer<typeof KeysRewrapped>;

export const KeysRetiredRequest = z.strictObject({ tenant_id: TenantId, before_version: KeyVersion });
export const KeysRetired = z.object({ before_version: KeyVersion, gone_since: Timestamp });
