import { inspectionSource, type Signal, type SignalEvidence } from '@postern/contracts';

/** What a platform's report is called on SIGNALS. */
export const rejectionType = 'token_rejected';

/** Nobody vouches for when it happened; it was found by the lease that it names, or because we asked about it. */
export function evidenceOfRejection(
  { source, type, deliveryId, receivedAtMs }: Signal,
  position: number,
): SignalEvidence {
  const matchedBy = source === inspectionSource ? 'inspection' : 'lease';
  return { source, type, deliveryId, position, occurredAtMs: null, receivedAtMs, matchedBy };
}
