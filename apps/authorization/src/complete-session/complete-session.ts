import { Injectable } from '@nestjs/common';
import { isPosternError, operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { completeAuthorization, completionOf, freshnessOf, type Connection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingPlatform, Clock, commitOrigin, OperationsClient, Serves } from '@postern/service';

import { AuthorizationConfig } from '../authorization-config.ts';
import { authorizationLimits } from '../authorization-limits.ts';
import { openCompletionCode, type CompletionCode } from '../browser/completion-code.ts';
import { Digests } from '../digests.ts';
import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';
import { SessionIndex } from '../sessions/session-index.ts';

type Reply = ReplyOf<typeof operations.completeSession>;

/** `connections.complete`: the platform says that the user whom it has logged in is the one who connected. */
@Injectable()
export class CompleteSession {
  readonly #config: AuthorizationConfig;
  readonly #directory: Directory;
  readonly #index: SessionIndex;
  readonly #connections: Connections;
  readonly #digests: Digests;
  readonly #operations: OperationsClient;
  readonly #clock: Clock;
  readonly #providers: ProviderClients;

  constructor(
    config: AuthorizationConfig,
    directory: Directory,
    index: SessionIndex,
    connections: Connections,
    digests: Digests,
    operationsClient: OperationsClient,
    clock: Clock,
    providers: ProviderClients,
  ) {
    this.#config = config;
    this.#directory = directory;
    this.#index = index;
    this.#connections = connections;
    this.#digests = digests;
    this.#operations = operationsClient;
    this.#clock = clock;
    this.#providers = providers;
  }

  @Serves(operations.completeSession)
  async complete(request: RequestOf<typeof operations.completeSession>, call: Call): Promise<Reply> {
    const caller = callingPlatform(call);
    await this.#directory.activePlatform(caller);
    const code = await this.#codeOf(request, caller);
    const endUserDigest = this.#digests.endUser({ ...caller, endUser: request.end_user });
    const completion = { sessionId: code.sessionId, endUserDigest };
    const ref = { tenantId: code.tenantId, id: code.connectionId };
    const { state, position } = await this.#connections.load(ref, { fromLeader: true });
    if (completionOf(state, { ...completion, nowMs: this.#clock.nowMs() }) === 'completed') {
      return this.#reply(state, position);
    }
    const executed = await this.#record(code, { ...completion, platformId: caller.platformId });
    return this.#reply(executed.state, executed.position);
  }

  /** A refresh may be recorded between promotion and completion: the vault then gives the set a number after it. */
  async #record(
    code: CompletionCode,
    { platformId, ...completion }: { sessionId: string; endUserDigest: string; platformId: string },
  ) {
    for (let attempt = 1; ; attempt += 1) {
      const promoted = await this.#promote(code);
      try {
        return await this.#connections.execute(
          { tenantId: code.tenantId, id: code.connectionId },
          (connection, { nowMs }) => {
            const known = { ...completion, ...promoted, ...this.#endedByRefresh(connection) };
            const { accountDigest, accountKeys } = code;
            const account = accountKeys === undefined ? { accountDigest } : { accountDigest, accountKeys };
            return completeAuthorization({ ...known, ...account, nowMs }, connection);
          },
          { actor: { type: 'platform', id: platformId }, fromLeader: true, ...commitOrigin() },
        );
      } catch (error) {
        const stale = isPosternError(error) && error.code === 'vault.version_stale';
        if (!stale || attempt >= authorizationLimits.promoteAttemptsMax) throw error;
      }
    }
  }

  /** The vault, which knows no catalog, ends leases by what is recorded here. */
  #endedByRefresh({ providerId, session }: Connection) {
    const policy = this.#providers.refreshPolicyOf(providerId, session?.providerVersion);
    if (policy.endsAccessToken !== true) return {};
    return { endedByRefresh: { leadMs: policy.leadS * 1_000, graceMs: policy.endedAccessTokenGraceS * 1_000 } };
  }

  /**
   * The code, if it is this session's and this platform's. Somebody else's session is one that does not exist.
   *
   * @throws {PosternError} `session.not_found`, `session.code_invalid`
   */
  async #codeOf(
    { session_id: sessionId, code: sealed }: RequestOf<typeof operations.completeSession>,
    { tenantId, platformId }: ReturnType<typeof callingPlatform>,
  ): Promise<CompletionCode> {
    const code = openCompletionCode(this.#config.cookieKey, sealed);
    if (code?.sessionId === sessionId && code.tenantId === tenantId && code.platformId === platformId) return code;
    const place = await this.#index.find(sessionId);
    const notFound = new PosternError('session.not_found', 'There is no such connect session.');
    if (place?.tenantId !== tenantId) throw notFound;
    const { state } = await this.#connections.load({ tenantId, id: place.connectionId });
    if (state.platformId !== platformId) throw notFound;
    throw new PosternError('session.code_invalid', 'The code is not one of this session.');
  }

  async #promote({ tenantId, connectionId, sessionId }: CompletionCode) {
    const reply = await this.#operations.call(
      operations.promoteCredential,
      { app: 'authorization' },
      { tenant_id: tenantId, connection_id: connectionId, session_id: sessionId },
    );
    return {
      credentialVersion: reply.credential_version,
      accessTokenExpiresAtMs: reply.access_token_expires_at_ms,
      grantedScopes: reply.granted_scopes,
      hasRefreshToken: reply.has_refresh_token,
    };
  }

  #reply(state: Connection, position: number): Reply {
    return {
      connection_id: state.connectionId,
      position,
      scope: state.credential?.grantedScopes ?? [],
      freshness: freshnessOf(state, { nowMs: this.#clock.nowMs() }),
    };
  }
}
