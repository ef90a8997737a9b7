import { Injectable } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { sealJwe } from '@postern/crypto';
import type { Call } from '@postern/nats';
import { callingApp, Serves, Trust } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';

type Request = RequestOf<typeof operations.releaseForRevocation>;
type Reply = ReplyOf<typeof operations.releaseForRevocation>;

/** Gives the tokens of an ended connection to `revocation`, which tells the provider. */
@Injectable()
export class ReleaseRevokedTokens {
  constructor(
    private readonly trust: Trust,
    private readonly connections: Connections,
    private readonly credentials: Credentials,
  ) {}

  @Serves(operations.releaseForRevocation)
  async release(request: Request, call: Call): Promise<Reply> {
    const recipient = this.trust.recipient(callingApp(call, ['revocation']));
    const { tenant_id: tenantId, connection_id: connectionId } = request;
    const { state } = await this.connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    const { authorization } = state;
    if (authorization === 'none') throw new PosternError('connection.not_found', 'There is no such connection.');
    if (authorization !== 'revoked' && authorization !== 'deleted') {
      throw new PosternError('auth.forbidden', 'The connection is neither revoked nor deleted.');
    }
    const currentVersion = state.credential?.version ?? 0;
    const owner = ownerOf(state);
    // A refresh that the revocation overtook may have stored the only token that still lives.
    const stored = state.keyShredded ? [] : await this.credentials.versions(owner);
    const newest = stored.at(-1)?.version ?? 0;
    if (newest === 0) return { found: false, sealed_tokens: null, credential_version: currentVersion };
    const { accessToken, accessTokenExpiresAtMs, grantedScopes } = await this.credentials.openAccess(owner, newest);
    const refreshToken = (await this.credentials.openRefresh(owner, newest, stored))?.refreshToken ?? null;
    const sealed = sealJwe({
      recipient,
      plaintext: Buffer.from(JSON.stringify({ accessToken, refreshToken, accessTokenExpiresAtMs, grantedScopes })),
      protectedHeader: { cty: 'application/json', con: connectionId, ver: newest },
    });
    return { found: true, sealed_tokens: sealed, credential_version: currentVersion };
  }
}
