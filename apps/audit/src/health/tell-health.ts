import { Injectable } from '@nestjs/common';
import {
  administratorToken,
  operations,
  PosternError,
  type ConnectionHealth,
  type ProviderHealth,
  type ReplyOf,
  type RequestOf,
} from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingApp, callingOwner, Clock, Serves } from '@postern/service';

import { Projections } from '../models/projections.ts';
import { Tenants } from '../models/tenants.ts';
import { ClockRulesOf } from './clock-rules.ts';
import type { HealthFacts } from './health-facts.ts';
import { healthOf } from './health-of.ts';
import { HealthRows } from './health-rows.ts';
import { ProviderRollUp } from './provider-roll-up.ts';

const pageDefault = 50;
/** Rows that a roll-up has in memory at a time. */
const readAtOnce = 1_000;
const neverUsed = Object.freeze({ lastUsedAtMs: null, refused: {} });

interface RollUpQuery {
  readonly tenantIds: readonly string[];
  readonly platformId: string | null;
  readonly providerId: string | null;
  readonly ofAll: boolean;
}

/**
 * Answers how connections and providers fare, from the read models: they may be a moment behind, say how far, and decide
 * nothing. A platform sees its own connections, an administrator a tenant's, or all.
 */
@Injectable()
export class TellHealth {
  constructor(
    private readonly rows: HealthRows,
    private readonly rules: ClockRulesOf,
    private readonly projections: Projections,
    private readonly tenants: Tenants,
    private readonly clock: Clock,
  ) {}

  @Serves(operations.connectionsHealth)
  async connections(
    request: RequestOf<typeof operations.connectionsHealth>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.connectionsHealth>> {
    const { state, limit = pageDefault } = request;
    const [connectionId, providerId] = [request.connection_id ?? null, request.provider ?? null];
    const { tenantId, platformId } = ownerOf(call);
    const asOf = await this.projections.asOf('health');
    const found: ConnectionHealth[] = [];
    let afterId = request.after ?? '';
    for (;;) {
      const query = { tenantId, platformId, providerId, connectionId, afterId, limit: limit + 1 };
      const facts = await this.rows.facts(query);
      for (const one of await this.#healthOfAll(tenantId, facts.slice(0, limit))) {
        if (state !== undefined && one.state !== state) continue;
        found.push(one);
        if (found.length === limit) {
          const isLast = facts.length <= limit && facts.at(-1)?.connectionId === one.connection_id;
          return { as_of: asOf, connections: found, next: isLast ? null : one.connection_id };
        }
      }
      if (facts.length <= limit) break;
      afterId = facts[limit - 1]?.connectionId ?? afterId;
    }
    if (connectionId !== null && found.length === 0 && state === undefined) {
      throw new PosternError('connection.not_found', 'There is no such connection, or it is not read yet.');
    }
    return { as_of: asOf, connections: found, next: null };
  }

  @Serves(operations.healthOverview)
  async overview(
    { provider }: RequestOf<typeof operations.healthOverview>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.healthOverview>> {
    const { tenantId, platformId } = ownerOf(call);
    const asOf = await this.projections.asOf('health');
    const providers = await this.#rollUp({
      tenantIds: [tenantId],
      platformId,
      providerId: provider ?? null,
      ofAll: false,
    });
    return { as_of: asOf, providers };
  }

  @Serves(operations.providersHealth)
  async providers(
    { provider }: RequestOf<typeof operations.providersHealth>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.providersHealth>> {
    callingApp(call, ['administrator']);
    const asOf = await this.projections.asOf('health');
    const tenantIds = await this.tenants.all();
    const query = { tenantIds, platformId: null, providerId: provider ?? null, ofAll: true };
    return { as_of: asOf, providers: await this.#rollUp(query) };
  }

  async #healthOfAll(tenantId: string, facts: readonly HealthFacts[]): Promise<ConnectionHealth[]> {
    const nowMs = this.clock.nowMs();
    const useOf = await this.rows.uses(tenantId, { connectionIds: facts.map((one) => one.connectionId), nowMs });
    const rulesOf = await this.rules.each(tenantId, facts);
    return facts.map((one) => healthOf(one, { use: useOf(one.connectionId), rules: rulesOf(one), nowMs }));
  }

  /** The provider that is in most trouble first. */
  async #rollUp({ tenantIds, platformId, providerId, ofAll }: RollUpQuery): Promise<ProviderHealth[]> {
    const nowMs = this.clock.nowMs();
    const rollUps = new Map<string, ProviderRollUp>();
    for (const tenantId of tenantIds) {
      for (let afterId = '', isMore = true; isMore;) {
        const query = { tenantId, platformId, providerId, connectionId: null, afterId, limit: readAtOnce };
        const facts = await this.rows.facts(query);
        const rulesOf = await this.rules.each(tenantId, facts);
        for (const one of facts) {
          const rollUp = rollUps.get(one.providerId) ?? new ProviderRollUp(one.providerId, nowMs);
          rollUps.set(one.providerId, rollUp);
          rollUp.add(one, healthOf(one, { use: neverUsed, rules: rulesOf(one), nowMs }), tenantId);
        }
        isMore = facts.length === readAtOnce;
        afterId = facts.at(-1)?.connectionId ?? '';
      }
    }
    const order = operations.healthOverview.reply.shape.providers.element.shape.state.options;
    return [...rollUps.values()]
      .map((one) => one.verdict({ ofAll }))
      .toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || (a.provider < b.provider ? -1 : 1));
  }
}

function ownerOf(call: Call): { readonly tenantId: string; readonly platformId: string | null } {
  const { tenantId, platformId } = callingOwner(call);
  return { tenantId, platformId: platformId === administratorToken ? null : platformId };
}
