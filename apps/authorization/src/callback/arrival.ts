import { Injectable } from '@nestjs/common';
import { isPosternError, PosternError, type TokenSet } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import {
  denyAuthorization,
  isAnotherAccount,
  startCodeExchange,
  type Connection,
  type OpenSession,
} from '@postern/domain';
import type { Exchanged, Refusal } from '@postern/provider-client';
import { commitOrigin, Logger } from '@postern/service';

import { AuthorizationConfig } from '../authorization-config.ts';
import type { SentState } from '../browser/browser-state.ts';
import { sealCompletionCode } from '../browser/completion-code.ts';
import { boundBy } from '../complete-session/completion.ts';
import { Digests } from '../digests.ts';
import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';
import { backTo } from './back-to.ts';
import { PendingTokens } from './pending-tokens.ts';

/** What the platform is told of an authorization that failed after the end user had consented. */
const exchangeFailed = 'exchange_failed';
/** What it is told where another account of the provider authorized a connection again. */
const anotherAccount = 'another_account';

interface Denial {
  readonly stage: 'authorization' | 'exchange';
  readonly error: string;
  readonly errorDescription: string | null;
}

/** What happens to a provider's answer once it is known to belong to the browser that brought it. */
@Injectable()
export class Arrival {
  readonly #config: AuthorizationConfig;
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #providers: ProviderClients;
  readonly #digests: Digests;
  readonly #pending: PendingTokens;
  readonly #logger: Logger;

  constructor(
    config: AuthorizationConfig,
    connections: Connections,
    directory: Directory,
    providers: ProviderClients,
    digests: Digests,
    pending: PendingTokens,
    logger: Logger,
  ) {
    this.#config = config;
    this.#connections = connections;
    this.#directory = directory;
    this.#providers = providers;
    this.#digests = digests;
    this.#pending = pending;
    this.#logger = logger;
  }

