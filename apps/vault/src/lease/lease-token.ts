import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import {
  isPosternError,
  newId,
  operations,
  PosternError,
  timestampOf,
  toPosternError,
  type AccessRecord,
  type ReplyOf,
  type RequestOf,
} from '@postern/contracts';
import { zero } from '@postern/crypto';
import {
  freshnessOf,
  leaseDecision,
  requireUsableByBearer,
  type Connection,
  type DelegationChain,
  type LeaseDecision,
} from '@postern/domain';
import type { RecordPlace } from '@postern/event-log';
import type { Call } from '@postern/nats';
import { annotate, callingPlatform, Clock, Logger, Metrics, Serves, type Counter } from '@postern/service';

import { ConnectionFeed } from '../connection-feed.ts';
import { Connections, ownerOf } from '../connections.ts';
import { Credentials, type KnownAccess } from '../credentials.ts';
import { Directory } from '../directory.ts';
import { Delegations } from '../exchange/delegations.ts';
import { VaultConfig } from '../vault-config.ts';
import type { AccessPart, AccessTerms } from '../sealed-token-set.ts';
import { LeaseRecords, overtaken } from './lease-records.ts';
import { RefreshAsker } from './refresh-asker.ts';
import { Recipients, sealLease } from './sealed-lease.ts';

type LeaseRequest = RequestOf<typeof operations.leaseToken>;
type LeaseReply = ReplyOf<typeof operations.leaseToken>;

/** What was decided, on which state, at which position. */
interface Decided {
  readonly state: Connection;
  readonly decision: LeaseDecision;
  readonly position: number;
  /** What stands behind it, where it is derived. */
  readonly chain: DelegationChain;
  /** Of what memory it was decided on, where it was memory. */
  readonly memory?: number | undefined;
}

type Seal = (token: Uint8Array) => string;

/** What whoever asked for a lease gets of a token. */
interface SealedToken {
  readonly tokenType: string;
  readonly sentAs: AccessTerms['sentAs'];
  readonly sealedToken: string;
}

interface Granted extends Decided {
  readonly decision: Extract<LeaseDecision, { kind: 'grant' }>;
}

/** One request for a lease, from its arrival to its record. */
interface Attempt {
  readonly leaseId: string;
  readonly tenantId: string;
  readonly platformId: string;
  readonly correlationId: string;
  readonly request: LeaseRequest;
}

/**
 * Leases access tokens. In this order: who asks, what the log says, the ciphertext opened and sealed to the requester,
 * the record durable, the log once more, the reply (docs/flows/lease.md). What is as good as certain to open is opened while
 * the record is being stored: nothing leaves before both are done.
 */
@Injectable()
export class LeaseToken implements OnApplicationShutdown {
  readonly #recipients = new Recipients();
  readonly #outcomes: Counter;
  readonly #countGranted: () => void;

  constructor(
    private readonly config: VaultConfig,
    private readonly clock: Clock,
    private readonly feed: ConnectionFeed,
    private readonly directory: Directory,
    private readonly connections: Connections,
    private readonly credentials: Credentials,
    private readonly delegations: Delegations,
    private readonly refreshes: RefreshAsker,
    private readonly records: LeaseRecords,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.#outcomes = metrics.counter('postern.lease.outcomes');
    this.#countGranted = this.#outcomes.adder({ outcome: 'granted' });
  }

