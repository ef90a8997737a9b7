import {
  isPosternError,
  newId,
  operations,
  PosternError,
  TokenSet,
  type Actor,
  type ConnectionEvent,
  type RequestOf,
} from '@postern/contracts';
import {
  claimReleased,
  connectionEvolver,
  interruptedClaims,
  isClaimLive,
  leaseDecision,
  refreshOutcomeWelcome,
  releaseRefreshToken,
  upcast,
  type Connection,
  type LeaseDecision,
} from '@postern/domain';
import { Repository, type AggregateRef, type Loaded } from '@postern/event-log';

import { SimFeed } from './feed.ts';
import { nominalSigner, type MemoReader } from './identities.ts';
import type { Invariants } from './invariants.ts';
import { ProcessLog, type ServerLog } from './log.ts';
import type { SimProcess } from './process.ts';
import type { Sabotage } from './sabotage.ts';
import type { Row, VaultTables } from './vault-tables.ts';

export interface VaultOptions {
  readonly process: SimProcess;
  readonly server: ServerLog;
  readonly reader: MemoReader;
  readonly tables: VaultTables;
  readonly invariants: Invariants;
  readonly sabotage: Sabotage | undefined;
}

/** How old a vault's view of the log may be. */
const feedStaleMsMax = 2_000;
const storeAttemptsMax = 5;
const actor: Actor = { type: 'service', id: 'vault' };

type Releasing = RequestOf<typeof operations.releaseRefreshToken>;
type DecideRelease = (state: Connection, nowMs: number) => ConnectionEvent[];
type Storing = RequestOf<typeof operations.storeCredential>;
type Finding = RequestOf<typeof operations.findCredential>;

/**
 * One process of the vault, in its own words since apps never import apps: what it decides is the domain's, and in what
 * order it reads, appends and stores is that of apps/vault.
 */
export class Vault {
  readonly #options: VaultOptions;
  readonly #connections: Repository<Connection, ConnectionEvent>;
  readonly #feed: SimFeed;
  /** The newest version that was read for a release, for whoever brings the next soon after. */
  readonly #forStore = new Map<string, number>();

