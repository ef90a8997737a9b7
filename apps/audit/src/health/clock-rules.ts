import { Injectable } from '@nestjs/common';
import { rolloutEvolver, upcast, versionInUse, type Rollout, type RolloutEvent } from '@postern/domain';
import { CommitReader, Repository } from '@postern/event-log';
import { loadCatalog, providerAt } from '@postern/provider-catalog';
import { EventLogs } from '@postern/service';

import type { ClockRules, HealthFacts } from './health-facts.ts';

type Whose = Pick<HealthFacts, 'connectionId' | 'registrationId' | 'providerId' | 'fileVersion'>;

const noRules: ClockRules = Object.freeze({ idleTtlS: null, absoluteTtlS: null });

/** What ends by a provider's rules, by the version of its file that each connection uses. */
@Injectable()
export class ClockRulesOf {
  readonly #catalog = loadCatalog();
  readonly #rollouts: Pick<Repository<Rollout, RolloutEvent>, 'load'>;

  constructor(logs: EventLogs, reader: CommitReader) {
    this.#rollouts = new Repository({
      ...{ log: logs.admin, reader, upcast, source: '/postern/audit' },
      evolver: rolloutEvolver,
    });
  }

  /** Of a tenant's connections. @throws {PosternError} `log.*` */
  async each(tenantId: string, connections: readonly Whose[]): Promise<(one: Whose) => ClockRules> {
    const known = new Set(connections.map(({ providerId }) => providerId).filter((id) => this.#catalog.has(id)));
    const rollouts = new Map<string, Rollout>();
    for (const id of known) rollouts.set(id, (await this.#rollouts.load({ tenantId, id })).state);
    return ({ providerId, connectionId, registrationId, fileVersion: pinned }) => {
      if (!known.has(providerId)) return noRules;
      const version = versionInUse({ connectionId, registrationId, pinned }, rollouts.get(providerId));
      return providerAt(this.#catalog, providerId, version).refresh;
    };
  }
}
