import type { ConnectionEvent } from '@postern/contracts';
import { connectionEvolver, type Connection, type LeaseDecision } from '@postern/domain';
import type { AggregateRef, StoredMessage } from '@postern/event-log';

import type { HeldClaim } from '../claim/held-claim.ts';
import { Intervals } from './intervals.ts';
import type { MemoReader } from './identities.ts';
import type { SimProcess } from './process.ts';
import type { ProviderServer } from './provider-server.ts';
import type { Row } from './vault-tables.ts';
import type { World } from './world.ts';

type DataOf<T extends ConnectionEvent['type']> = Extract<ConnectionEvent, { type: T }>['data'];

/** A connection as the log has it, whatever any process believes. */
export interface Truth {
  state: Connection;
  revision: number;
  position: number;
}

/** What is known of one claim. */
interface ClaimRecord {
  readonly version: number;
  calls: number;
  released: boolean;
  takenOver: boolean;
}

interface Rejection {
  readonly claimId: string;
  readonly atMs: number;
}

/** A refresh token on its way. */
export interface Call {
  readonly process: SimProcess;
  readonly token: string;
  /** Does its process still wait for the answer? */
  readonly isAwaited: boolean;
  ends(): void;
}

interface Served {
  readonly row: Row;
  readonly position: number;
  readonly grant: Extract<LeaseDecision, { kind: 'grant' }>;
}

export interface InvariantsOptions {
  readonly world: World;
  readonly reader: MemoReader;
  readonly provider: ProviderServer;
}

/** What must hold at every moment, looked at from above: the log as it is, the provider's own notes, the vault's tables. */
export class Invariants {
  readonly #world: World;
  readonly #reader: MemoReader;
  readonly #provider: ProviderServer;
  readonly #truths = new Map<string, Truth>();
  readonly #claims = new Map<string, ClaimRecord>();
  readonly #calls = new Map<string, Set<Call>>();
  /** The refresh token of each stored version. */
  readonly #refreshTokens = new Map<string, string | null>();
  readonly #revocationsAnswered = new Map<string, number>();
  /** When each access token reached the vault. */
  readonly storedAtMs = new Map<string, number>();
  /** When the vault last gave the refresh token to each claim. */
  readonly handedOutAtMs = new Map<string, number>();
  /** The last claim of each connection that was rejected. */
  readonly #rejections = new Map<string, Rejection>();
  readonly suspensions = new Intervals();
  refreshes = 0;
  leases = 0;

  constructor({ world, reader, provider }: InvariantsOptions) {
    this.#world = world;
    this.#reader = reader;
    this.#provider = provider;
  }

  truthOf(connectionId: string): Truth {
    const known = this.#truths.get(connectionId);
    if (known !== undefined) return known;
    const truth = { state: connectionEvolver.initialState, revision: 0, position: 0 };
    this.#truths.set(connectionId, truth);
    return truth;
  }

  rejectionOf(connectionId: string): Rejection | undefined {
    return this.#rejections.get(connectionId);
  }

  versionSpentBy(claimId: string): number {
    return this.#claims.get(claimId)?.version ?? 0;
  }

  /** Every message of the log, as it is stored. */
  stored(message: StoredMessage): void {
    const read = this.#reader.read(message);
    if (read.kind !== 'commit') return this.#world.violate('every commit counts', '', `${read.kind}: ${read.reason}`);
    const { entry } = read;
    const { aggregateId, tenantId, at, actor, revision } = entry.commit;
    const truth = this.truthOf(aggregateId);
    if (revision !== truth.revision + 1) {
      this.#world.violate('one log', aggregateId, `revision ${revision} follows ${truth.revision}`);
    }
    const meta = { tenantId, aggregateId, atMs: Date.parse(at), actor };
    for (const event of entry.commit.events as ConnectionEvent[]) {
      this.#follows(truth.state, event, aggregateId);
      truth.state = connectionEvolver.evolve(truth.state, event, meta);
    }
    truth.revision = revision;
    truth.position = entry.position;
  }

  /** A refresh token is on its way to the provider. @returns to be told when nobody waits for the answer any more */
  callBegins(process: SimProcess, { connectionId, claimId }: HeldClaim, token: string): Call {
    const world = this.#world;
    const claim = this.#claims.get(claimId);
    world.trace(connectionId, `${process.name}: spends ${token} for ${world.nameOf(claimId)}`);
    if (claim === undefined || !claim.released) {
      world.violate('nothing is spent that the log does not call released', connectionId, world.nameOf(claimId));
    }
    if (claim?.takenOver === true) {
      world.violate('nobody spends for a claim that was taken over', connectionId, world.nameOf(claimId));
    }
    if (claim !== undefined) claim.calls += 1;
    if ((claim?.calls ?? 0) > 1) world.violate('one call a claim', connectionId, world.nameOf(claimId));
    const calls = this.#callsAt(connectionId);
    if ([...calls].some((other) => other.token === token)) {
      world.violate('never two live claims', connectionId, `${token} is being spent twice at a time`);
    }
    const call: Call = {
      process,
      token,
      get isAwaited() {
        return process.alive && calls.has(call);
      },
      ends: () => void calls.delete(call),
    };
    calls.add(call);
    return call;
  }

