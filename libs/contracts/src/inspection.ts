import { z } from 'zod';

import { ConnectionId, RegistrationId } from './ids.ts';
import { Timestamp } from './wire.ts';

/**
 * What a provider answered when it was asked about a grant that nobody suspected. `dead` made a signal, by which the
 * connection is suspected, and the provider asked once more; `no_answer` says nothing of the grant.
 */
export const InspectionOutcome = z.enum(['alive', 'dead', 'no_answer']);
export type InspectionOutcome = z.infer<typeof InspectionOutcome>;

/** The last time that a provider was asked about a connection. */
export const Inspection = z.object({
  connection_id: ConnectionId,
  registration_id: RegistrationId,
  asked_at: Timestamp,
  outcome: InspectionOutcome,
});
export type Inspection = z.infer<typeof Inspection>;
