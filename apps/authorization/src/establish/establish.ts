import { Injectable } from '@nestjs/common';
import {
  derivedId,
  isPosternError,
  limits,
  newId,
  operations,
  PosternError,
  type ReplyOf,
  type RequestOf,
} from '@postern/contracts';
import {
  denyAuthorization,
  freshnessOf,
  requireOwnedBy,
  startEstablishment,
  type Connection,
  type Registration,
} from '@postern/domain';
import type { Refusal } from '@postern/provider-client';
import type { Call } from '@postern/nats';
import { callingOwner, Clock, commitOrigin, Logger, Serves, type CallingOwner } from '@postern/service';

import { PendingTokens } from '../callback/pending-tokens.ts';
import { boundBy, Completion } from '../complete-session/completion.ts';
import { Digests } from '../digests.ts';
import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';
import { ExchangePartiesReader } from './exchange-parties.ts';
import { MayUse } from '../start-session/may-use.ts';
import { Ways, type Way } from './ways.ts';

type Request = RequestOf<typeof operations.establish>;
type Reply = ReplyOf<typeof operations.establish>;

/** One request, after everything about it was found to be in order. */
interface Establishing {
  readonly tenantId: string;
  readonly platformId: string;
  readonly connectionId: string;
  readonly sessionId: string;
  readonly purpose: 'connect' | 'reauthorize';
  readonly registration: Registration;
  readonly endUserDigest: string | null;
  readonly way: Way;
  readonly capabilities: readonly string[] | undefined;
  readonly providerVersion: number;
  readonly highRiskScopes: readonly string[] | undefined;
  readonly actor: CallingOwner['actor'];
}

/**
 * `connections.establish`: a connection in which no browser has a part.
 *
 * The provider is asked only after the log says so, and what it gives is stored, promoted and recorded as what a connect
 * session brings. A crash at any point leaves nothing that can be leased; the same key again asks anew, which costs
 * nothing, since nothing is spent.
 */
