import { createHash } from 'node:crypto';

import { Injectable } from '@nestjs/common';
import { operations, type AppName } from '@postern/contracts';
import type { Secret } from '@postern/crypto';

import { OperationsClient } from './operations-client.ts';
import { ServiceIdentity } from './service-identity.ts';

interface ProofRequest {
  readonly htm: string;
  readonly htu: string;
  readonly nonce?: string | undefined;
  readonly accessToken?: Secret | undefined;
}

/** Signs a proof; the shape is the one that `ProviderClient` takes, which no service without egress depends on. */
export type Prove = (request: ProofRequest) => Promise<{ readonly proof: string; readonly jkt: string }>;

/**
 * Proofs with the keys to which the tokens of connections are bound, from the vault, which alone has the keys.
 *
 * @source RFC 9449 §4
 */
@Injectable()
export class DpopProofs {
  readonly #app: AppName;
  readonly #operations: OperationsClient;

  constructor({ app }: ServiceIdentity, operationsClient: OperationsClient) {
    this.#app = app;
    this.#operations = operationsClient;
  }

  /**
   * What signs for one connection.
   *
   * @effect the key is made at the first proof. What is returned throws what the vault answers.
   */
  of({ tenantId, connectionId }: { readonly tenantId: string; readonly connectionId: string }): Prove {
    return async ({ htm, htu, nonce, accessToken }) =>
      await this.#operations.call(
        operations.signDpopProof,
        { app: this.#app },
        {
          ...{ tenant_id: tenantId, connection_id: connectionId, htm, htu },
          ...(nonce !== undefined && { nonce }),
          ...(accessToken !== undefined && { ath: hashOf(accessToken) }),
        },
      );
  }
}

/** @source RFC 9449 §4.2 */
function hashOf(accessToken: Secret): string {
  return createHash('sha256').update(accessToken.reveal(), 'ascii').digest('base64url');
}