  @Serves(operations.leaseToken)
  async lease(request: LeaseRequest, call: Call): Promise<LeaseReply> {
    const { correlationId } = call;
    const { tenantId, platformId } = callingPlatform(call);
    const attempt: Attempt = { leaseId: newId('lease'), tenantId, platformId, correlationId, request };
    try {
      const reply = await this.#grant(attempt);
      this.#countGranted();
      annotate(() => ({ ...spanOf(attempt), 'postern.lease.outcome': 'granted' }));
      return reply;
    } catch (thrown) {
      const error = toPosternError(thrown === overtaken ? this.#overtakenBy(attempt) : thrown);
      this.#outcomes.add(1, { outcome: 'refused', code: error.code });
      annotate(() => ({ ...spanOf(attempt), 'postern.lease.outcome': 'refused' }));
      // A refusal gives nothing away, and the sooner it is heard the better: its record need not be durable first.
      void this.#recordRefusal(attempt, error);
      throw error;
    }
  }

  onApplicationShutdown(): void {
    this.#recipients.clear();
  }

  async #grant(attempt: Attempt): Promise<LeaseReply> {
    const { leaseId, tenantId, platformId, request } = attempt;
    const recipient = this.#recipients.of(tenantId, request.recipient_key);
    this.#requireAgent(attempt);
    const known = this.#fromMemory(attempt);
    const ahead = known ? undefined : this.credentials.readAhead({ tenantId, connectionId: request.connection_id });
    const decided = known !== undefined && isGranted(known) ? known : await this.#granted(attempt, known);
    const { state, decision: grant } = decided;
    const owner = ownerOf(state);
    const { credentialVersion, expiresAtMs, grantedScopes } = grant;
    const { connectionId } = owner;
    const seal = { leaseId, connectionId, credentialVersion, expiresAtMs };
    const sealToken = (token: Uint8Array) => sealLease(recipient, seal, token);
    const openAndSeal = async () =>
      sealed(await this.credentials.openAccess(owner, credentialVersion, ahead), sealToken);
    const inMemory = this.credentials.peekAccess(state, credentialVersion);
    let token: SealedToken | undefined;
    let record: AccessRecord;
    let place: RecordPlace;
    if (inMemory !== undefined) {
      requireUsableByBearer(inMemory.terms.boundTo);
      record = this.#recordOfGrant(attempt, decided);
      place = await this.records.record(record, () => (token = sealedInMemory(inMemory, sealToken)));
      token ??= await openAndSeal();
    } else {
      const opening = openAndSeal();
      // Whoever waits for it first hears of it.
      opening.catch(() => undefined);
      if (!(await this.credentials.isAboutToOpen(credentialVersion, ahead))) await opening;
      record = this.#recordOfGrant(attempt, decided);
      [token, place] = await Promise.all([opening, this.records.record(record)]);
    }
    const { tokenType, sentAs, sealedToken } = token;
    const now = this.#standsAsItWas(attempt, decided)
      ? state
      : this.#stillGranted(attempt, this.#fromMemory(attempt) ?? (await this.#decide(attempt)));
    if (grant.refreshSoon) void this.refreshes.ask({ tenantId, platformId, connectionId, credentialVersion });
    // Members that are not always there are put in afterwards: a spread costs as much as all the others.
    const reply: LeaseReply = {
      lease_id: leaseId,
      credential_version: credentialVersion,
      sealed_token: sealedToken,
      token_type: tokenType,
      expires_at: expiresAtMs === null ? null : timestampOf(expiresAtMs),
      scope: grantedScopes,
      freshness: freshnessOf(now, { nowMs: this.clock.nowMs() }),
    };
    if (sentAs !== undefined) reply.sent_as = sentAs;
    if (request.receipt === true) reply.receipt = this.records.receipt(record, place);
    return reply;
  }

  /** Decides; where a refresh is needed, asks for it and decides once more. */
  async #granted(attempt: Attempt, known: Decided | undefined): Promise<Granted> {
    const first = known ?? (await this.#decide(attempt));
    if (isGranted(first)) return first;
    const { tenantId, platformId, request } = attempt;
    const { credentialVersion } = first.decision;
    await this.#refreshParties(first.chain, attempt);
    const failure = await this.refreshes.ask({
      tenantId,
      platformId,
      connectionId: request.connection_id,
      credentialVersion,
    });
    const second = await this.#decide(attempt, { fromLeader: failure !== undefined });
    if (isGranted(second)) return second;
    throw this.#refreshUnavailable(second.state, failure);
  }

