import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError, subjects, type AppName } from '@postern/contracts';
import {
  agentEvolver,
  platformEvolver,
  registrationEvolver,
  tenantEvolver,
  upcast,
  webhookEvolver,
  type Agent,
  type Platform,
  type Registration,
  type RegistrationEvent,
  type Tenant,
  type Webhook,
  type WebhookEvent,
} from '@postern/domain';
import { CommitReader, DirectoryFollower, Repository, StateView } from '@postern/event-log';
import { EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { vaultLimits } from './vault-limits.ts';

/** Who may lease, from ADMIN: tenants, platforms and agents in memory, registrations by asking the leader. */
@Injectable()
export class Directory implements OnServiceReady, OnApplicationShutdown {
  readonly #tenants: StateView<Tenant>;
  readonly #platforms: StateView<Platform>;
  readonly #agents: StateView<Agent>;
  readonly #registrations: Repository<Registration, RegistrationEvent>;
  readonly #webhooks: Repository<Webhook, WebhookEvent>;
  readonly #directory: DirectoryFollower;
  /** Who was found to be allowed since the last change of anything: agents, with their tenant and platform. */
  readonly #allowed = new Map<string, { readonly tenantId: string; readonly platformId: string }>();

  constructor(logs: EventLogs, reader: CommitReader, logger: Logger, readiness: ReadinessRegistry) {
    const log = logs.admin;
    this.#tenants = new StateView({ log, reader, evolver: tenantEvolver, upcast });
    this.#platforms = new StateView({ log, reader, evolver: platformEvolver, upcast });
    this.#agents = new StateView({ log, reader, evolver: agentEvolver, upcast });
    const asked = { log, reader, upcast, source: '/postern/vault' };
    this.#registrations = new Repository({ ...asked, evolver: registrationEvolver });
    this.#webhooks = new Repository({ ...asked, evolver: webhookEvolver });
    this.#directory = new DirectoryFollower({
      log,
      reader,
      filter: subjects.allAdmin,
      views: [this.#tenants, this.#platforms, this.#agents],
      onEntry: () => this.#allowed.clear(),
      onProblem: (problem) => {
        this.#allowed.clear();
        logger.error('a message on the admin log is not folded', { ...problem });
      },
      onFailure: (error) => logger.error('the admin feed has failed', { err: error }),
    });
    readiness.addFeed('directory', this.#directory);
  }

  /**
   * Refuses whoever may not lease at all: a disabled tenant, platform or agent, or an agent of another platform.
   *
   * @throws {PosternError} `vault.feed_stale`, `tenant.*`, `platform.*`, `agent.*`
   */
  requireAgent({ tenantId, platformId, agentId }: { tenantId: string; platformId: string; agentId: string }): void {
    if (!this.#directory.isFresh()) {
      throw new PosternError('vault.feed_stale', 'The admin log was not proved to be read to its end.');
    }
    const allowed = this.#allowed.get(agentId);
    if (allowed?.platformId === platformId && allowed.tenantId === tenantId) return;
    const tenant = this.#tenants.get({ tenantId, id: tenantId })?.state;
    if (tenant?.exists !== true) throw new PosternError('tenant.not_found', 'There is no such tenant.');
    if (tenant.disabled) throw new PosternError('tenant.disabled', 'The tenant is disabled.');
    const platform = this.#platforms.get({ tenantId, id: platformId })?.state;
    if (platform?.exists !== true) throw new PosternError('platform.not_found', 'There is no such platform.');
    if (platform.disabled) throw new PosternError('platform.disabled', 'The platform is disabled.');
    const agent = this.#agents.get({ tenantId, id: agentId })?.state;
    if (agent?.exists !== true || agent.platformId !== platformId) {
      throw new PosternError('agent.not_found', 'There is no such agent of this platform.');
    }
    if (agent.disabled) throw new PosternError('agent.disabled', 'The agent is disabled.');
    this.#allowed.set(agentId, { tenantId, platformId });
  }

  /** A client registration, as the leader has it. @throws {PosternError} `registration.not_found` */
  async registration(tenantId: string, registrationId: string): Promise<Registration> {
    const { state } = await this.#registrations.load({ tenantId, id: registrationId }, { fromLeader: true });
    if (state.exists) return state;
    throw new PosternError('registration.not_found', 'There is no such client registration.');
  }

  /**
   * A client registration through which this app may act. What was granted under one can still be revoked after its
   * end, and nothing else can be done with it.
   *
   * @throws {PosternError} `registration.not_found`, `registration.disabled`
   */
  async registrationFor(
    app: AppName,
    { tenantId, registrationId }: { tenantId: string; registrationId: string },
  ): Promise<Registration> {
    const registration = await this.registration(tenantId, registrationId);
    if (!registration.disabled || app === 'revocation') return registration;
    throw new PosternError('registration.disabled', 'The client registration is disabled.');
  }

  /** A tenant's webhook, as the leader has it. @throws {PosternError} `webhook.not_found` */
  async webhook(tenantId: string, webhookId: string): Promise<Webhook> {
    const { state } = await this.#webhooks.load({ tenantId, id: webhookId }, { fromLeader: true });
    if (state.exists) return state;
    throw new PosternError('webhook.not_found', 'There is no such webhook.');
  }

  /** Every tenant that is known. */
  tenantIds(): string[] {
    return [...this.#tenants.values()].map(({ state }) => state.tenantId);
  }

  async onServiceReady(): Promise<void> {
    await this.#directory.start();
    await this.#directory.ready({ timeoutMs: vaultLimits.feedReadyWaitMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#directory.stop();
  }
}
