import { Injectable } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf, type TokenSet } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials, type StoredCredential } from '../credentials.ts';
import { PendingCredentials } from '../pending-credentials.ts';
import { vaultLimits } from '../vault-limits.ts';

type Reply = ReplyOf<typeof operations.promoteCredential>;

/**
 * Makes a session's pending token set the next version, before `authorization` records it. Until then the log does not
 * name the version, so nothing can be leased from it.
 */
@Injectable()
export class PromoteCredential {
  constructor(
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly credentials: Credentials,
    private readonly pending: PendingCredentials,
  ) {}

  @Serves(operations.promoteCredential)
  async promote(request: RequestOf<typeof operations.promoteCredential>, call: Call): Promise<Reply> {
    callingApp(call, ['authorization']);
    const { tenant_id: tenantId, connection_id: connectionId, session_id: sessionId } = request;
    for (let attempt = 1; attempt <= vaultLimits.storeAttemptsMax; attempt += 1) {
      const reply = await this.#tryPromote({ tenantId, connectionId }, sessionId);
      if (reply !== undefined) return reply;
    }
    throw new PosternError('vault.version_stale', 'Other credentials were stored at the same time.');
  }

  async #tryPromote(ref: { tenantId: string; connectionId: string }, sessionId: string): Promise<Reply | undefined> {
    const newestVersion = (await this.credentials.versions(ref)).at(-1)?.version ?? 0;
    const { state } = await this.connections.load(
      { tenantId: ref.tenantId, id: ref.connectionId },
      { fromLeader: true },
    );
    if (state.authorization === 'none') throw new PosternError('connection.not_found', 'There is no such connection.');
    const owner = ownerOf(state);
    const currentVersion = state.credential?.version ?? 0;
    const known = await this.credentials.boughtBy(owner, sessionId);
    const recorded = state.pastSessions.some((past) => past.sessionId === sessionId && past.ended === 'completed');
    if (known !== undefined && (recorded || known.version > currentVersion)) return replyOf(known);
    this.#requireExchanging(state, sessionId);
    const tokenSet = known === undefined ? await this.pending.open(owner, sessionId) : await this.#reopen(state, known);
    if (tokenSet === undefined) {
      throw new PosternError('session.code_invalid', 'The provider has not answered in this session yet.');
    }
    const inserted = await this.credentials.insertNext({
      owner,
      newestVersion,
      currentVersion,
      boughtBy: sessionId,
      tokenSet,
      refreshTokenRotated: tokenSet.refreshToken !== null,
      alongside: async (em) => {
        await this.pending.remove(em, owner, sessionId);
        await this.credentials.removeBoughtBy(em, owner, sessionId);
      },
    });
    if (inserted === undefined) return undefined;
    const { accessTokenExpiresAtMs, grantedScopes, refreshToken } = tokenSet;
    return replyOf({ ...inserted, accessTokenExpiresAtMs, grantedScopes, hasRefreshToken: refreshToken !== null });
  }

  /** A refresh was recorded between promotion and completion: the set needs a number of its own after it. */
  async #reopen(state: Connection, { version }: StoredCredential): Promise<TokenSet> {
    const owner = ownerOf(state);
    const {
      refreshTokenRotated: _rotated,
      renewable: _renewable,
      ...access
    } = await this.credentials.openAccess(owner, version);
    const refresh = await this.credentials.openRefresh(owner, version);
    return {
      ...access,
      refreshToken: refresh?.refreshToken ?? null,
      ...(refresh?.renewal && { renewal: refresh.renewal }),
    };
  }

  #requireExchanging({ authorization, session }: Connection, sessionId: string): void {
    if (authorization === 'deleted') throw new PosternError('connection.deleted', 'The connection was deleted.');
    if (session?.sessionId !== sessionId || session.stage !== 'exchanging') {
      throw new PosternError('session.not_found', 'No such session is exchanging its code.');
    }
    if (this.clock.nowMs() >= session.expiresAtMs) {
      throw new PosternError('session.expired', 'The connect session has expired.');
    }
  }
}

function replyOf(stored: Omit<StoredCredential, 'refreshTokenRotated'>): Reply {
  return {
    credential_id: stored.credentialId,
    credential_version: stored.version,
    access_token_expires_at_ms: stored.accessTokenExpiresAtMs,
    granted_scopes: stored.grantedScopes,
    has_refresh_token: stored.hasRefreshToken,
  };
}
