import { Injectable } from '@nestjs/common';
import { DeviceCode, operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { sealJwe, zero } from '@postern/crypto';
import type { OpenSession } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves, ServiceKeys, Trust } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { PendingCredentials } from '../pending-credentials.ts';
import { openSealed, type CredentialOwner } from '../sealed-token-set.ts';

type Place = RequestOf<typeof operations.releaseDeviceCode>;

/**
 * Keeps the device codes of sessions: who has one gets the tokens as soon as the end user agrees. They outlive the process
 * that asks about them, and end with their session.
 *
 * @source RFC 8628 §3.2
 */
@Injectable()
export class DeviceCodeOperations {
  constructor(
    private readonly keys: ServiceKeys,
    private readonly trust: Trust,
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly pending: PendingCredentials,
  ) {}

  @Serves(operations.storeDeviceCode)
  async store(
    request: RequestOf<typeof operations.storeDeviceCode>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.storeDeviceCode>> {
    callingApp(call, ['authorization']);
    const deviceCode = openSealed(this.keys.opener, request.sealed_device_code, (plaintext) =>
      DeviceCode.parse(JSON.parse(plaintext.toString('utf8'))),
    );
    const { owner, session } = await this.#sessionOf(request, 'started');
    await this.pending.insertDeviceCode(owner, session, deviceCode);
    return {};
  }

  @Serves(operations.releaseDeviceCode)
  async release(request: Place, call: Call): Promise<ReplyOf<typeof operations.releaseDeviceCode>> {
    const app = callingApp(call, ['authorization']);
    const recipient = this.trust.recipient(app);
    const { owner, session } = await this.#sessionOf(request, 'polling');
    const deviceCode = await this.pending.openDeviceCode(owner, session.sessionId);
    if (deviceCode === undefined) {
      throw new PosternError('vault.credential_missing', 'No device code is kept for this session.');
    }
    const plaintext = Buffer.from(JSON.stringify(deviceCode), 'utf8');
    try {
      const { tenantId: ten, connectionId: con } = owner;
      const protectedHeader = { cty: 'json', ten, con, ses: session.sessionId };
      return { sealed_device_code: sealJwe({ recipient, plaintext, protectedHeader }) };
    } finally {
      zero(plaintext);
    }
  }

  /** The session, if the log says that it is open, has a device code and stands there. */
  async #sessionOf(
    { tenant_id: tenantId, connection_id: id, session_id: sessionId }: Place,
    stage: OpenSession['stage'],
  ): Promise<{ owner: CredentialOwner; session: OpenSession }> {
    const { state } = await this.connections.load({ tenantId, id }, { fromLeader: true });
    const { session } = state;
    const isIt = session?.sessionId === sessionId && session.grant === 'device_code' && session.stage === stage;
    if (state.authorization === 'deleted' || !isIt) {
      throw new PosternError('session.not_found', `No such session with a device code is ${stage}.`);
    }
    if (this.clock.nowMs() >= session.expiresAtMs) {
      throw new PosternError('session.expired', 'The connect session has expired.');
    }
    return { owner: ownerOf(state), session };
  }
}
