import { Injectable } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { completionOf, freshnessOf, type Connection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingPlatform, Clock, Serves } from '@postern/service';

import { AuthorizationConfig } from '../authorization-config.ts';
import { openCompletionCode, type CompletionCode } from '../browser/completion-code.ts';
import { Digests } from '../digests.ts';
import { Directory } from '../directory/directory.ts';
import { Connections } from '../sessions/connections.ts';
import { SessionIndex } from '../sessions/session-index.ts';
import { Completion } from './completion.ts';

type Reply = ReplyOf<typeof operations.completeSession>;

/** `connections.complete`: the platform says that the user whom it has logged in is the one who connected. */
@Injectable()
export class CompleteSession {
  readonly #config: AuthorizationConfig;
  readonly #directory: Directory;
  readonly #index: SessionIndex;
  readonly #connections: Connections;
  readonly #digests: Digests;
  readonly #completion: Completion;
  readonly #clock: Clock;

  constructor(
    config: AuthorizationConfig,
    directory: Directory,
    index: SessionIndex,
    connections: Connections,
    digests: Digests,
    completion: Completion,
    clock: Clock,
  ) {
    this.#config = config;
    this.#directory = directory;
    this.#index = index;
    this.#connections = connections;
    this.#digests = digests;
    this.#completion = completion;
    this.#clock = clock;
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
    const { tenantId, connectionId, accountDigest, accountKeys, senderConstrained } = code;
    const granted = {
      accountDigest,
      ...(accountKeys !== undefined && { accountKeys }),
      ...(senderConstrained !== undefined && { senderConstrained }),
    };
    const executed = await this.#completion.record(
      { tenantId, connectionId, ...completion, ...granted },
      { type: 'platform', id: caller.platformId },
    );
    return this.#reply(executed.state, executed.position);
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

  #reply(state: Connection, position: number): Reply {
    return {
      connection_id: state.connectionId,
      position,
      scope: state.credential?.grantedScopes ?? [],
      freshness: freshnessOf(state, { nowMs: this.#clock.nowMs() }),
    };
  }
}
