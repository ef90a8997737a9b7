import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { TokenSet } from '@postern/contracts';
import { Sealer, zero } from '@postern/crypto';
import { Trust } from '@postern/service';

import type { HeldClaim } from '../claim/held-claim.ts';

/** Seals what a claim bought to the vault: on the bus nobody else can open it. */
@Injectable()
export class SealedTokens implements OnApplicationShutdown {
  readonly #trust: Pick<Trust, 'recipient'>;
  readonly #sealer = new Sealer();

  constructor(trust: Trust) {
    this.#trust = trust;
  }

  seal({ tenantId, connectionId, claimId }: HeldClaim, tokenSet: TokenSet): string {
    const recipient = this.#trust.recipient('vault');
    const plaintext = Buffer.from(JSON.stringify(tokenSet), 'utf8');
    const protectedHeader = { cty: 'application/json', con: connectionId, clm: claimId };
    try {
      return this.#sealer.seal({ scope: tenantId, recipient, plaintext, protectedHeader });
    } finally {
      zero(plaintext);
    }
  }

  onApplicationShutdown(): void {
    this.#sealer.clear();
  }
}
