import { setTimeout as delay } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import { isPosternError, operations, type TokenSet } from '@postern/contracts';
import { sealJwe, zero } from '@postern/crypto';
import { OperationsClient, Trust } from '@postern/service';

import { authorizationLimits } from '../authorization-limits.ts';

interface Session {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly sessionId: string;
}

/** Hands exchanged token sets to the vault, where they wait for the platform's completion. */
@Injectable()
export class PendingTokens {
  readonly #operations: OperationsClient;
  readonly #trust: Trust;

  constructor(operationsClient: OperationsClient, trust: Trust) {
    this.#operations = operationsClient;
    this.#trust = trust;
  }

  /**
   * Seals to the vault's pinned key and stores; tries again while the vault may come back, since the code is spent.
   *
   * @effect may be repeated: the vault keeps one pending set a session.
   * @throws {PosternError} what the vault answered last.
   */
  async store({ tenantId, connectionId, sessionId }: Session, tokenSet: TokenSet): Promise<void> {
    const request = {
      tenant_id: tenantId,
      connection_id: connectionId,
      bought_by: sessionId,
      sealed_token_set: this.#seal(tokenSet, { ten: tenantId, con: connectionId, ses: sessionId }),
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#operations.call(operations.storeCredential, { app: 'authorization' }, request);
        return;
      } catch (error) {
        const again = isPosternError(error) && error.row.retry !== 'never';
        if (!again || attempt >= authorizationLimits.storeAttemptsMax) throw error;
        await delay(authorizationLimits.storeRetryDelayMs * attempt);
      }
    }
  }

  #seal(tokenSet: TokenSet, protectedHeader: Record<string, string>): string {
    const plaintext = Buffer.from(JSON.stringify(tokenSet), 'utf8');
    try {
      return sealJwe({ recipient: this.#trust.recipient('vault'), plaintext, protectedHeader });
    } finally {
      zero(plaintext);
    }
  }
}
