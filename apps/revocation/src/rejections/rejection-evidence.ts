import type { Signal, SignalEvidence } from '@postern/contracts';

/** What a platform's report is called on SIGNALS. */
export const rejectionType = 'token_rejected';

/** Nobody vouches for when it happened; it was found by the lease that it names. */
export function evidenceOfRejection(
  { source, type, deliveryId, receivedAtMs }: Signal,
  position: number,
): SignalEvidence {
  return { source, type, deliveryId, position, occurredAtMs: null, receivedAtMs, matchedBy: 'lease' };
}
