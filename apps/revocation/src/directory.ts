import { Injectable } from '@nestjs/common';
import { administratorToken, PosternError } from '@postern/contracts';
import {
  platformEvolver,
  registrationEvolver,
  rolloutEvolver,
  tenantEvolver,
  upcast,
  type Platform,
  type PlatformEvent,
  type Registration,
  type RegistrationEvent,
  type Rollout,
  type RolloutEvent,
  type Tenant,
  type TenantEvent,
} from '@postern/domain';
import { CommitReader, Repository } from '@postern/event-log';
import { EventLogs, type CallingOwner } from '@postern/service';

/** Tenants, platforms and client registrations, asked of the leader of ADMIN: commands are few. */
@Injectable()
export class Directory {
  readonly #tenants: Repository<Tenant, TenantEvent>;
  readonly #platforms: Repository<Platform, PlatformEvent>;
  readonly #registrations: Repository<Registration, RegistrationEvent>;
  readonly #rollouts: Repository<Rollout, RolloutEvent>;

  constructor(logs: EventLogs, reader: CommitReader) {
    const source = { log: logs.admin, reader, upcast, source: '/postern/revocation' };
    this.#tenants = new Repository({ ...source, evolver: tenantEvolver });
    this.#platforms = new Repository({ ...source, evolver: platformEvolver });
    this.#registrations = new Repository({ ...source, evolver: registrationEvolver });
    this.#rollouts = new Repository({ ...source, evolver: rolloutEvolver });
  }

  /**
   * Refuses a platform that was disabled, maybe because its credentials were stolen; an administrator may always act.
   *
   * @throws {PosternError} `tenant.not_found`, `tenant.disabled`, `platform.not_found`, `platform.disabled`
   */
  async requireActive({ tenantId, platformId }: CallingOwner): Promise<void> {
    if (platformId === administratorToken) return;
    const [tenant, platform] = await Promise.all([
      this.#tenants.load({ tenantId, id: tenantId }, { fromLeader: true }),
      this.#platforms.load({ tenantId, id: platformId }, { fromLeader: true }),
    ]);
    if (!tenant.state.exists) throw new PosternError('tenant.not_found', 'There is no such tenant.');
    if (tenant.state.disabled) throw new PosternError('tenant.disabled', 'The tenant is disabled.');
    if (!platform.state.exists) throw new PosternError('platform.not_found', 'There is no such platform.');
    if (platform.state.disabled) throw new PosternError('platform.disabled', 'The platform is disabled.');
  }

  /** Disabled or not: what was granted under a registration can still be revoked. @throws `registration.not_found` */
  async registration(tenantId: string, registrationId: string): Promise<Registration> {
    const { state } = await this.#registrations.load({ tenantId, id: registrationId }, { fromLeader: true });
    if (state.exists) return state;
    throw new PosternError('registration.not_found', 'There is no such client registration.');
  }
  /** What the tenant decided about the versions of a provider's file; nothing, where it never did. */
  async rollout(tenantId: string, providerId: string): Promise<Rollout> {
    return (await this.#rollouts.load({ tenantId, id: providerId }, { fromLeader: true })).state;
  }
}
