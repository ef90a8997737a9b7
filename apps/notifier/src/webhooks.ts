import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError, subjects } from '@postern/contracts';
import { hears, tenantEvolver, upcast, webhookEvolver, type Tenant, type Webhook } from '@postern/domain';
import { CommitReader, DirectoryFollower, StateView } from '@postern/event-log';
import { EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { notifierLimits } from './notifier-limits.ts';

export interface WebhookRef {
  readonly tenantId: string;
  readonly webhookId: string;
}

/** The webhooks of every tenant, from ADMIN. */
@Injectable()
export class Webhooks implements OnServiceReady, OnApplicationShutdown {
  readonly #tenants: StateView<Tenant>;
  readonly #webhooks: StateView<Webhook>;
  readonly #idsOf = new Map<string, Set<string>>();
  readonly #directory: DirectoryFollower;
  #begun: Promise<void> | undefined;

  constructor(logs: EventLogs, reader: CommitReader, logger: Logger, readiness: ReadinessRegistry) {
    const log = logs.admin;
    this.#tenants = new StateView({ log, reader, evolver: tenantEvolver as never, upcast });
    this.#webhooks = new StateView({ log, reader, evolver: webhookEvolver as never, upcast });
    this.#directory = new DirectoryFollower({
      log,
      reader,
      filter: subjects.allAdmin,
      views: [this.#tenants, this.#webhooks],
      onEntry: ({ commit: { aggregate, tenantId, aggregateId } }) => {
        if (aggregate !== 'webhook') return;
        this.#idsOf.set(tenantId, (this.#idsOf.get(tenantId) ?? new Set()).add(aggregateId));
      },
      onProblem: (problem) => logger.error('a message on the admin log is not folded', { ...problem }),
      onFailure: (error) => logger.error('the admin feed has failed', { err: error }),
    });
    readiness.add('webhooks', () => (this.#directory.isFresh() ? true : 'the feed is not proved fresh'));
  }

  /** Tenants that ever had a webhook. */
  tenantIds(): string[] {
    return [...this.#idsOf.keys()];
  }

  /**
   * Those of a tenant that ask for this type, and can be told: none of a disabled tenant.
   *
   * @throws {PosternError} `service.not_ready` while the feed is stale: somebody might be left out.
   */
  listening(tenantId: string, type: string): Webhook[] {
    if (!this.#directory.isFresh()) {
      throw new PosternError('service.not_ready', 'The admin log was not proved to be read to its end.');
    }
    if (!this.#isActive(tenantId)) return [];
    return [...(this.#idsOf.get(tenantId) ?? [])]
      .map((webhookId) => this.#state({ tenantId, webhookId }))
      .filter((webhook) => webhook !== undefined)
      .filter((webhook) => hears(webhook, type));
  }

  /** @returns undefined for one that is not there, was disabled, or whose tenant was. */
  active(ref: WebhookRef): Webhook | undefined {
    const webhook = this.#state(ref);
    return webhook?.disabled === false && this.#isActive(ref.tenantId) ? webhook : undefined;
  }

  /**
   * One that is told something now, read to the end of ADMIN.
   *
   * @throws {PosternError} `webhook.not_found`, `webhook.disabled`, `tenant.disabled`, `bus.timeout`
   */
  async require(ref: WebhookRef): Promise<Webhook> {
    await this.#directory.ready({ timeoutMs: notifierLimits.feedReadyWaitMs });
    const webhook = this.#state(ref);
    if (webhook === undefined) throw new PosternError('webhook.not_found', 'There is no such webhook.');
    if (webhook.disabled) throw new PosternError('webhook.disabled', 'The webhook is disabled.');
    if (!this.#isActive(ref.tenantId)) throw new PosternError('tenant.disabled', 'The tenant is disabled.');
    return webhook;
  }

  /** Once for all who wait for it: whoever stands on the webhooks begins after them. */
  async onServiceReady(): Promise<void> {
    this.#begun ??= this.#directory
      .start()
      .then(async () => await this.#directory.ready({ timeoutMs: notifierLimits.feedReadyWaitMs }));
    await this.#begun;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#directory.stop();
  }

  #isActive(tenantId: string): boolean {
    return this.#tenants.get({ tenantId, id: tenantId })?.state.disabled === false;
  }

  #state({ tenantId, webhookId }: WebhookRef): Webhook | undefined {
    const state = this.#webhooks.get({ tenantId, id: webhookId })?.state;
    return state?.exists === true ? state : undefined;
  }
}
