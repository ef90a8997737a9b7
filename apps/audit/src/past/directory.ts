import type { AdminAggregate } from '@postern/contracts';
import type { AdminState, Agent, Platform, Registration, Rollout, Tenant } from '@postern/domain';
import { aggregateOf, subjectOf, type Aggregate, type Loaded } from '@postern/event-log';

/** A tenant's part of ADMIN as it stood at a position, which nothing changes any more. */
export class Directory {
  readonly tenantId: string;
  readonly position: number;
  /** By subject. */
  readonly states: ReadonlyMap<string, Loaded<AdminState>>;

  constructor(tenantId: string, position: number, states: ReadonlyMap<string, Loaded<AdminState>>) {
    this.tenantId = tenantId;
    this.position = position;
    this.states = states;
  }

  tenant(): Tenant | undefined {
    return this.#one<Tenant>('tenant', this.tenantId);
  }

  platform(platformId: string): Platform | undefined {
    return this.#one<Platform>('platform', platformId);
  }

  agent(agentId: string): Agent | undefined {
    return this.#one<Agent>('agent', agentId);
  }

  registration(registrationId: string): Registration | undefined {
    return this.#one<Registration>('registration', registrationId);
  }

  rollout(providerId: string): Rollout | undefined {
    return this.#one<Rollout>('rollout', providerId);
  }

  /** In the order of their ids, which is that in which they were made. */
  agentsOf(platformId: string): Agent[] {
    const agents: Agent[] = [];
    for (const [subject, { state }] of this.states) {
      if (aggregateOf(subject)?.kind !== 'agent' || !state.exists) continue;
      if ((state as Agent).platformId === platformId) agents.push(state as Agent);
    }
    return agents.toSorted((one, other) => (one.agentId < other.agentId ? -1 : 1));
  }

  /** @returns undefined for what was not there. */
  stateOf(aggregate: Aggregate): AdminState | undefined {
    const state = this.states.get(subjectOf(aggregate))?.state;
    return state?.exists === true ? state : undefined;
  }

  #one<State extends AdminState>(kind: AdminAggregate, id: string): State | undefined {
    return this.stateOf({ tenantId: this.tenantId, kind, id }) as State | undefined;
  }
}