  constructor(options: VaultOptions) {
    this.#options = options;
    const { process, server, reader } = options;
    this.#connections = new Repository({
      log: new ProcessLog(server, process),
      reader,
      evolver: connectionEvolver,
      upcast,
      signer: nominalSigner('vault'),
      source: '/postern/vault',
      cacheEntriesMax: 50_000,
      nowMs: () => process.clock.nowMs(),
      pause: (_policy, attempt) => process.clock.sleep(attempt * 10),
    });
    this.#feed = new SimFeed({
      log: server,
      reader,
      process,
      sinceMs: process.world.nowMs,
      onEntry: (entry) => this.#connections.observe(entry),
      onReset: () => this.#connections.forgetAll(),
    });
  }

  get process(): SimProcess {
    return this.#options.process;
  }

  /** May it serve from what it knows? */
  get isFresh(): boolean {
    return this.process.alive && this.#feed.ageMs() < feedStaleMsMax;
  }

  /** Has it applied everything up to there? */
  confirms(position: number): boolean {
    return this.#feed.position >= position;
  }

  async answer(operation: string, request: unknown): Promise<unknown> {
    if (operation === operations.releaseRefreshToken.name) return await this.#release(request as Releasing);
    if (operation === operations.storeCredential.name) return await this.#store(request as Storing);
    if (operation === operations.findCredential.name) return await this.#find(request as Finding);
    throw new PosternError('service.internal', `The simulated vault does not know ${operation}.`);
  }

  async #release(request: Releasing): Promise<object> {
    const { sabotage, tables, process } = this.#options;
    const { tenant_id: tenantId, connection_id: id, claim_id: claimId } = request;
    const ref = { tenantId, id };
    const decide = releaseOf(request);
    const state =
      sabotage === 'release-without-fence'
        ? await this.#unfenced(ref, claimId, decide)
        : await this.#fenced(ref, claimId, decide);
    const version = state.credential?.version ?? 0;
    if (!isClaimLive(state, process.clock.nowMs())) throw new PosternError('refresh.claim_lost', 'It is not live.');
    await process.cross('vault database');
    if (interruptedClaims(state).some((earlier) => tables.boughtBy(id, earlier) !== undefined)) {
      throw new PosternError('vault.version_stale', 'An interrupted claim has bought the next version.');
    }
    const row = tables.find(id, version);
    if (row === undefined) throw new PosternError('vault.credential_missing', 'The version is not stored.');
    this.#options.invariants.handsOut(claimId);
    this.#forStore.set(id, tables.newestVersion(id));
    const { refreshToken, grantedScopes } = row.tokenSet;
    if (refreshToken === null) throw new PosternError('refresh.not_possible', 'There is no refresh token.');
    return { sealed_refresh_token: JSON.stringify({ refreshToken, grantedScopes }), credential_version: version };
  }

  async #fenced(ref: AggregateRef, claimId: string, decide: DecideRelease): Promise<Connection> {
    const { state } = await this.#connections.execute(ref, (current, { nowMs }) => decide(current, nowMs), {
      ...{ actor, correlationId: newId('correlation'), causationId: claimId, fromLeader: true },
    });
    return state;
  }

  /** Broken on purpose: believes what it has read, whatever becomes of the append. */
  async #unfenced(ref: AggregateRef, claimId: string, decide: DecideRelease): Promise<Connection> {
    const { state } = await this.#connections.load(ref);
    const nowMs = this.process.clock.nowMs();
    const meta = { tenantId: ref.tenantId, aggregateId: ref.id, atMs: nowMs, actor };
    const believed = decide(state, nowMs).reduce((now, event) => connectionEvolver.evolve(now, event, meta), state);
    await this.#fenced(ref, claimId, decide).catch(() => undefined);
    return believed;
  }

  async #store({ tenant_id: tenantId, connection_id: id, bought_by: buyer, sealed_token_set: sealed }: Storing) {
    const tokenSet = TokenSet.parse(JSON.parse(sealed));
    const known = await this.#storeByMemory({ tenantId, id }, buyer, tokenSet);
    if (known !== undefined) return { credential_id: newId('credential'), credential_version: known.version };
    for (let attempt = 1; attempt <= storeAttemptsMax; attempt += 1) {
      const row = await this.#tryStore({ tenantId, id }, buyer, tokenSet);
      if (row !== undefined) return { credential_id: newId('credential'), credential_version: row.version };
    }
    throw new PosternError('vault.version_stale', 'Other credentials were stored at the same time.');
  }

  async #storeByMemory(ref: AggregateRef, buyer: string, tokenSet: TokenSet): Promise<Row | undefined> {
    const newest = this.#forStore.get(ref.id);
    this.#forStore.delete(ref.id);
    const state = this.#connections.peek(ref)?.state;
    if (newest === undefined || state === undefined) return undefined;
    try {
      return await this.#tryStoreNext(ref, { buyer, tokenSet, newest, state });
    } catch (error) {
      if (!isPosternError(error)) throw error;
      return undefined;
    }
  }

  async #tryStore(ref: AggregateRef, buyer: string, tokenSet: TokenSet): Promise<Row | undefined> {
    await this.process.cross('vault database');
    const newest = this.#options.tables.newestVersion(ref.id);
    const { state } = await this.#connections.load(ref, { fromLeader: true });
    return await this.#tryStoreNext(ref, { buyer, tokenSet, newest, state });
  }

  /** @param newest the newest version as it was read before the log was */
  async #tryStoreNext(
    ref: AggregateRef,
    { buyer, tokenSet, newest, state }: { buyer: string; tokenSet: TokenSet; newest: number; state: Connection },
  ): Promise<Row | undefined> {
    const { tables, process, sabotage, invariants } = this.#options;
    const known = tables.boughtBy(ref.id, buyer);
    if (known !== undefined) return known;
    const isStaleAllowed = sabotage === 'store-without-version-check';
    if (!isStaleAllowed) requireWelcome(state, buyer);
    const current = isStaleAllowed ? invariants.versionSpentBy(buyer) : (state.credential?.version ?? 0);
    await process.cross('vault database');
    if (!isStaleAllowed && tables.newestVersion(ref.id) !== newest) return undefined;
    const old = tables.find(ref.id, current)?.tokenSet.refreshToken ?? null;
    const refreshToken = tokenSet.refreshToken ?? old;
    const version = (isStaleAllowed ? current : newest) + 1;
    return this.#put(ref.id, current, {
      version,
      boughtBy: buyer,
      tokenSet: { ...tokenSet, refreshToken },
      rotated: refreshToken !== old,
    });
  }

  async #find({ tenant_id: tenantId, connection_id: id, bought_by: buyer }: Finding): Promise<object> {
    await this.#connections.load({ tenantId, id }, { fromLeader: true });
    await this.process.cross('vault database');
    const row = this.#options.tables.boughtBy(id, buyer);
    return {
      found: row !== undefined,
      credential_version: row?.version ?? null,
      access_token_expires_at_ms: row?.tokenSet.accessTokenExpiresAtMs ?? null,
      granted_scopes: row?.tokenSet.grantedScopes ?? [],
      refresh_token_rotated: row?.rotated ?? false,
    };
  }

  /** Makes what a session bought the next version. @returns it */
  async promote(ref: AggregateRef, sessionId: string, tokenSet: TokenSet): Promise<Row> {
    const { tables, process } = this.#options;
    for (let attempt = 1; attempt <= storeAttemptsMax; attempt += 1) {
      await process.cross('vault database');
      const newest = tables.newestVersion(ref.id);
      const { state } = await this.#connections.load(ref, { fromLeader: true });
      const current = state.credential?.version ?? 0;
      const known = tables.boughtBy(ref.id, sessionId);
      if (known !== undefined && known.version > current) return known;
      if (state.session?.sessionId !== sessionId) throw new PosternError('session.not_found', 'It has ended.');
      await process.cross('vault database');
      if (tables.newestVersion(ref.id) !== newest) continue;
      return this.#put(ref.id, current, { version: newest + 1, boughtBy: sessionId, tokenSet, rotated: true });
    }
    throw new PosternError('vault.version_stale', 'Other credentials were stored at the same time.');
  }

  /** Decides, records, decides once more, and only then lets the token go. @throws {PosternError} as the real one */
  async lease(ref: AggregateRef, question: { readonly platformId: string }): Promise<LeaseDecision> {
    const { process, tables, invariants } = this.#options;
    const first = await this.#decide(ref, question);
    if (first.decision.kind === 'refresh') return first.decision;
    await process.cross('access record', process.world.random.between(1, 30));
    const { decision, position } = await this.#decide(ref, question);
    if (decision.kind === 'refresh') return decision;
    const row = tables.find(ref.id, first.decision.credentialVersion);
    if (row !== undefined) invariants.served(process, ref, { row, position, grant: first.decision });
    return first.decision;
  }

  async #decide(
    ref: AggregateRef,
    { platformId }: { readonly platformId: string },
  ): Promise<{ decision: LeaseDecision; position: number }> {
    this.#requireFresh();
    const { clock } = this.process;
    const { position: followed } = this.#feed;
    const decide = ({ state, position }: Loaded<Connection>) => ({
      decision: leaseDecision(state, { nowMs: clock.nowMs(), tenantId: ref.tenantId, platformId }),
      position: Math.max(position, followed),
    });
    const known = this.#connections.peek(ref) ?? (await this.#connections.load(ref));
    try {
      return decide(known);
    } catch (error) {
      if (!isPosternError(error)) throw error;
      return decide(await this.#connections.load(ref, { fromLeader: true }));
    }
  }

  #requireFresh(): void {
    if (this.isFresh || this.#options.sabotage === 'lease-from-stale-memory') return;
    throw new PosternError('vault.feed_stale', 'The feed is not proved fresh.');
  }

  #put(connectionId: string, current: number, row: Row): Row {
    const { tables, invariants, process } = this.#options;
    invariants.stores(connectionId, row);
    tables.put(connectionId, row, { forget: (version) => version < current });
    const { world } = process;
    world.trace(
      connectionId,
      `${process.name}: stores version ${row.version}, bought by ${world.nameOf(row.boughtBy)}`,
    );
    return row;
  }
}

function releaseOf({ claim_id: claimId, claim }: Releasing): DecideRelease {
  if (claim === undefined) return (state, nowMs) => releaseRefreshToken({ claimId, nowMs }, state);
  const { timeout_ms: claimTimeoutMs, credential_version: credentialVersion } = claim;
  return (state, nowMs) => claimReleased({ claimId, claimTimeoutMs, credentialVersion, nowMs }, state);
}

function requireWelcome(state: Connection, claimId: string): void {
  if (state.claim?.claimId === claimId && !state.claim.released) {
    throw new PosternError('refresh.not_released', 'No refresh token was released for this claim.');
  }
  if (!refreshOutcomeWelcome(state, { claimId })) {
    throw new PosternError('vault.version_stale', 'What this claim bought is not welcome any more.');
  }
}
