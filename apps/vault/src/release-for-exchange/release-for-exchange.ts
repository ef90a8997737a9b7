import { Injectable } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { sealJwe } from '@postern/crypto';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves, Trust } from '@postern/service';

import { Connections } from '../connections.ts';
import { ExchangeTokens } from '../exchange/exchange-tokens.ts';

type Request = RequestOf<typeof operations.releaseForExchange>;
type Reply = ReplyOf<typeof operations.releaseForExchange>;

/**
 * Gives the tokens of a subject and an actor to `authorization` for the first exchange of a derived connection, whose
 * establishment stands open in the log and names both.
 *
 * @source RFC 8693 §2.1
 */
@Injectable()
export class ReleaseForExchange {
  constructor(
    private readonly trust: Trust,
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly tokens: ExchangeTokens,
  ) {}

  @Serves(operations.releaseForExchange)
  async release(request: Request, call: Call): Promise<Reply> {
    const app = callingApp(call, ['authorization']);
    const recipient = this.trust.recipient(app);
    const { tenant_id: tenantId, connection_id: connectionId, session_id: sessionId } = request;
    const { state: derived } = await this.connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    const { session } = derived;
    const isOpen = session?.sessionId === sessionId && session.expiresAtMs > this.clock.nowMs();
    if (!isOpen || session.delegation === undefined || derived.authorization === 'deleted') {
      throw new PosternError('auth.forbidden', 'No exchange that this would be for stands open in the log.');
    }
    const { delegation } = session;
    const { subject_registration_id: subjectRegistrationId, actor_registration_id: actorRegistrationId } = request;
    const { subjectConnectionId, actorConnectionId } = delegation;
    const asked = {
      ...{ derived, delegation, app, correlationId: call.correlationId, waits: true },
      subject: { connectionId: subjectConnectionId, registrationId: subjectRegistrationId },
    };
    const actor =
      actorConnectionId === null
        ? null
        : { connectionId: actorConnectionId, registrationId: actorRegistrationId ?? '' };
    const tokens =
      session.grant === 'identity_assertion'
        ? await this.tokens.openIdentity(asked)
        : await this.tokens.open({ ...asked, actor });
    const sealed = sealJwe({
      recipient,
      plaintext: Buffer.from(JSON.stringify(tokens), 'utf8'),
      protectedHeader: { cty: 'application/json', con: connectionId, ses: sessionId },
    });
    return { sealed_tokens: sealed };
  }
}
