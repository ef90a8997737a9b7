import { Injectable } from '@nestjs/common';
import { operations, PosternError, Renewal, type ReplyOf, type RequestOf } from '@postern/contracts';
import { sealJwe } from '@postern/crypto';
import type { Call } from '@postern/nats';
import { callingApp, Serves, ServiceKeys, Trust } from '@postern/service';

import { Connections } from '../connections.ts';
import { Directory } from '../directory.ts';
import { openSealed } from '../sealed-token-set.ts';
import { GrantAssertions, isAsserted } from './grant-assertions.ts';

/**
 * Signs for a connection that is being established, before there is a credential with which it could be renewed.
 *
 * The beginning must stand in the log, signed by `authorization`, with this registration and this grant: whoever holds its
 * keys can have nothing signed in silence. Later ones are signed as they are released for a claim.
 */
@Injectable()
export class SignGrantAssertion {
  constructor(
    private readonly keys: ServiceKeys,
    private readonly trust: Trust,
    private readonly directory: Directory,
    private readonly connections: Connections,
    private readonly assertions: GrantAssertions,
  ) {}

  @Serves(operations.signGrantAssertion)
  async sign(
    request: RequestOf<typeof operations.signGrantAssertion>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.signGrantAssertion>> {
    const app = callingApp(call, ['authorization']);
    const recipient = this.trust.recipient(app);
    const { tenant_id: tenantId, connection_id: connectionId, session_id: sessionId } = request;
    const renewal = openSealed(this.keys.opener, request.sealed_renewal, (plaintext) =>
      Renewal.parse(JSON.parse(plaintext.toString('utf8'))),
    );
    const { state } = await this.connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    const { session } = state;
    if (session?.sessionId !== sessionId || session.grant !== renewal.grant || !isAsserted(renewal)) {
      throw new PosternError('session.not_found', 'No such connection is being established.');
    }
    const { registrationId } = session;
    const registration = await this.directory.registrationFor(app, { tenantId, registrationId });
    const { assertion, secretVersion } = await this.assertions.sign(registration, renewal);
    const protectedHeader = { cty: 'JWT', con: connectionId, ses: sessionId, ver: secretVersion };
    const plaintext = Buffer.from(assertion, 'ascii');
    return { sealed_assertion: sealJwe({ recipient, plaintext, protectedHeader }), secret_version: secretVersion };
  }
}
