import type { Connection } from '@postern/domain';

import type { Due } from '../due/due-messages.ts';

/** A claim that is about to be written. */
export interface NewClaim {
  readonly claimId: string;
  /** Monotonic, from before it is written. */
  readonly sinceMs: number;
}

/** The right to spend one refresh token, once, until its time is over. */
export interface HeldClaim extends NewClaim {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly registrationId: string;
  readonly providerId: string;
  /** Of the provider's file, to which the connection is pinned. */
  readonly providerVersion: number | null;
  /** Are its tokens bound to a key of its own, so that they are had with proofs alone? */
  readonly isBound: boolean;
}

/** The claim on the current credential of a connection. */
export function heldClaim({ tenantId, connectionId }: Due, claim: NewClaim, state: Connection): HeldClaim {
  return {
    ...claim,
    ...{ tenantId, connectionId, registrationId: state.registrationId, providerId: state.providerId },
    providerVersion: state.credential?.providerVersion ?? null,
    isBound: state.credential?.senderConstrained === 'dpop',
  };
}
