import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isId, PosternError, subjects } from '@postern/contracts';
import {
  approvalEvolver,
  governanceEvolver,
  platformEvolver,
  registrationEvolver,
  rolloutEvolver,
  tenantEvolver,
  upcast,
  type Approval,
  type Governance,
  type Platform,
  type Registration,
  type Rollout,
  type Tenant,
} from '@postern/domain';
import { CommitReader, DirectoryFollower, StateView } from '@postern/event-log';
import { EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { authorizationLimits } from '../authorization-limits.ts';

/** A client registration with the tenant it belongs to. */
export interface RegistrationQuery {
  readonly tenantId: string;
  readonly registrationId?: string | undefined;
  readonly providerId?: string | undefined;
}

/** Tenants, platforms and client registrations, from ADMIN, in memory. */
@Injectable()
export class Directory implements OnServiceReady, OnApplicationShutdown {
  readonly #tenants: StateView<Tenant>;
  readonly #platforms: StateView<Platform>;
  readonly #registrations: StateView<Registration>;
  readonly #rollouts: StateView<Rollout>;
  readonly #governances: StateView<Governance>;
  readonly #approvals: StateView<Approval>;
  readonly #directory: DirectoryFollower;

  constructor(logs: EventLogs, reader: CommitReader, logger: Logger, readiness: ReadinessRegistry) {
    const source = { log: logs.admin, reader, upcast };
    this.#tenants = new StateView({ ...source, evolver: tenantEvolver });
    this.#platforms = new StateView({ ...source, evolver: platformEvolver });
    this.#registrations = new StateView({ ...source, evolver: registrationEvolver });
    this.#rollouts = new StateView({ ...source, evolver: rolloutEvolver });
    this.#governances = new StateView({ ...source, evolver: governanceEvolver });
    this.#approvals = new StateView({ ...source, evolver: approvalEvolver });
    this.#directory = new DirectoryFollower({
      log: logs.admin,
      reader,
      filter: subjects.allAdmin,
      views: [
        ...[this.#tenants, this.#platforms, this.#registrations, this.#rollouts],
        ...[this.#governances, this.#approvals],
      ],
      onProblem: (problem) => logger.error('a message on the admin log is not folded', { ...problem }),
      onFailure: (error) => logger.error('the admin feed has failed', { err: error }),
    });
    readiness.addFeed('directory', this.#directory);
  }

  /**
   * A platform that may act.
   *
   * @throws {PosternError} `tenant.*`, `platform.*`, `service.not_ready` while the feed is stale
   */
  async activePlatform({ tenantId, platformId }: { tenantId: string; platformId: string }): Promise<Platform> {
    const platform = await this.#known(() => this.#platforms.get({ tenantId, id: platformId })?.state);
    await this.#activeTenant(tenantId);
    if (platform === undefined) throw new PosternError('platform.not_found', 'There is no such platform.');
    if (platform.disabled) throw new PosternError('platform.disabled', 'The platform is disabled.');
    return platform;
  }

  /**
   * A client registration of the tenant that may be used; by its id, or as the only one for a provider.
   *
   * @throws {PosternError} `registration.not_found` also for another tenant's, `registration.disabled`,
   *   `request.malformed` when the question does not name exactly one, `service.not_ready`
   */
  async activeRegistration({ tenantId, registrationId, providerId }: RegistrationQuery): Promise<Registration> {
    if (registrationId === undefined) return this.#onlyRegistrationAt(tenantId, providerId);
    const registration = await this.#known(() =>
      isId('registration', registrationId)
        ? this.#registrations.get({ tenantId, id: registrationId })?.state
        : undefined,
    );
    if (registration === undefined || (providerId !== undefined && registration.providerId !== providerId)) {
      throw new PosternError('registration.not_found', 'There is no such client registration.');
    }
    if (registration.disabled) throw new PosternError('registration.disabled', 'The client registration is disabled.');
    return registration;
  }

  /** The name under which a tenant's clients present themselves. @throws {PosternError} `tenant.not_found`, `tenant.disabled` */
  async tenantName(tenantId: string): Promise<string> {
    return (await this.#activeTenant(tenantId)).name;
  }

  /** A registration that may be used, by its id alone; undefined where there is none, or where its tenant is disabled. */
  async publicRegistration(
    registrationId: string,
  ): Promise<{ readonly registration: Registration; readonly tenantName: string } | undefined> {
    const registration = await this.#known(
      () => [...this.#registrations.values()].find(({ state }) => state.registrationId === registrationId)?.state,
    );
    if (registration === undefined || registration.disabled) return undefined;
    const tenant = this.#tenants.get({ tenantId: registration.tenantId, id: registration.tenantId })?.state;
    if (tenant === undefined || tenant.disabled) return undefined;
    return { registration, tenantName: tenant.name };
  }

  /** What the tenant decided about the versions of a provider's file, as far as it was read; undefined: nothing. */
  rollout(tenantId: string, providerId: string): Rollout | undefined {
    return this.#rollouts.get({ tenantId, id: providerId })?.state;
  }

  /** Who signs for the tenant, and its policy, as far as it was read; undefined while nobody does. */
  governance(tenantId: string): Governance | undefined {
    return this.#governances.get({ tenantId, id: tenantId })?.state;
  }

  /** What the tenant may use at a provider; undefined where nobody ever asked. @throws {PosternError} `service.not_ready` */
  async approval(tenantId: string, providerId: string): Promise<Approval | undefined> {
    return await this.#known(() => this.#approvals.get({ tenantId, id: providerId })?.state);
  }

  async onServiceReady(): Promise<void> {
    await this.#directory.start();
    await this.#directory.ready({ timeoutMs: authorizationLimits.feedReadyWaitMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#directory.stop();
  }

  async #activeTenant(tenantId: string): Promise<Tenant> {
    const tenant = await this.#known(() => this.#tenants.get({ tenantId, id: tenantId })?.state);
    if (tenant === undefined) throw new PosternError('tenant.not_found', 'There is no such tenant.');
    if (tenant.disabled) throw new PosternError('tenant.disabled', 'The tenant is disabled.');
    return tenant;
  }

  async #onlyRegistrationAt(tenantId: string, providerId: string | undefined): Promise<Registration> {
    if (providerId === undefined) {
      throw new PosternError('request.malformed', 'Either registration_id or provider must be given.');
    }
    const found = () => [...this.#registrations.values()].map(({ state }) => state).filter(fits);
    const fits = (state: Registration) =>
      state.exists && !state.disabled && state.tenantId === tenantId && state.providerId === providerId;
    const registrations = await this.#known(() => (found().length > 0 ? found() : undefined));
    const [only, ...others] = registrations ?? [];
    if (only === undefined) {
      throw new PosternError('registration.not_found', 'The tenant has no client registration at this provider.');
    }
    if (others.length > 0) {
      throw new PosternError('request.malformed', 'The tenant has several client registrations there; name one.');
    }
    return only;
  }

  /** What is not known yet may have been written a moment ago: looked up again at the end of the log. */
  async #known<T>(look: () => T | undefined): Promise<T | undefined> {
    if (!this.#directory.isFresh()) {
      throw new PosternError('service.not_ready', 'The admin log was not proved to be read to its end.');
    }
    const known = look();
    if (known !== undefined) return known;
    await this.#directory.ready({ timeoutMs: authorizationLimits.catchUpWaitMs });
    return look();
  }
}