  /** What a derived connection is renewed with must live; the farthest first, since the nearer ones are had with it. */
  async #refreshParties({ parties }: DelegationChain, { tenantId, platformId }: Attempt): Promise<void> {
    for (const { connectionId, state } of parties.toReversed()) {
      const { version: credentialVersion = 0, accessTokenExpiresAtMs = null } = state.credential ?? {};
      if (accessTokenExpiresAtMs === null || accessTokenExpiresAtMs > this.clock.nowMs()) continue;
      await this.refreshes.ask({ tenantId, platformId, connectionId, credentialVersion });
    }
  }

  /** What memory allows, at once; undefined where it knows nothing, or refuses: it may lag behind what is allowed by now. */
  #fromMemory(attempt: Attempt): Decided | undefined {
    this.feed.assertFresh();
    const loaded = this.connections.peek({ tenantId: attempt.tenantId, id: attempt.request.connection_id });
    if (loaded === undefined) return undefined;
    try {
      const { state } = loaded;
      const chain = this.delegations.peek(state);
      if (chain === undefined) return undefined;
      const position = Math.max(this.feed.position, loaded.position);
      const memory = this.connections.memoryChanges;
      return { state, chain, decision: this.#decisionOn(state, chain, attempt), position, memory };
    } catch (error) {
      if (isPosternError(error)) return undefined;
      throw error;
    }
  }

  /** What ended the connection of a lease while its record was written: memory has it, and nothing can be newer to it. */
  #overtakenBy(attempt: Attempt): unknown {
    const loaded = this.connections.peek({ tenantId: attempt.tenantId, id: attempt.request.connection_id });
    try {
      const chain = loaded && this.delegations.peek(loaded.state);
      if (loaded !== undefined && chain !== undefined) this.#decisionOn(loaded.state, chain, attempt);
      return overtaken;
    } catch (refusal) {
      return refusal;
    }
  }

  /** A refusal on a state from memory is decided again on the leader's: memory may lag behind what is allowed by now. */
  async #decide(attempt: Attempt, { fromLeader = false } = {}): Promise<Decided> {
    this.feed.assertFresh();
    const { position: followed } = this.feed;
    const ref = { tenantId: attempt.tenantId, id: attempt.request.connection_id };
    const decideOn = async (leader: boolean): Promise<Decided> => {
      const { state, position } = await this.connections.load(ref, { fromLeader: leader });
      const chain = await this.delegations.load(state, { fromLeader: leader });
      const decision = this.#decisionOn(state, chain, attempt);
      return { state, chain, decision, position: Math.max(followed, position) };
    };
    try {
      return await decideOn(fromLeader);
    } catch (error) {
      if (fromLeader || !isPosternError(error)) throw error;
      return await decideOn(true);
    }
  }

  #decisionOn(state: Connection, chain: DelegationChain, { tenantId, platformId, request }: Attempt): LeaseDecision {
    return leaseDecision(state, {
      nowMs: this.clock.nowMs(),
      chain,
      tenantId,
      platformId,
      scopes: request.scopes,
      minTtlMs: request.min_ttl_s === undefined ? undefined : request.min_ttl_s * 1_000,
      reauthorizeUrl: `${this.config.publicUrl}/connect/${request.connection_id}`,
    });
  }

  /** After the record, before the reply: nothing in memory has changed, and what is there still grants the lease now. */
  #standsAsItWas(attempt: Attempt, { state, chain, memory }: Decided): boolean {
    if (memory !== this.connections.memoryChanges) return false;
    this.feed.assertFresh();
    this.#requireAgent(attempt);
    try {
      return this.#decisionOn(state, chain, attempt).kind === 'grant';
    } catch (error) {
      if (isPosternError(error)) return false;
      throw error;
    }
  }

  /** The same where something has changed: whatever was revoked meanwhile is refused. */
  #stillGranted(attempt: Attempt, { state, decision }: Decided): Connection {
    this.#requireAgent(attempt);
    if (decision.kind === 'grant') return state;
    throw this.#refreshUnavailable(state, undefined);
  }

  #requireAgent({ tenantId, platformId, request }: Attempt): void {
    this.directory.requireAgent({ tenantId, platformId, agentId: request.agent_id });
  }

  #refreshUnavailable(state: Connection, failure: PosternError | undefined): PosternError {
    const nowMs = this.clock.nowMs();
    const { nextAttemptAtMs } = state.health;
    const waitS = nextAttemptAtMs === null ? 1 : Math.max(1, Math.ceil((nextAttemptAtMs - nowMs) / 1_000));
    const details = { retry_after_s: waitS, freshness: freshnessOf(state, { nowMs }) };
    const living = (state.credential?.accessTokenExpiresAtMs ?? 0) > nowMs;
    if (living)
      return new PosternError('lease.ttl_unavailable', 'No token that lives that long could be had.', { details });
    const code = failure?.code === 'bus.timeout' ? 'refresh.timeout' : 'refresh.unavailable';
    return new PosternError(code, 'The token has ended and was not refreshed.', { cause: failure, details });
  }

  /** Never rejects. A refusal stands whether or not it could be recorded: nothing was given. */
  async #recordRefusal(attempt: Attempt, { code }: PosternError): Promise<void> {
    if (code === 'vault.audit_unavailable') return;
    const record = this.#recordOf(attempt, { position: this.feed.position, credentialVersion: null, code });
    try {
      await this.records.record(record);
    } catch (error) {
      this.logger.error('a refused lease could not be recorded', { leaseId: attempt.leaseId, code, err: error });
    }
  }

  #recordOfGrant(
    attempt: Attempt,
    { decision: { credentialVersion }, position, chain: { steps } }: Granted,
  ): AccessRecord {
    const record = this.#recordOf(attempt, { position, credentialVersion, code: null });
    if (steps.length > 0) record.delegation = [...steps];
    return record;
  }

  #recordOf(
    { leaseId, tenantId, platformId, correlationId, request }: Attempt,
    { code, credentialVersion, position }: Pick<AccessRecord, 'code' | 'credentialVersion' | 'position'>,
  ): AccessRecord {
    return {
      leaseId,
      at: timestampOf(this.clock.nowMs()),
      tenantId,
      platformId,
      agentId: request.agent_id,
      connectionId: request.connection_id,
      purpose: request.purpose,
      scopes: request.scopes ?? null,
      outcome: code === null ? 'granted' : 'refused',
      code,
      credentialVersion,
      position,
      correlationId,
    };
  }
}

/** @throws {PosternError} `lease.sender_constrained`: a server may begin to bind with a refresh, and no log knows of that. */
function sealed({ accessToken, ...terms }: AccessPart, seal: Seal): SealedToken {
  requireUsableByBearer(terms.boundTo);
  const token = Buffer.from(accessToken, 'utf8');
  try {
    return tokenOf(terms, seal(token));
  } finally {
    zero(token);
  }
}

function sealedInMemory({ terms, withToken }: KnownAccess, seal: Seal): SealedToken | undefined {
  const sealedToken = withToken(seal);
  return sealedToken === undefined ? undefined : tokenOf(terms, sealedToken);
}

function tokenOf({ tokenType, sentAs }: AccessTerms, sealedToken: string): SealedToken {
  return { tokenType, sentAs, sealedToken };
}

function isGranted(decided: Decided): decided is Granted {
  return decided.decision.kind === 'grant';
}

function spanOf({ leaseId, tenantId, request }: Attempt) {
  return {
    'postern.lease.id': leaseId,
    'postern.tenant.id': tenantId,
    'postern.connection.id': request.connection_id,
  };
}
