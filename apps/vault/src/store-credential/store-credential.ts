import { Injectable } from '@nestjs/common';
import {
  isId,
  isPosternError,
  operations,
  PosternError,
  type ReplyOf,
  type RequestOf,
  type TokenSet,
} from '@postern/contracts';
import { refreshOutcomeWelcome, type Connection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingApp, Clock, crashPoint, Serves, ServiceKeys } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import type { StoredVersion } from '../credential-rows.ts';
import { Credentials } from '../credentials.ts';
import { PendingCredentials } from '../pending-credentials.ts';
import { openTokenSet, type CredentialOwner } from '../sealed-token-set.ts';
import { vaultLimits } from '../vault-limits.ts';

type Request = RequestOf<typeof operations.storeCredential>;
type Stored = ReplyOf<typeof operations.storeCredential>;

/** What was bought, by whom, for which connection. */
interface Purchase {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly boughtBy: string;
  readonly tokenSet: TokenSet;
}

/** Stores what a claim bought as the next version, and what a session bought as pending. */
@Injectable()
export class StoreCredential {
  constructor(
    private readonly keys: ServiceKeys,
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly credentials: Credentials,
    private readonly pending: PendingCredentials,
  ) {}

  @Serves(operations.storeCredential)
  async store(request: Request, call: Call): Promise<Stored> {
    const boughtByClaim = isId('claim', request.bought_by);
    callingApp(call, [boughtByClaim ? 'refresh' : 'authorization']);
    const purchase: Purchase = {
      tenantId: request.tenant_id,
      connectionId: request.connection_id,
      boughtBy: request.bought_by,
      tokenSet: openTokenSet(this.keys.opener, request.sealed_token_set),
    };
    return boughtByClaim ? await this.#storeNext(purchase) : await this.#storePending(purchase);
  }

  /**
   * Decides on the log, writes only if nothing else was stored since, decides again otherwise. Memory mostly does, of the log
   * and of what was read for the release; whatever it leads to but a new version is found out anew.
   */
  async #storeNext(purchase: Purchase): Promise<Stored> {
    const stored = await this.#storeByMemory(purchase);
    if (stored !== undefined) return stored;
    for (let attempt = 1; attempt <= vaultLimits.storeAttemptsMax; attempt += 1) {
      // Read before the log is: what is stored after it was is noticed when it is written.
      const standing = await this.credentials.versions(purchase);
      const state = await this.#load(purchase.tenantId, purchase.connectionId);
      const next = await this.#tryStoreNext(purchase, { state, stored: standing });
      if (next !== undefined) return next;
    }
    throw new PosternError('vault.version_stale', 'Other credentials were stored at the same time.');
  }

  /**
   * For who released the token a moment ago: what the log has said since is noticed as it would be right after the leader was
   * asked. A version that was stored, and a key that was shredded, by the row; all else when the outcome is appended, and
   * nobody leases the version before that.
   */
  async #storeByMemory(purchase: Purchase): Promise<Stored | undefined> {
    const { tenantId, connectionId } = purchase;
    const stored = this.credentials.takeKnown(purchase);
    const loaded = this.connections.peek({ tenantId, id: connectionId });
    if (stored === undefined || loaded === undefined) return undefined;
    try {
      return await this.#tryStoreNext(purchase, { state: loaded.state, stored });
    } catch (error) {
      if (!isPosternError(error)) throw error;
      return undefined;
    }
  }

  async #tryStoreNext(
    purchase: Purchase,
    { state, stored }: { readonly state: Connection; readonly stored: readonly StoredVersion[] },
  ): Promise<Stored | undefined> {
    const { connectionId, boughtBy, tokenSet } = purchase;
    const owner = ownerOf(state);
    const repeat = stored.find((one) => one.boughtBy === boughtBy);
    if (repeat !== undefined) return replyOf(repeat);
    const currentVersion = requireWelcome(state, boughtBy);
    const { tokenSet: whole, rotated } = await this.#withRefreshToken(owner, currentVersion, { tokenSet, stored });
    const inserted = await this.credentials.insertNext({
      owner,
      newestVersion: stored.at(-1)?.version ?? 0,
      currentVersion,
      boughtBy,
      tokenSet: whole,
      refreshTokenRotated: rotated,
    });
    crashPoint('after it stored', connectionId);
    return inserted && replyOf(inserted);
  }

  /** A response without a refresh token leaves the old one in use. @source RFC 6749 §6 */
  async #withRefreshToken(
    owner: CredentialOwner,
    currentVersion: number,
    { tokenSet, stored }: { readonly tokenSet: TokenSet; readonly stored: readonly StoredVersion[] },
  ) {
    const old = (await this.credentials.openRefresh(owner, currentVersion, stored))?.refreshToken ?? null;
    const refreshToken = tokenSet.refreshToken ?? old;
    return { tokenSet: { ...tokenSet, refreshToken }, rotated: refreshToken !== old };
  }

  async #storePending({ tenantId, connectionId, boughtBy, tokenSet }: Purchase): Promise<Stored> {
    const state = await this.#load(tenantId, connectionId);
    const owner = ownerOf(state);
    const known =
      (await this.credentials.boughtBy(owner, boughtBy)) ?? (await this.pending.find(owner, boughtBy)) ?? undefined;
    if (known !== undefined) return { credential_id: known.credentialId, credential_version: null };
    const { session } = state;
    if (session?.sessionId !== boughtBy || session.stage === 'started') {
      throw new PosternError('session.not_found', 'No such session is exchanging its code.');
    }
    if (this.clock.nowMs() >= session.expiresAtMs) {
      throw new PosternError('session.expired', 'The connect session has expired.');
    }
    const { credentialId } = await this.pending.insert(owner, session, tokenSet);
    return { credential_id: credentialId, credential_version: null };
  }

  async #load(tenantId: string, connectionId: string): Promise<Connection> {
    const { state } = await this.connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    if (state.authorization === 'none') throw new PosternError('connection.not_found', 'There is no such connection.');
    if (state.authorization === 'deleted') throw new PosternError('connection.deleted', 'The connection was deleted.');
    return state;
  }
}

/**
 * Refuses what the log would not record: the claim must have had the refresh token, and its version be current.
 *
 * @returns the version that the log calls current
 */
function requireWelcome(state: Connection, claimId: string): number {
  if (state.claim?.claimId === claimId && !state.claim.released) {
    throw new PosternError('refresh.not_released', 'No refresh token was released for this claim.');
  }
  if (state.credential === null || !refreshOutcomeWelcome(state, { claimId })) {
    throw new PosternError('vault.version_stale', 'What this claim bought is not welcome any more.');
  }
  return state.credential.version;
}

function replyOf({ credentialId, version }: { credentialId: string; version: number }): Stored {
  return { credential_id: credentialId, credential_version: version };
}
