import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingApp, Serves } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { PendingCredentials } from '../pending-credentials.ts';

type Reply = ReplyOf<typeof operations.findCredential>;

const nothing: Reply = Object.freeze({
  found: false,
  credential_version: null,
  access_token_expires_at_ms: null,
  granted_scopes: [],
  refresh_token_rotated: false,
});

/** Did this claim or session buy something? Asked after a crash, before anything is called interrupted. */
@Injectable()
export class FindCredential {
  constructor(
    private readonly connections: Connections,
    private readonly credentials: Credentials,
    private readonly pending: PendingCredentials,
  ) {}

  @Serves(operations.findCredential)
  async find(request: RequestOf<typeof operations.findCredential>, call: Call): Promise<Reply> {
    callingApp(call, ['refresh', 'authorization']);
    const { state } = await this.connections.load(
      { tenantId: request.tenant_id, id: request.connection_id },
      { fromLeader: true },
    );
    if (state.authorization === 'none' || state.keyShredded) return nothing;
    const owner = ownerOf(state);
    const stored = await this.credentials.boughtBy(owner, request.bought_by);
    if (stored !== undefined) {
      return {
        found: true,
        credential_version: stored.version,
        access_token_expires_at_ms: stored.accessTokenExpiresAtMs,
        granted_scopes: stored.grantedScopes,
        refresh_token_rotated: stored.refreshTokenRotated,
      };
    }
    const pending = await this.pending.open(owner, request.bought_by);
    if (pending === undefined) return nothing;
    return {
      found: true,
      credential_version: null,
      access_token_expires_at_ms: pending.accessTokenExpiresAtMs,
      granted_scopes: pending.grantedScopes,
      refresh_token_rotated: pending.refreshToken !== null,
    };
  }
}