  /**
   * Spends the code, or records the refusal.
   *
   * The client secret is asked for before the fact is appended, so that a vault which is away costs nobody a session;
   * the fact is appended before the code is spent, so that a replayed answer never reaches the provider.
   *
   * @returns where the browser goes now.
   * @throws {PosternError} `session.*`, `registration.*`, `provider.*`, `vault.*`: nothing was spent or written.
   */
  async of(sent: SentState, parameters: URLSearchParams): Promise<URL> {
    const { session, connection } = await this.#openSession(sent);
    const registration = await this.#directory.activeRegistration(sent);
    const reader = this.#providers.withoutCredentials(registration, session.providerVersion);
    const callback = await reader.readCallback({ parameters, expectedState: sent.state });
    if (callback.kind === 'denied') {
      const { error, errorDescription } = callback;
      await this.#deny(sent, { stage: 'authorization', error, errorDescription });
      return backTo(session.returnUrl, { session_id: sent.sessionId, error });
    }
    const client = await this.#providers.withCredentials(registration, {
      version: session.providerVersion,
      connectionId: sent.connectionId,
    });
    await this.#startExchange(sent);
    const redirectUri = this.#providers.redirectUri(registration);
    const spend = () => client.exchangeCode({ callback, ...exchangeOf(sent, session), redirectUri });
    const outcome = await spend().catch(unproven);
    if (outcome.kind !== 'exchanged') return await this.#failed(sent, session, outcome);
    return await this.#keep(outcome, { sent, session, connection });
  }

  async #openSession(sent: SentState): Promise<{ session: OpenSession; connection: Connection }> {
    const { state } = await this.#connections.load(ref(sent), { fromLeader: true });
    const { session } = state;
    if (session?.sessionId !== sent.sessionId) {
      const past = state.pastSessions.find(({ sessionId }) => sessionId === sent.sessionId)?.ended;
      if (past === 'denied') throw new PosternError('session.denied', 'The provider has refused in this session.');
      if (past === 'superseded')
        throw new PosternError('session.superseded', 'A newer connect session took its place.');
      throw new PosternError('session.already_used', 'The connect session has ended.');
    }
    return { session, connection: state };
  }

  async #startExchange(sent: SentState): Promise<void> {
    const { sessionId } = sent;
    await this.#connections.execute(
      ref(sent),
      (connection, { nowMs }) => startCodeExchange({ sessionId, nowMs }, connection),
      { actor: { type: 'end_user' }, fromLeader: true, ...commitOrigin() },
    );
  }

  async #failed(sent: SentState, session: OpenSession, outcome: Refusal): Promise<URL> {
    const { error, errorDescription, httpStatus } = outcome;
    this.#logger.warn('a code was not exchanged', { sessionId: sent.sessionId, kind: outcome.kind, error, httpStatus });
    await this.#deny(sent, { stage: 'exchange', error, errorDescription });
    return backTo(session.returnUrl, { session_id: sent.sessionId, error: exchangeFailed });
  }

  async #keep(
    { tokenSet, account, accountKeys }: Exchanged,
    { sent, session, connection }: { sent: SentState; session: OpenSession; connection: Connection },
  ): Promise<URL> {
    const { sessionId, tenantId, connectionId } = sent;
    const { platformId, providerId } = connection;
    const granted = {
      accountDigest: this.#digests.account(tenantId, account),
      accountKeys: this.#digests.accountKeys({ tenantId, providerId }, accountKeys),
    };
    if (isAnotherAccount(connection, granted)) {
      // What it brought is not told to be over: that could end what the account has given to another connection.
      await this.#deny(sent, { stage: 'exchange', error: anotherAccount, errorDescription: null });
      return backTo(session.returnUrl, { session_id: sessionId, error: anotherAccount });
    }
    try {
      await this.#pending.store({ sessionId, tenantId, connectionId }, tokenSet);
    } catch (error) {
      this.#logger.error('an exchanged token set could not be stored', { sessionId, err: error });
      await this.#deny(sent, { stage: 'exchange', error: 'not_stored', errorDescription: null });
      return backTo(session.returnUrl, { session_id: sessionId, error: exchangeFailed });
    }
    const code = sealCompletionCode(this.#config.cookieKey, {
      sessionId,
      tenantId,
      connectionId,
      platformId,
      ...granted,
      ...boundBy(tokenSet),
      ...this.#detailsOf(tokenSet, { tenantId, session }),
      expiresAtMs: session.expiresAtMs,
    });
    return backTo(session.returnUrl, { session_id: sessionId, code });
  }

  /** What was asked for and is not spoken of was not granted. @source RFC 9396 §7 */
  #detailsOf(
    { authorizationDetails: said }: TokenSet,
    { tenantId, session }: { tenantId: string; session: OpenSession },
  ) {
    const asked = session.authorizationDetails;
    if (asked === undefined && (said === undefined || said.length === 0)) return {};
    const granted = this.#digests.authorizationDetails(tenantId, said ?? []);
    return { authorizationDetails: { ...granted, asRequested: granted.digest === asked?.digest } };
  }

  async #deny(sent: SentState, denial: Denial): Promise<void> {
    const { sessionId } = sent;
    await this.#connections.execute(
      ref(sent),
      (connection, { nowMs }) => denyAuthorization({ sessionId, ...denial, nowMs }, connection),
      { actor: { type: 'end_user' }, ...commitOrigin() },
    );
  }
}

function ref({ tenantId, connectionId }: SentState) {
  return { tenantId, id: connectionId };
}

function exchangeOf({ codeVerifier, nonce }: SentState, { requestedScopes }: OpenSession) {
  return { codeVerifier: Secret.from(codeVerifier), nonce, requestedScopes };
}

/** Where nobody signs the proof that a bound token is asked for with, the code is not spent, and never will be. */
function unproven(error: unknown): Refusal {
  if (!isPosternError(error)) throw error;
  const nothingSpent = { httpStatus: null, retryAfterMs: null, mayHaveBeenProcessed: false };
  return { kind: 'failed', error: error.code, errorDescription: null, ...nothingSpent };
}