  /** A refresh token leaves the vault. */
  handsOut(claimId: string): void {
    this.handedOutAtMs.set(claimId, this.#world.nowMs);
  }

  /** A version is written into the vault. */
  stores(connectionId: string, row: Row): void {
    const { state } = this.truthOf(connectionId);
    const name = `${connectionId}/${row.version}`;
    this.storedAtMs.set(row.tokenSet.accessToken, this.#world.nowMs);
    if (this.#refreshTokens.has(name)) {
      const current = state.credential?.version === row.version ? ', which is current,' : '';
      this.#world.violate('never a stale overwrite', connectionId, `version ${row.version}${current} is overwritten`);
    }
    this.#refreshTokens.set(name, row.tokenSet.refreshToken);
  }

  /** A revocation has been answered: from now on nobody may say that he did not know. */
  revocationAnswered(connectionId: string, position: number): void {
    this.#revocationsAnswered.set(connectionId, position);
  }

  /** An access token leaves the vault. */
  served(process: SimProcess, { id }: AggregateRef, { row, position, grant }: Served): void {
    this.leases += 1;
    const { state, position: truePosition } = this.truthOf(id);
    const isEnded = state.authorization === 'revoked' || state.authorization === 'deleted';
    const answeredAt = this.#revocationsAnswered.get(id) ?? Infinity;
    const where = `${process.name} serves version ${row.version}`;
    if (isEnded && (answeredAt <= truePosition || position >= truePosition)) {
      this.#world.violate('no token is served after revocation', id, where);
    }
    if (row.version !== grant.credentialVersion) this.#world.violate('what is granted is served', id, where);
    this.#world.trace(id, where);
  }

  #follows(before: Connection, event: ConnectionEvent, id: string): void {
    const world = this.#world;
    world.trace(id, `log: ${event.type}${detailOf(event, world)}`);
    if (event.type === 'RefreshStarted') this.#claimed(before, event.data);
    if (event.type === 'RefreshTokenReleased') this.#released(event.data.claimId);
    if (event.type === 'RefreshInterrupted' || event.type === 'RefreshFailed') this.#ended(id, event);
    if (event.type === 'AccessTokenRefreshed') this.#refreshed(before, event.data);
    if (event.type === 'RefreshRejected') {
      this.#rejections.set(id, { claimId: event.data.claimId, atMs: world.nowMs });
    }
    if (event.type === 'ConnectionSuspended') this.suspensions.begin(id, world.nowMs);
    if (event.type === 'ConnectionResumed') this.suspensions.end(id, world.nowMs);
  }

  #claimed(
    { claim, connectionId }: Connection,
    { claimId, credentialVersion: version }: DataOf<'RefreshStarted'>,
  ): void {
    if (claim !== null) this.#world.violate('never two live claims', connectionId, 'a claim is written over a claim');
    this.#claims.set(claimId, { version, calls: 0, released: false, takenOver: false });
  }

  #released(claimId: string): void {
    const claim = this.#claims.get(claimId);
    if (claim !== undefined) claim.released = true;
  }

  #ended(id: string, { type, data }: Extract<ConnectionEvent, { type: 'RefreshInterrupted' | 'RefreshFailed' }>): void {
    const claim = this.#claims.get(data.claimId);
    if (claim === undefined) return;
    const isUnreleased = type === 'RefreshFailed' && data.error === 'claim_expired_unreleased';
    claim.takenOver ||= isUnreleased || type === 'RefreshInterrupted';
    if (isUnreleased && claim.calls > 0) {
      this.#world.violate('what the log calls unspent is unspent', id, this.#world.nameOf(data.claimId));
    }
    const own = this.#callsAt(id);
    const version = this.#refreshTokens.get(`${id}/${claim.version}`);
    if (claim.takenOver && [...own].some(({ token }) => token === version)) {
      this.#world.violate('never two live claims', id, 'a claim is taken over while its call is under way');
    }
  }

  /** What it is bought with must be the refresh token of the version that it replaces. */
  #refreshed({ credential, authorization, connectionId: id }: Connection, data: DataOf<'AccessTokenRefreshed'>): void {
    this.refreshes += 1;
    if (authorization === 'revoked' || authorization === 'deleted') {
      this.#world.violate('a refresh revives nothing', id, authorization);
    }
    const replaced = this.#refreshTokens.get(`${id}/${credential?.version}`);
    const spent = this.#provider.calls.findLast(({ claimId }) => claimId === data.claimId)?.token;
    if (spent !== replaced) {
      this.#world.violate('never a stale overwrite', id, `${spent} bought what replaces the version of ${replaced}`);
    }
    if (!this.#refreshTokens.has(`${id}/${data.credentialVersion}`)) {
      this.#world.violate('what is recorded is stored', id, `version ${data.credentialVersion}`);
    }
  }

  #callsAt(connectionId: string): Set<Call> {
    const known = this.#calls.get(connectionId) ?? new Set<Call>();
    this.#calls.set(connectionId, known);
    for (const call of known) if (!call.process.alive) known.delete(call);
    return known;
  }
}

/** What tells one event from another of its type. */
function detailOf({ type, data }: ConnectionEvent, world: World): string {
  const claim = 'claimId' in data ? [world.nameOf(data.claimId)] : [];
  const version = 'credentialVersion' in data ? [`version ${data.credentialVersion}`] : [];
  const words = [
    ...claim,
    ...version,
    ...(type === 'RefreshStarted' ? [data.reason] : []),
    ...(type === 'RefreshFailed' ? [data.error] : []),
    ...(type === 'ReauthorizationRequired' ? [data.cause] : []),
  ];
  return words.length === 0 ? '' : ` (${words.join(', ')})`;
}
