import { z } from 'zod';

import { Delegation } from './grants.ts';
import { LeaseId, TenantId } from './ids.ts';
import { limits } from './limits.ts';
import { Scopes, Timestamp } from './wire.ts';

/**
 * One lease, granted or refused, as it is recorded before anything is released.
 *
 * `position` is the log position at which it was decided: the log itself shows whether a lease came after a revocation.
 * Ids that a caller made up are kept as they came, within their length.
 */
export const AccessRecord = z.object({
  leaseId: LeaseId,
  at: Timestamp,
  tenantId: TenantId,
  platformId: z.string().max(64),
  agentId: z.string().max(64),
  connectionId: z.string().max(64),
  purpose: z.string().max(limits.purposeCharsMax),
  scopes: Scopes.nullable(),
  outcome: z.enum(['granted', 'refused']),
  /** The error code of a refusal. */
  code: z.string().nullable(),
  credentialVersion: z.number().int().positive().nullable(),
  position: z.number().int().nonnegative(),
  correlationId: z.string().max(128),
  /** Only of a derived connection: on whose behalf and who acts, the newest exchange first. @source RFC 8693 §4.1 */
  delegation: z.array(Delegation).max(limits.delegationStepsMax).optional(),
});
export type AccessRecord = z.infer<typeof AccessRecord>;

/** Separates signatures over groups of records from signatures over anything else. */
export const accessSignatureContext = 'postern.access.v1';

/** The payload of one message on ACCESS: records committed together, with the writer's gapless sequence. */
export const AccessGroup = z.object({
  writer: z.string().max(64),
  sequence: z.number().int().positive(),
  records: z.array(AccessRecord).min(1),
});
export type AccessGroup = z.infer<typeof AccessGroup>;