@Injectable()
export class Establish {
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #digests: Digests;
  readonly #providers: ProviderClients;
  readonly #pending: PendingTokens;
  readonly #completion: Completion;
  readonly #ways: Ways;
  readonly #parties: ExchangePartiesReader;
  readonly #mayUse: MayUse;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(
    connections: Connections,
    directory: Directory,
    digests: Digests,
    providers: ProviderClients,
    pending: PendingTokens,
    completion: Completion,
    ways: Ways,
    parties: ExchangePartiesReader,
    mayUse: MayUse,
    clock: Clock,
    logger: Logger,
  ) {
    this.#connections = connections;
    this.#directory = directory;
    this.#digests = digests;
    this.#providers = providers;
    this.#pending = pending;
    this.#completion = completion;
    this.#ways = ways;
    this.#parties = parties;
    this.#mayUse = mayUse;
    this.#clock = clock;
    this.#logger = logger;
  }

  @Serves(operations.establish)
  async establish(request: Request, call: Call): Promise<Reply> {
    const wanted = await this.#wanted(request, callingOwner(call));
    const client = await this.#providers.withCredentials(wanted.registration, {
      version: wanted.providerVersion,
      connectionId: wanted.connectionId,
    });
    const { way } = wanted;
    await way.require(client);
    const begun = await this.#begin(wanted);
    if (begun.state.session?.sessionId !== wanted.sessionId) return this.#reply(begun.state, begun.position);
    const answer = await way.obtain(client, wanted);
    if (answer.kind !== 'refreshed') throw await this.#refused(wanted, answer);
    const { tenantId, connectionId, sessionId, endUserDigest, actor } = wanted;
    await this.#pending.store({ tenantId, connectionId, sessionId }, answer.tokenSet);
    const known = {
      endUserDigest: endUserDigest ?? '',
      accountDigest: null,
      grant: way.grant,
      ...boundBy(answer.tokenSet),
      ...(way.rotateAfterS !== null && { rotateAtMs: this.#clock.nowMs() + way.rotateAfterS * 1_000 }),
    };
    const done = await this.#completion.record({ tenantId, connectionId, sessionId, ...known }, actor);
    return this.#reply(done.state, done.position);
  }

  async #wanted(request: Request, { tenantId, platformId: caller, actor }: CallingOwner): Promise<Establishing> {
    const existing =
      request.connection_id === undefined ? undefined : await this.#existing({ tenantId, platformId: caller }, request);
    const parties =
      'subject_connection_id' in request.grant
        ? await this.#parties.find({ tenantId, platformId: caller }, request.grant)
        : undefined;
    const known = parties?.subject ?? existing;
    const platformId = actor.type === 'platform' ? caller : (request.platform_id ?? known?.platformId);
    if (platformId === undefined || (request.platform_id ?? platformId) !== platformId) {
      throw new PosternError('request.malformed', 'platform_id must name the platform whose connection it becomes.');
    }
    if (parties !== undefined && parties.subject.platformId !== platformId) {
      throw new PosternError('request.malformed', 'A derived connection belongs to the platform of its subject.');
    }
    await this.#directory.activePlatform({ tenantId, platformId });
    // Another server has another client of ours.
    const isThere = request.provider === undefined && request.grant.type === 'token_exchange';
    const ofSubject = isThere ? parties?.subject.registrationId : undefined;
    const registration = await this.#directory.activeRegistration({
      tenantId,
      registrationId: request.registration_id ?? existing?.registrationId ?? ofSubject,
      providerId: request.provider,
    });
    const endUser = request.end_user;
    const own = endUser === undefined ? null : this.#digests.endUser({ tenantId, platformId, endUser });
    const digestOfBefore = known === undefined || known.endUserDigest === '' ? null : known.endUserDigest;
    if (parties !== undefined && own !== null && own !== digestOfBefore) {
      throw new PosternError('request.malformed', 'The end user of a derived connection is that of its subject.');
    }
    const connectionId = request.connection_id ?? this.#newConnectionId({ tenantId, platformId }, request);
    const pinned = existing?.credential?.providerVersion ?? null;
    const provider = this.#providers.forSession(registration, { connectionId, pinned });
    const way = this.#ways.of(request.grant, {
      ...{ ...request, tenantId, connectionId, registration, provider, parties },
    });
    await this.#mayUse.require({ tenantId, registration, provider, scopes: way.scopes });
    return {
      ...{ tenantId, platformId, registration, actor, connectionId },
      sessionId: newId('session'),
      purpose: existing === undefined ? 'connect' : 'reauthorize',
      endUserDigest: own ?? digestOfBefore,
      way,
      capabilities: request.capabilities,
      providerVersion: provider.version,
      highRiskScopes: this.#mayUse.keptApart(tenantId, provider),
    };
  }

  async #existing(owner: { tenantId: string; platformId: string }, request: Request): Promise<Connection> {
    const ref = { tenantId: owner.tenantId, id: request.connection_id ?? '' };
    const { state } = await this.#connections.load(ref, { fromLeader: true });
    requireOwnedBy(state, owner);
    return state;
  }

  #newConnectionId(owner: { tenantId: string; platformId: string }, { idempotency_key: key }: Request): string {
    return key === undefined ? newId('connection') : derivedId('connection', this.#digests.establishment(owner, key));
  }

  /** @returns the connection as it is, where the key made it before: then nothing is asked of anybody. */
  async #begin(wanted: Establishing) {
    const { tenantId, connectionId, sessionId, purpose, registration, way, platformId, endUserDigest } = wanted;
    const { providerVersion, capabilities, highRiskScopes } = wanted;
    const { providerId, registrationId } = registration;
    return await this.#connections.execute(
      { tenantId, id: connectionId },
      (connection, { nowMs }) =>
        startEstablishment(
          {
            ...{ sessionId, purpose, grant: way.grant, platformId, providerId, registrationId, endUserDigest },
            ...{ requestedScopes: [...way.scopes], providerVersion, highRiskScopes },
            ...(way.delegation && { delegation: way.delegation }),
            ...(capabilities !== undefined && { requestedCapabilities: [...capabilities] }),
            expiresAtMs: nowMs + limits.sessionTtlMs,
            nowMs,
          },
          connection,
        ),
      { actor: wanted.actor, fromLeader: true, ...commitOrigin() },
    );
  }

  /** Writes down that it came to nothing; @returns what the caller is told. */
  async #refused(wanted: Establishing, refusal: Refusal): Promise<PosternError> {
    const { tenantId, connectionId, sessionId, actor } = wanted;
    const { error, errorDescription, httpStatus, kind } = refusal;
    this.#logger.warn('a connection was not established', { connectionId, kind, error, httpStatus });
    try {
      await this.#connections.execute(
        { tenantId, id: connectionId },
        (connection, { nowMs }) =>
          denyAuthorization({ sessionId, stage: 'exchange', error, errorDescription, nowMs }, connection),
        { actor, ...commitOrigin() },
      );
    } catch (thrown) {
      // A newer request took its place; what the provider said to this one is still what its caller must hear.
      if (!isPosternError(thrown) || !thrown.code.startsWith('session.')) throw thrown;
    }
    const words = errorDescription === null ? error : `${error}: ${errorDescription}`;
    return new PosternError(codes[kind], `The provider refused: ${words}.`);
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

const codes = Object.freeze({
  rejected: 'provider.rejected',
  client_rejected: 'provider.client_rejected',
  failed: 'provider.unreachable',
} as const);
