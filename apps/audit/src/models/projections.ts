import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import {
  isPosternError,
  modelNames,
  streams,
  timestampOf,
  type ModelName,
  type Projection,
  type ProjectionRebuilt,
  type ProjectionVerified,
} from '@postern/contracts';
import { AccessReader, CommitReader } from '@postern/event-log';
import { Clock, EventLogs, Logger, Metrics, Trust, type Counter, type OnServiceReady } from '@postern/service';

import { accessModel, dayMs } from './access-model.ts';
import { AuditConfig } from '../audit-config.ts';
import { FollowedLogs } from '../past/followed-logs.ts';
import { PastLogs, requireBeginning } from '../past/past-logs.ts';
import { AuditDatabase } from './audit-database.ts';
import { generationsOf, setAsideOf, type SetAside } from './checkpoints.ts';
import { connectionsModel } from './connections-model.ts';
import { healthModel } from './health-model.ts';
import type { ReadModel } from './model.ts';
import { modelLimits } from './model-limits.ts';
import { ModelKeeper } from './model-keeper.ts';
import { notificationsModel } from './notifications-model.ts';
import { Projector, type Standing } from './projector.ts';
import { busy, SideWork } from './side-work.ts';
import { Tenants } from './tenants.ts';

const models: readonly ReadModel[] = [connectionsModel, healthModel, notificationsModel, accessModel];

/** What is read together stands together: the models of each stream. */
const modelStreams = ['connections', 'access'] as const;
type ModelStream = (typeof modelStreams)[number];

/**
 * Keeps the read models at the log's end, and makes them anew or compares them when somebody asks.
 *
 * They are for reading: nothing that decides looks at them, and `audit` answers from the log while they are away.
 */
@Injectable()
export class Projections implements OnServiceReady, OnApplicationShutdown {
  readonly #projectors: Readonly<Record<ModelStream, Projector>>;
  readonly #keepers: readonly ModelKeeper[];
  readonly #atWork = new Set<ModelName>();
  readonly #stopping = new AbortController();
  readonly #setAside: Counter;
  #running: Promise<unknown> | undefined;

  constructor(
    private readonly database: AuditDatabase,
    private readonly logs: EventLogs,
    private readonly past: PastLogs,
    followed: FollowedLogs,
    config: AuditConfig,
    private readonly tenants: Tenants,
    private readonly clock: Clock,
    private readonly logger: Logger,
    reader: CommitReader,
    trust: Trust,
    metrics: Metrics,
  ) {
    this.#setAside = metrics.counter('postern.audit.projection.set_aside');
    const accessReader = new AccessReader({ verifier: trust.verifier });
    const keptMs = config.accessKeptDays * dayMs;
    const onSetAside = (standing: Standing, one: SetAside) => this.#alarm(standing, one);
    const common = { database, reader, accessReader, keptMs, onSetAside };
    // A model begins with the log, not with what of it still stands.
    const projectorOf = (stream: ModelStream) => new Projector({ ...common, stream, log: followed.whole[stream] });
    this.#projectors = { connections: projectorOf('connections'), access: projectorOf('access') };
    this.#keepers = modelStreams.map((stream) => {
      const ones = models.filter((model) => model.stream === stream);
      const work = { models: ones, projector: this.#projectors[stream], log: logs[stream] };
      return new ModelKeeper({ ...work, database, tenants, clock, logger, signal: this.#stopping.signal });
    });
    if (!database.isConfigured) return;
    metrics.gauge('postern.audit.projection.behind', () =>
      this.#keepers.flatMap((keeper) =>
        keeper.behind().map(({ model: { name }, behind }) => [{ model: name }, behind] as const),
      ),
    );
  }

