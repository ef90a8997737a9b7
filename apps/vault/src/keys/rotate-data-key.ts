import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { isId, PosternError } from '@postern/contracts';
import { zero } from '@postern/crypto';
import { openCredential, sealCredential, type KeyService } from '@postern/keyring';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { mayWrap } from '../data-key-rows.ts';
import { DataKeys, KeyServiceHolder, type KeyOwner } from '../data-keys.ts';
import { Directory } from '../directory.ts';
import { webhookOwner } from '../endpoint-secrets/endpoint-secret-operations.ts';
import { OwnedSecrets } from '../owned-secrets.ts';
import { PendingCredentials } from '../pending-credentials.ts';
import type { Reseal } from '../sealed-token-set.ts';
import { Shredder } from '../shred-key/shredder.ts';
import { VaultDatabase } from '../vault-database.ts';
import { replaceDataKey, takeAlone, type DueDataKey } from './key-rows.ts';

type ResealAll = (em: EntityManager, to: { keyGeneration: number; reseal: Reseal }) => Promise<void>;

/**
 * Gives an owner a fresh data key and seals all it has under it, in one transaction.
 *
 * Who stores at the same time holds the owner's row: either this waits for it and seals its row too, or it finds the
 * next generation and seals again. Who opens at the same time finds the old ciphertexts with the old key, or the new
 * ones with the new key (see `DataKeys`).
 */
@Injectable()
export class RotateDataKey {
  readonly #keyService: KeyService;

  constructor(
    holder: KeyServiceHolder,
    private readonly database: VaultDatabase,
    private readonly connections: Connections,
    private readonly directory: Directory,
    private readonly dataKeys: DataKeys,
    private readonly credentials: Credentials,
    private readonly pending: PendingCredentials,
    private readonly secrets: OwnedSecrets,
    private readonly shredder: Shredder,
  ) {
    this.#keyService = holder.keyService;
  }

  /**
   * @effect Nothing when the data key was rotated or shredded since it was read. What the log calls shredded is
   *   shredded again.
   * @throws {PosternError} `vault.ciphertext_invalid` when one of the owner's ciphertexts does not open: then all of
   *   it stays as it is.
   */
  async rotate(owner: KeyOwner, { wrapped, generation }: DueDataKey): Promise<void> {
    const { tenantId } = owner;
    const resealAll = await this.#resealing(owner);
    if (resealAll === undefined) return await this.shredder.shred({ tenantId, connectionId: owner.ownerId });
    const old = await this.#keyService.unwrapDataKey({ tenantId, wrapped });
    const next = await this.#keyService.generateDataKey({ tenantId });
    const reseal: Reseal = (binding, sealed) => {
      const plaintext = openCredential({ dataKey: old, binding, sealed });
      try {
        return sealCredential({ dataKey: next.plaintext, binding, plaintext });
      } finally {
        zero(plaintext);
      }
    };
    try {
      await this.database.inTenant(tenantId, async (em) => {
        if (!(await mayWrap(em, tenantId, next.wrapped))) {
          throw new PosternError(
            'vault.key_service_unavailable',
            'The key service wraps by a version that is retired.',
          );
        }
        if (!(await takeAlone(em, owner, generation))) return;
        const keyGeneration = generation + 1;
        await resealAll(em, { keyGeneration, reseal });
        await replaceDataKey(em, owner, { wrapped: next.wrapped, generation: keyGeneration });
      });
    } finally {
      zero(old);
      zero(next.plaintext);
    }
    this.dataKeys.forget(owner);
  }

  /** @returns undefined when the log says that the owner's key was shredded: then an older copy of the tables came back. */
  async #resealing({ tenantId, ownerId }: KeyOwner): Promise<ResealAll | undefined> {
    if (isId('registration', ownerId)) {
      const { providerId } = await this.directory.registration(tenantId, ownerId);
      return (em, to) => this.secrets.reseal(em, { tenantId, ownerId, providerId }, to);
    }
    if (isId('webhook', ownerId)) {
      const owner = webhookOwner(await this.directory.webhook(tenantId, ownerId));
      return (em, to) => this.secrets.reseal(em, owner, to);
    }
    const { state } = await this.connections.load({ tenantId, id: ownerId });
    if (state.authorization === 'none') throw new PosternError('connection.not_found', 'There is no such connection.');
    if (state.keyShredded) return undefined;
    // Where the ciphertexts belong is the log's word, not the table's.
    const owner = ownerOf(state);
    return async (em, to) => {
      await this.credentials.reseal(em, owner, to);
      await this.pending.reseal(em, owner, to);
      await this.secrets.reseal(em, { ...owner, ownerId }, to);
    };
  }
}
