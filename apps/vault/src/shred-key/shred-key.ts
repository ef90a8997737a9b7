import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import { shredKey } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingApp, commitOrigin, Serves } from '@postern/service';

import { Connections } from '../connections.ts';
import { Shredder } from './shredder.ts';

type Request = RequestOf<typeof operations.shredConnectionKey>;
type Reply = ReplyOf<typeof operations.shredConnectionKey>;

/** Shreds the data key of a deleted connection, then says so in the log; asked again it does what is left. */
@Injectable()
export class ShredKey {
  constructor(
    private readonly connections: Connections,
    private readonly shredder: Shredder,
  ) {}

  @Serves(operations.shredConnectionKey)
  async shred(request: Request, call: Call): Promise<Reply> {
    callingApp(call, ['revocation']);
    const { tenant_id: tenantId, connection_id: connectionId } = request;
    const ref = { tenantId, id: connectionId };
    const { state } = await this.connections.load(ref, { fromLeader: true });
    shredKey({}, state); // refuses while the key is in use; a deletion is never taken back
    await this.shredder.shred({ tenantId, connectionId });
    const { position } = await this.connections.execute(ref, (current) => shredKey({}, current), {
      actor: { type: 'service', id: 'vault' },
      ...commitOrigin(),
      fromLeader: true,
    });
    return { position };
  }
}
