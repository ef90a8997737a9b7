import { Injectable } from '@nestjs/common';
import { newId, operations, PosternError, timestampOf, type ReplyOf, type RequestOf } from '@postern/contracts';
import { sealJwe } from '@postern/crypto';
import { isSuspected, type Connection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves, Trust } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { LeaseRecords } from '../lease/lease-records.ts';

type Request = RequestOf<typeof operations.releaseSuspectedToken>;
type Reply = ReplyOf<typeof operations.releaseSuspectedToken>;

/** As whom such a release stands on ACCESS, where a lease names an agent. */
const recipientName = 'revocation';

/**
 * Gives one token of a suspected credential to `revocation`, which asks the provider whether it lives.
 *
 * The suspicion must stand in the log, signed, and the release is recorded like a lease before anything leaves: whoever
 * holds `revocation`'s keys cannot fetch tokens in silence (docs/adr/0025).
 */
@Injectable()
export class ReleaseSuspectedToken {
  constructor(
    private readonly trust: Trust,
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly credentials: Credentials,
    private readonly records: LeaseRecords,
  ) {}

  @Serves(operations.releaseSuspectedToken)
  async release(request: Request, call: Call): Promise<Reply> {
    const recipient = this.trust.recipient(callingApp(call, ['revocation']));
    const { tenant_id: tenantId, connection_id: connectionId, kind } = request;
    const { state, position } = await this.#suspected(request);
    const version = state.credential?.version ?? 0;
    const token = await this.#open(state, version, kind);
    if (token === null) return { sealed_token: null, credential_version: version };
    await this.records.record({
      leaseId: newId('lease'),
      at: timestampOf(this.clock.nowMs()),
      tenantId,
      platformId: state.platformId,
      agentId: recipientName,
      connectionId,
      purpose: `ask the provider about a suspected ${kind}`,
      scopes: null,
      outcome: 'granted',
      code: null,
      credentialVersion: version,
      position,
      correlationId: call.correlationId,
    });
    const after = await this.#suspected(request);
    if (after.state.credential?.version !== version) throw notSuspected();
    const sealed = sealJwe({
      recipient,
      plaintext: Buffer.from(token, 'utf8'),
      protectedHeader: { cty: 'text/plain', con: connectionId, ver: version },
    });
    return { sealed_token: sealed, credential_version: version };
  }

  /** Also after the record was written: what ended meanwhile does not leave. */
  async #suspected({ tenant_id: tenantId, connection_id: id, kind }: Request) {
    const loaded = await this.connections.load({ tenantId, id }, { fromLeader: true });
    if (loaded.state.authorization === 'none') {
      throw new PosternError('connection.not_found', 'There is no such connection.');
    }
    if (!isSuspected(loaded.state)) throw notSuspected();
    // A worker may be spending it: two hands on one refresh token look like theft.
    if (kind === 'refresh_token' && loaded.state.claim !== null) throw notSuspected();
    return loaded;
  }

  async #open(state: Connection, version: number, kind: Request['kind']): Promise<string | null> {
    const owner = ownerOf(state);
    if (kind === 'access_token') return (await this.credentials.openAccess(owner, version)).accessToken;
    return (await this.credentials.openRefresh(owner, version))?.refreshToken ?? null;
  }
}

function notSuspected(): PosternError {
  return new PosternError('auth.forbidden', 'No suspicion about this credential stands in the log.');
}
