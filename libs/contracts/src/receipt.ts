import { z } from 'zod';

import { AgentId, ConnectionId, LeaseId, TenantId } from './ids.ts';
import { Timestamp } from './wire.ts';

/** The `typ` of a lease receipt: a signature over it is one over nothing else. @source RFC 7515 §4.1.9, RFC 8725 §3.11 */
export const leaseReceiptType = 'postern-lease-receipt+jws';

/**
 * What the vault promises whoever was leased a token: that the record of it stands on ACCESS, where, and in which words.
 * Whoever shows it finds a record that is missing, though every chain and tree over what is left should hold.
 */
export const LeaseReceipt = z.object({
  lease_id: LeaseId,
  tenant_id: TenantId,
  connection_id: ConnectionId,
  agent_id: AgentId,
  at: Timestamp,
  /** Under which name its group was written, on `access.<service>.<writer>`. */
  service: z.string().max(32),
  writer: z.string().max(64),
  /** The number of its group among those of its writer. */
  sequence: z.number().int().positive(),
  /** Where its group stands on ACCESS; null where only the stream knows. */
  position: z.number().int().positive().nullable(),
  /** SHA-256 of the record as it stands in its group, in hex. */
  record_sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type LeaseReceipt = z.infer<typeof LeaseReceipt>;