  onServiceReady(): void {
    if (!this.database.isConfigured) {
      this.logger.warn('no read models are kept: POSTERN_DATABASE_URL_FILE is not set');
      return;
    }
    this.#running = Promise.all(this.#keepers.map(async (keeper) => await keeper.run()));
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** How far each is. @throws {PosternError} `audit.database_unavailable`, `log.unavailable` */
  async list(): Promise<Projection[]> {
    const listed: Projection[] = [];
    for (const name of modelNames) listed.push(await this.#describe(modelOf(name)));
    return listed;
  }

  /** Up to where a model has read, and what it has not. */
  async asOf(model: ModelName): Promise<{ position: number; behind: number }> {
    const found = modelOf(model);
    const [{ checkpoint }, head] = await Promise.all([
      this.#projectors[found.stream].standing(found, 'live'),
      this.logs[found.stream].head(),
    ]);
    return { position: checkpoint.position, behind: Math.max(0, head - checkpoint.position) };
  }

  /**
   * @throws {PosternError} `audit.projection_superseded` while this instance works on it; `audit.past_not_here` where the
   *   log's beginning was dropped and its archive is not known; as `SideWork`
   */
  async rebuild(model: ModelName): Promise<ProjectionRebuilt> {
    const rebuilt = await this.#beside(model, (work) => work.rebuild());
    this.logger.info('read model rebuilt', rebuilt);
    return rebuilt;
  }

  /** @throws {PosternError} as `rebuild` */
  async verify(model: ModelName): Promise<ProjectionVerified> {
    const verified = await this.#beside(model, (work) => work.verify());
    const { same, difference, position } = verified;
    if (!same)
      this.logger.error('a read model is not what the log gives', { model, position, table: difference?.table });
    return verified;
  }

  async #beside<T>(name: ModelName, work: (side: SideWork) => Promise<T>): Promise<T> {
    if (this.#atWork.has(name)) throw busy(name);
    this.#atWork.add(name);
    try {
      // Without what was dropped the log gives other rows: nothing is compared with those, or replaced by them.
      const model = modelOf(name);
      requireBeginning(model.stream, await this.past.floor(model.stream));
      const of = { model, projector: this.#projectors[model.stream], tenants: await this.tenants.all() };
      const common = { database: this.database, nowMs: this.clock.nowMs(), signal: this.#stopping.signal };
      return await work(new SideWork({ ...of, ...common }));
    } finally {
      this.#atWork.delete(name);
    }
  }

  #alarm({ model: { name: model }, checkpoint: { generation, role } }: Standing, one: SetAside): void {
    if (role === 'verifying') return;
    const { position, kind, reason } = one;
    this.#setAside.add(1, { model, kind });
    this.logger.error('a message was set aside by a read model', { model, generation, position, kind, reason });
  }

  async #describe(described: ReadModel): Promise<Projection> {
    const { name: model, stream } = described;
    const limit = modelLimits.setAsideNamedMax;
    const { generations, aside } = await this.database.acrossTenants(async (transaction) => {
      const found = await generationsOf(transaction, model);
      const live = found.find(({ role }) => role === 'live')?.generation ?? 0;
      return { generations: found, aside: await setAsideOf(transaction, { model, generation: live, limit }) };
    });
    const head = await this.logs[stream].head();
    const live = generations.find(({ role }) => role === 'live');
    const behind = Math.max(0, head - (live?.position ?? 0));
    const standing = live && { model: described, checkpoint: live };
    const isHalted = standing !== undefined && (await isReplaced(this.#projectors[stream], standing));
    return {
      model,
      stream: streams[stream].name,
      head,
      behind,
      state: isHalted ? 'halted' : behind === 0 ? 'current' : 'behind',
      generations: generations.map(({ sinceMs, keptFromMs, generation, role, position, messages }) => ({
        ...{ generation, role, position, messages },
        since: timestampOf(sinceMs),
        kept_from: keptFromMs > 0 ? timestampOf(keptFromMs) : null,
      })),
      set_aside: { count: aside.count, first: [...aside.ones] },
    };
  }
}

function modelOf(name: ModelName): ReadModel {
  const model = models.find((one) => one.name === name);
  if (model === undefined) throw new Error(`no such model: ${name}`);
  return model;
}

async function isReplaced(projector: Projector, live: Standing): Promise<boolean> {
  try {
    await projector.requireSameLog(live);
    return false;
  } catch (error) {
    if (isPosternError(error) && error.code === 'audit.log_replaced') return true;
    throw error;
  }
}
