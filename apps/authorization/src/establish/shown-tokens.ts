import { Injectable } from '@nestjs/common';
import { limits, operations, PosternError, type ExchangeParty } from '@postern/contracts';
import { CryptoError, Secret, zero } from '@postern/crypto';
import { shownTokens, type ShownIdentity, type ShownTokens } from '@postern/provider-client';
import { OperationsClient, ServiceKeys } from '@postern/service';

/** What stands open in the log. */
export interface Establishment {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly sessionId: string;
}

/** Gets the tokens of an exchange from the vault, once the log says what they are for. */
@Injectable()
export class ShownTokensReader {
  readonly #operations: OperationsClient;
  readonly #keys: ServiceKeys;

  constructor(operationsClient: OperationsClient, keys: ServiceKeys) {
    this.#operations = operationsClient;
    this.#keys = keys;
  }

  /** @throws {PosternError} what the vault answers */
  async for(
    parties: { readonly subject: ExchangeParty; readonly actor: ExchangeParty | null },
    establishment: Establishment,
  ): Promise<ShownTokens> {
    return shownTokens((await this.#released(parties, establishment)) as Parameters<typeof shownTokens>[0]);
  }

  /** The same of a subject's ID token. */
  async identityFor(subject: ExchangeParty, establishment: Establishment): Promise<ShownIdentity> {
    const { idToken } = (await this.#released({ subject, actor: null }, establishment)) as { idToken: string };
    return { idToken: Secret.from(idToken) };
  }

  async #released(
    { subject, actor }: { readonly subject: ExchangeParty; readonly actor: ExchangeParty | null },
    { tenantId, connectionId, sessionId }: Establishment,
  ): Promise<unknown> {
    const { sealed_tokens: sealed } = await this.#operations.call(
      operations.releaseForExchange,
      { app: 'authorization' },
      {
        ...{ tenant_id: tenantId, connection_id: connectionId, session_id: sessionId },
        subject_registration_id: subject.registrationId,
        ...(actor !== null && { actor_registration_id: actor.registrationId }),
      },
      // An ended token of either is refreshed first.
      { timeoutMs: 2 * limits.leaseRefreshWaitMs },
    );
    try {
      const { plaintext } = this.#keys.opener.open(sealed);
      try {
        return JSON.parse(plaintext.toString('utf8'));
      } finally {
        zero(plaintext);
      }
    } catch (error) {
      if (!(error instanceof CryptoError) && !(error instanceof SyntaxError)) throw error;
      throw new PosternError('service.internal', 'The tokens were not sealed to this service.');
    }
  }
}
