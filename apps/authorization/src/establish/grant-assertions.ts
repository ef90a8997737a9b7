import { Injectable } from '@nestjs/common';
import { operations, PosternError, type Renewal } from '@postern/contracts';
import { CryptoError, sealJwe, Secret, zero } from '@postern/crypto';
import { OperationsClient, ServiceKeys, Trust } from '@postern/service';

import type { Establishment } from './shown-tokens.ts';

/** Has the vault sign what a connection is asked for with. */
@Injectable()
export class GrantAssertions {
  readonly #operations: OperationsClient;
  readonly #keys: ServiceKeys;
  readonly #trust: Trust;

  constructor(operationsClient: OperationsClient, keys: ServiceKeys, trust: Trust) {
    this.#operations = operationsClient;
    this.#keys = keys;
    this.#trust = trust;
  }

  /** @throws {PosternError} what the vault answers */
  async of({ tenantId, connectionId, sessionId }: Establishment, renewal: Renewal): Promise<Secret> {
    const reply = await this.#operations.call(
      operations.signGrantAssertion,
      { app: 'authorization' },
      {
        tenant_id: tenantId,
        connection_id: connectionId,
        session_id: sessionId,
        sealed_renewal: this.#seal(renewal, { ten: tenantId, con: connectionId, ses: sessionId }),
      },
    );
    try {
      const { plaintext } = this.#keys.opener.open(reply.sealed_assertion);
      const assertion = Secret.from(plaintext.toString('ascii'));
      zero(plaintext);
      return assertion;
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw new PosternError('service.internal', 'The assertion was not sealed to this service.');
    }
  }

  #seal(renewal: Renewal, protectedHeader: Record<string, string>): string {
    const plaintext = Buffer.from(JSON.stringify(renewal), 'utf8');
    return sealJwe({ recipient: this.#trust.recipient('vault'), plaintext, protectedHeader });
  }
}
