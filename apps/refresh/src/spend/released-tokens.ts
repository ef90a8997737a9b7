import { Injectable } from '@nestjs/common';
import { operations, PosternError, Renewal, type RequestOf, type TokenSet } from '@postern/contracts';
import { CryptoError, Secret, zero } from '@postern/crypto';
import {
  shownTokens,
  type IdentityRenewal,
  type ShownAssertion,
  type ShownIdentity,
  type ShownTokens,
} from '@postern/provider-client';
import { OperationsClient, ServiceKeys } from '@postern/service';

import type { HeldClaim } from '../claim/held-claim.ts';

/** What a refresh token stands for, unless its use says otherwise. */
type Bought = Pick<TokenSet, 'grantedScopes' | 'authorizationDetails'>;

/** A refresh token with the scopes it stands for, opened; or what is asked with where there is none. */
export type ReleasedToken =
  | ({ readonly refreshToken: Secret } & Bought)
  | { readonly renewal: Renewal; readonly shown?: ShownTokens | ShownAssertion | undefined }
  | { readonly renewal: IdentityRenewal; readonly identity: SubjectIdentity };

/** The ID token of a subject, and by which version of the provider's file that is to be asked. */
export interface SubjectIdentity extends ShownIdentity {
  readonly providerVersion: number | null;
}

/** A claim that the vault is to write together with its release. */
export type ClaimToTake = NonNullable<RequestOf<typeof operations.releaseRefreshToken>['claim']>;

/** Gets refresh tokens from the vault, which says in the log that it gave one away before it does. */
@Injectable()
export class ReleasedTokens {
  constructor(
    private readonly operations: OperationsClient,
    private readonly keys: ServiceKeys,
  ) {}

  /**
   * @param claim what the vault is to claim first, in the same commit; without it the claim stands already
   * @throws {PosternError} `refresh.claim_lost`, what else the vault answers, `service.internal` when it does not open
   */
  async release({ tenantId, connectionId, claimId }: HeldClaim, claim?: ClaimToTake): Promise<ReleasedToken> {
    const { sealed_refresh_token: sealed } = await this.operations.call(
      operations.releaseRefreshToken,
      { app: 'refresh' },
      { tenant_id: tenantId, connection_id: connectionId, claim_id: claimId, ...(claim && { claim }) },
    );
    try {
      return this.#open(sealed);
    } catch (error) {
      if (!(error instanceof CryptoError) && !(error instanceof SyntaxError)) throw error;
      throw new PosternError('service.internal', 'The refresh token was not sealed to this service.');
    }
  }

  #open(sealed: string): ReleasedToken {
    const { plaintext } = this.keys.opener.open(sealed);
    try {
      const part = JSON.parse(plaintext.toString('utf8')) as Released;
      if ('renewal' in part) return renewalOf(part);
      const { grantedScopes, authorizationDetails } = part;
      return { refreshToken: Secret.from(part.refreshToken), grantedScopes, authorizationDetails };
    } finally {
      zero(plaintext);
    }
  }
}

type Released =
  | {
      readonly renewal: unknown;
      readonly exchange?: Parameters<typeof shownTokens>[0];
      readonly assertion?: string;
      readonly identity?: { readonly idToken: string; readonly providerVersion: number | null };
    }
  | ({ readonly refreshToken: string } & Bought);

function renewalOf(part: Extract<Released, { readonly renewal: unknown }>): ReleasedToken {
  const renewal = Renewal.parse(part.renewal);
  if (renewal.grant !== 'identity_assertion') return { renewal, shown: shownOf(part) };
  if (part.identity === undefined) throw new PosternError('service.internal', 'No identity was released.');
  const { idToken, providerVersion } = part.identity;
  return { renewal, identity: { idToken: Secret.from(idToken), providerVersion } };
}

/** What goes along with the question, where the grant needs more than the client's own credentials. */
function shownOf({ exchange, assertion }: Extract<Released, { readonly renewal: unknown }>) {
  if (exchange !== undefined) return shownTokens(exchange);
  return assertion === undefined ? undefined : { assertion: Secret.from(assertion) };
}
