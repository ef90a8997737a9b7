import type { AggregateKind, ConnectionEvent } from '@postern/contracts';

import { administratorEvolver, type Administrator, type AdministratorEvent } from './administrator/administrator.ts';
import { agentEvolver, type Agent, type AgentEvent } from './agent/agent.ts';
import { approvalEvolver, type Approval, type ApprovalEvent } from './approval/approval.ts';
import { bridgeEvolver, type Bridge, type BridgeEvent } from './bridge/bridge.ts';
import { connectionEvolver } from './connection/evolve.ts';
import type { Connection } from './connection/state.ts';
import type { Evolver } from './evolver.ts';
import { governanceEvolver, type Governance, type GovernanceEvent } from './governance/governance.ts';
import { platformEvolver, type Platform, type PlatformEvent } from './platform/platform.ts';
import { registrationEvolver, type Registration, type RegistrationEvent } from './registration/registration.ts';
import { rolloutEvolver, type Rollout, type RolloutEvent } from './rollout/rollout.ts';
import { tenantEvolver, type Tenant, type TenantEvent } from './tenant/tenant.ts';
import { transmitterEvolver, type Transmitter, type TransmitterEvent } from './transmitter/transmitter.ts';
import { webhookEvolver, type Webhook, type WebhookEvent } from './webhook/webhook.ts';

/** State and events of each kind of aggregate. */
export interface Aggregates {
  connection: { state: Connection; event: ConnectionEvent };
  tenant: { state: Tenant; event: TenantEvent };
  platform: { state: Platform; event: PlatformEvent };
  agent: { state: Agent; event: AgentEvent };
  administrator: { state: Administrator; event: AdministratorEvent };
  registration: { state: Registration; event: RegistrationEvent };
  transmitter: { state: Transmitter; event: TransmitterEvent };
  bridge: { state: Bridge; event: BridgeEvent };
  rollout: { state: Rollout; event: RolloutEvent };
  governance: { state: Governance; event: GovernanceEvent };
  approval: { state: Approval; event: ApprovalEvent };
  webhook: { state: Webhook; event: WebhookEvent };
}

type EvolverFor<K extends AggregateKind> = Evolver<Aggregates[K]['state'], Aggregates[K]['event']>;

const evolvers: { readonly [K in AggregateKind]: EvolverFor<K> } = Object.freeze({
  connection: connectionEvolver,
  tenant: tenantEvolver,
  platform: platformEvolver,
  agent: agentEvolver,
  administrator: administratorEvolver,
  registration: registrationEvolver,
  transmitter: transmitterEvolver,
  bridge: bridgeEvolver,
  rollout: rolloutEvolver,
  governance: governanceEvolver,
  approval: approvalEvolver,
  webhook: webhookEvolver,
});

/** The evolver of a kind of aggregate: for whoever replays any subject, as audit does. */
export function evolverOf<K extends AggregateKind>(kind: K): EvolverFor<K> {
  return evolvers[kind];
}
