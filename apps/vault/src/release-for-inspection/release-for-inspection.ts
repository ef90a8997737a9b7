import { Injectable } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { sealJwe } from '@postern/crypto';
import { inspectableToken, startInspection, type Connection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingApp, Clock, commitOrigin, Serves, Trust } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';

type Request = RequestOf<typeof operations.releaseForInspection>;
type Reply = ReplyOf<typeof operations.releaseForInspection>;

/**
 * Gives a token that nobody suspects to `revocation`, which shows it to the provider to learn whether the grant lives: a
 * refresh token, or what was made by hand. Other access tokens are not given away.
 *
 * The vault itself says so in the log, and decides by the state there whether it may: each token once in so many hours,
 * whoever asks and however often. The append is the fence, as of a release for a claim (docs/adr/0026).
 */
@Injectable()
export class ReleaseForInspection {
  constructor(
    private readonly trust: Trust,
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly credentials: Credentials,
  ) {}

  @Serves(operations.releaseForInspection)
  async release({ tenant_id: tenantId, connection_id: connectionId }: Request, call: Call): Promise<Reply> {
    const recipient = this.trust.recipient(callingApp(call, ['revocation']));
    const { state, appended } = await this.connections.execute(
      { tenantId, id: connectionId },
      (current) => {
        if (current.authorization === 'none') {
          throw new PosternError('connection.not_found', 'There is no such connection.');
        }
        // Our own clock: the log's time is what its last writer said, and he may have set it forward.
        return startInspection({ nowMs: this.clock.nowMs() }, current);
      },
      { actor: { type: 'service', id: 'vault' }, ...commitOrigin(), fromLeader: true },
    );
    const version = state.credential?.version;
    if (!appended || version === undefined) {
      throw new PosternError('auth.forbidden', 'No inspection of this credential is due.');
    }
    const token = await this.#open(state, version);
    if (token === null) return { sealed_token: null, credential_version: version };
    const sealed = sealJwe({
      recipient,
      plaintext: Buffer.from(token, 'utf8'),
      protectedHeader: { cty: 'text/plain', con: connectionId, ver: version },
    });
    return { sealed_token: sealed, credential_version: version };
  }

  async #open(state: Connection, version: number): Promise<string | null> {
    const owner = ownerOf(state);
    const isMadeByHand = state.credential !== null && inspectableToken(state.credential) === 'access_token';
    if (isMadeByHand) return (await this.credentials.openAccess(owner, version)).accessToken;
    return (await this.credentials.openRefresh(owner, version))?.refreshToken ?? null;
  }
}
