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
    const code =
      request.code === undefined
        ? await this.#shownByPlatform(request.session_id, caller)
        : await this.#codeOf({ ...request, code: request.code }, caller);
    const endUserDigest = this.#digests.endUser({ ...caller, endUser: request.end_user });
    const completion = { sessionId: code.sessionId, endUserDigest };
    const ref = { tenantId: code.tenantId, id: code.connectionId };
    const { state, position } = await this.#connections.load(ref, { fromLeader: true });
    if (completionOf(state, { ...completion, nowMs: this.#clock.nowMs() }) === 'completed') {
      return this.#reply(state, position);
    }
    const { tenantId, connectionId } = code;
    const { grant, granted: recorded } = state.session ?? {};
    const { accountDigest, accountKeys, senderConstrained } = recorded ?? code;
    const { authorizationDetails } = code;
    const granted = {
      accountDigest,
      ...(grant !== undefined && { grant }),
      ...(accountKeys !== undefined && { accountKeys }),
      ...(senderConstrained !== undefined && { senderConstrained }),
      ...(authorizationDetails !== undefined && { authorizationDetails }),
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
    { session_id: sessionId, code: sealed }: { readonly session_id: string; readonly code: string },
    { tenantId, platformId }: ReturnType<typeof callingPlatform>,
  ): Promise<CompletionCode> {
    const code = openCompletionCode(this.#config.cookieKey, sealed);
    if (code?.sessionId === sessionId && code.tenantId === tenantId && code.platformId === platformId) return code;
    await this.#placeOf(sessionId, { tenantId, platformId });
    throw new PosternError('session.code_invalid', 'The code is not one of this session.');
  }

  /**
   * A session without a browser, whose user code the platform showed to the user whom it has logged in: nothing comes back
   * but the platform itself.
   *
   * @throws {PosternError} `session.not_found`, `session.code_invalid` where a browser brings the code
   */
  async #shownByPlatform(
    sessionId: string,
    { tenantId, platformId }: ReturnType<typeof callingPlatform>,
  ): Promise<Omit<CompletionCode, 'expiresAtMs'>> {
    const { connectionId, returnUrl } = await this.#placeOf(sessionId, { tenantId, platformId });
    if (returnUrl !== '')
      throw new PosternError('session.code_invalid', 'The code that the browser brought is missing.');
    return { sessionId, tenantId, platformId, connectionId, accountDigest: null };
  }

  /** Where a session of this platform stands. @throws {PosternError} `session.not_found` */
  async #placeOf(sessionId: string, { tenantId, platformId }: { tenantId: string; platformId: string }) {
    const place = await this.#index.find(sessionId);
    const notFound = new PosternError('session.not_found', 'There is no such connect session.');
    if (place?.tenantId !== tenantId) throw notFound;
    const { state } = await this.#connections.load({ tenantId, id: place.connectionId });
    if (state.platformId !== platformId) throw notFound;
    return place;
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
