import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import { shredKey } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingApp, commitOrigin, Serves } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { shredDataKey } from '../data-key-rows.ts';
import { DataKeys } from '../data-keys.ts';
import { OwnedSecrets } from '../owned-secrets.ts';
import { PendingCredentials } from '../pending-credentials.ts';
import { VaultDatabase } from '../vault-database.ts';

type Request = RequestOf<typeof operations.shredConnectionKey>;
type Reply = ReplyOf<typeof operations.shredConnectionKey>;

/** Shreds the data key of a deleted connection, then says so in the log; asked again it does what is left. */
@Injectable()
export class ShredKey {
  constructor(
    private readonly database: VaultDatabase,
    private readonly connections: Connections,
    private readonly credentials: Credentials,
    private readonly pending: PendingCredentials,
    private readonly secrets: OwnedSecrets,
    private readonly dataKeys: DataKeys,
  ) {}

  @Serves(operations.shredConnectionKey)
  async shred(request: Request, call: Call): Promise<Reply> {
    callingApp(call, ['revocation']);
    const { tenant_id: tenantId, connection_id: connectionId } = request;
    const ref = { tenantId, id: connectionId };
    const { state } = await this.connections.load(ref, { fromLeader: true });
    shredKey({}, state); // refuses while the key is in use; a deletion is never taken back
    const owner = ownerOf(state);
    const key = { tenantId, ownerId: connectionId };
    await this.database.inTenant(tenantId, async (em) => {
      await shredDataKey(em, key);
      await this.credentials.removeAll(em, owner);
      await this.pending.remove(em, owner);
      await this.secrets.removeAll(em, key);
    });
    this.dataKeys.forget(key);
    this.credentials.forget(owner);
    const { position } = await this.connections.execute(ref, (current) => shredKey({}, current), {
      actor: { type: 'service', id: 'vault' },
      ...commitOrigin(),
      fromLeader: true,
    });
    return { position };
  }
}
