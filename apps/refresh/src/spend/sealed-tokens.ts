import { Injectable } from '@nestjs/common';
import type { TokenSet } from '@postern/contracts';
import { sealJwe, zero } from '@postern/crypto';
import { Trust } from '@postern/service';

import type { HeldClaim } from '../claim/take-claim.ts';

/** Seals what a claim bought to the vault: on the bus nobody else can open it. */
@Injectable()
export class SealedTokens {
  constructor(private readonly trust: Trust) {}

  seal({ connectionId, claimId }: HeldClaim, tokenSet: TokenSet): string {
    const recipient = this.trust.recipient('vault');
    const plaintext = Buffer.from(JSON.stringify(tokenSet), 'utf8');
    const protectedHeader = { cty: 'application/json', con: connectionId, clm: claimId };
    const sealed = sealJwe({ recipient, plaintext, protectedHeader });
    zero(plaintext);
    return sealed;
  }
}
