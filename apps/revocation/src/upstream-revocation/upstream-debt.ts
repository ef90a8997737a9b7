import { Injectable } from '@nestjs/common';
import { isPosternError } from '@postern/contracts';
import {
  recordUpstreamRevocationFailed,
  recordUpstreamRevoked,
  upstreamRevocationOf,
  type Connection,
  type UpstreamRevocation,
} from '@postern/domain';
import type { LogEntry } from '@postern/event-log';
import { Clock, commitOrigin, Logger, Metrics, withCall } from '@postern/service';

import { Connections } from '../connections.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { Siblings } from '../siblings/siblings.ts';
import { ProviderClients } from '../provider/provider-clients.ts';
import { isPatienceOver, retryDelayMs } from './retry-plan.ts';
import { tellProvider, type Told } from './tell-provider.ts';
import { VaultSecrets } from '../provider/vault-secrets.ts';

/** The commit that ended the connection, and how often it was worked on. */
export interface Ending {
  readonly entry: LogEntry;
  /** 1 the first time. */
  readonly deliveries: number;
}

/** `again`: the message comes back after a while. */
export type Next = { readonly kind: 'done' } | { readonly kind: 'again'; readonly delayMs: number };

type Due = Extract<UpstreamRevocation, { kind: 'due' }>;

/** What Postern owes after it ended a connection: a word to the provider, and after a deletion the key's end. */
@Injectable()
export class UpstreamDebt {
  constructor(
    private readonly connections: Connections,
    private readonly clients: ProviderClients,
    private readonly secrets: VaultSecrets,
    private readonly siblings: Siblings,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Does what is owed now; asked again it does what is left.
   *
   * @throws {PosternError} what may pass by itself: vault, log or bus could not be reached
   */
  async settle(ending: Ending): Promise<Next> {
    const { state, owed } = await this.#owed(ending);
    if (owed.kind === 'wait') return this.#later(owed.untilMs);
    if (owed.kind === 'none') return await this.#afterwards(state);
    const told = await this.#tell(ending, state, owed);
    if (told === 'not_due') return { kind: 'again', delayMs: retryDelayMs({ deliveries: 1 }) };
    const final = told.kind === 'failed' && this.#isFinal(told, ending);
    const after = await this.#record(ending, owed, { told, final });
    if (told.kind === 'told' || final) return await this.#afterwards(after);
    return { kind: 'again', delayMs: retryDelayMs({ ...ending, retryAfterMs: told.retryAfterMs }) };
  }

  async #owed({ entry }: Ending): Promise<{ state: Connection; owed: UpstreamRevocation }> {
    const { tenantId, aggregateId: id } = entry.commit;
    const { state } = await this.connections.load({ tenantId, id }, { fromLeader: true });
    return { state, owed: upstreamRevocationOf(state, { nowMs: this.clock.nowMs() }) };
  }

  /**
   * Looks at the log again when all is at hand: a revoked token may take the whole grant with it, and fetching the
   * secrets left the end user time to begin a new one.
   */
  async #tell(ending: Ending, state: Connection, due: Due): Promise<Told | 'not_due'> {
    const { tenantId, connectionId } = state;
    try {
      const tokens = await this.secrets.tokens(tenantId, connectionId);
      if (tokens === null) return { kind: 'told', method: 'nothing_to_revoke' };
      const client = await this.clients.revoking(state);
      const { owed } = await this.#owed(ending);
      if (owed.kind !== 'due' || owed.credentialVersion !== due.credentialVersion) return 'not_due';
      const spared = await this.#spared(ending, state);
      if (spared !== undefined) return spared;
      const tell = () => tellProvider(client, tokens, { nowMs: this.clock.nowMs() });
      const attributes = { 'postern.provider.id': state.providerId };
      return await withCall('postern.provider.revoke', tell, { attributes });
    } catch (error) {
      // Something of ours is broken that no retry of the bus heals: people must see it, and may mend it.
      if (!isPosternError(error) || error.row.delivery !== 'term') throw error;
      return { kind: 'failed', error: error.code, mayPass: true, retryAfterMs: null };
    }
  }

  /**
   * Nothing may end at the provider that nobody has ended here: another connection of the same account that was
   * authorized since, or that the caller could not see. One that a cascade has not reached yet is waited for.
   */
  async #spared({ entry }: Ending, state: Connection): Promise<Told | 'not_due' | undefined> {
    const living = await this.siblings.livingOf(state);
    if (living.length === 0) return undefined;
    const isNewer = living.some(({ credential }) => (credential?.authorizedAtMs ?? 0) > entry.timeMs);
    if (!isNewer && this.clock.nowMs() - entry.timeMs < revocationLimits.cascadeWaitMs) return 'not_due';
    return { kind: 'failed', error: 'would_end_another_authorization', mayPass: false, retryAfterMs: null };
  }

  #isFinal({ mayPass }: Extract<Told, { kind: 'failed' }>, { entry }: Ending): boolean {
    return !mayPass || isPatienceOver({ sinceMs: entry.timeMs, nowMs: this.clock.nowMs() });
  }

  async #record(
    { entry }: Ending,
    { credentialVersion }: Due,
    { told, final }: { told: Told; final: boolean },
  ): Promise<Connection> {
    const { tenantId, aggregateId: id, commitId, correlationId } = entry.commit;
    const { state } = await this.connections.execute(
      { tenantId, id },
      (current) =>
        told.kind === 'told'
          ? recordUpstreamRevoked({ credentialVersion, method: told.method }, current)
          : recordUpstreamRevocationFailed({ credentialVersion, error: told.error, final }, current),
      {
        actor: { type: 'service', id: 'revocation' },
        ...commitOrigin(),
        causationId: commitId,
        correlationId,
        fromLeader: true,
      },
    );
    this.#report({ tenantId, connectionId: id }, told, final);
    return state;
  }

  #report(connection: { tenantId: string; connectionId: string }, told: Told, final: boolean): void {
    const outcome = told.kind === 'told' ? told.method : final ? 'failed' : 'failed_for_now';
    this.metrics.counter('postern.upstream_revocations').add(1, { outcome });
    if (told.kind === 'told') this.logger.info('the provider was told', { ...connection, method: told.method });
    else this.logger.warn('the provider could not be told', { ...connection, error: told.error, final });
  }

  async #afterwards(state: Connection): Promise<Next> {
    const { tenantId, connectionId, authorization, upstreamRevocation } = state;
    if (authorization !== 'deleted' && authorization !== 'revoked') {
      // To end the old grant now would end the new one with it.
      this.logger.info('the provider is not told: the connection was authorized again', { tenantId, connectionId });
    }
    if (authorization === 'deleted' && !state.keyShredded && upstreamRevocation !== 'pending') {
      await this.secrets.shredKey(tenantId, connectionId);
      this.logger.info('the key of a deleted connection was shredded', { tenantId, connectionId });
    }
    return { kind: 'done' };
  }

  #later(untilMs: number): Next {
    return { kind: 'again', delayMs: Math.max(0, untilMs - this.clock.nowMs()) + retryDelayMs({ deliveries: 1 }) };
  }
}
