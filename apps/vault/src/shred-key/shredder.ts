import { Injectable } from '@nestjs/common';

import { Credentials } from '../credentials.ts';
import { shredDataKey } from '../data-key-rows.ts';
import { DataKeys } from '../data-keys.ts';
import { OwnedSecrets } from '../owned-secrets.ts';
import { PendingCredentials } from '../pending-credentials.ts';
import type { ConnectionRef } from '../sealed-token-set.ts';
import { VaultDatabase } from '../vault-database.ts';

/** Takes a connection's data key away for ever, and all that it sealed. */
@Injectable()
export class Shredder {
  constructor(
    private readonly database: VaultDatabase,
    private readonly credentials: Credentials,
    private readonly pending: PendingCredentials,
    private readonly secrets: OwnedSecrets,
    private readonly dataKeys: DataKeys,
  ) {}

  /** May be repeated. Whether it is right is for the log to say, before. */
  async shred(ref: ConnectionRef): Promise<void> {
    const { tenantId, connectionId: ownerId } = ref;
    await this.database.inTenant(tenantId, async (em) => {
      await shredDataKey(em, { tenantId, ownerId });
      await this.credentials.removeAll(em, ref);
      await this.pending.remove(em, ref);
      await this.secrets.removeAll(em, { tenantId, ownerId });
    });
    this.dataKeys.forget({ tenantId, ownerId });
    this.credentials.forget(ref);
  }
}
