import { setTimeout as delay } from 'node:timers/promises';

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
import { PastLogs, requireBeginning } from '../past/past-logs.ts';
import { AuditDatabase } from './audit-database.ts';
import { beginGeneration, generationsOf, setAsideOf, type Checkpoint, type SetAside } from './checkpoints.ts';
import { connectionsModel } from './connections-model.ts';
import { healthModel } from './health-model.ts';
import type { ReadModel } from './model.ts';
import { modelLimits } from './model-limits.ts';
import { removeAged } from './model-rows.ts';
import { notificationsModel } from './notifications-model.ts';
import { Projector } from './projector.ts';
import { busy, SideWork } from './side-work.ts';
import { Tenants } from './tenants.ts';

const models: readonly ReadModel[] = [connectionsModel, healthModel, notificationsModel, accessModel];

interface Kept {
  readonly projector: Projector;
  position: number;
  head: number;
  /** When its checkpoint was last compared with the log; by a clock that nobody sets back. */
  lookedAtMs: number;
  /** Up to which time aged rows were removed, of which generation; a process that begins does not know. */
  sweptUpTo: string;
  /** What was said last: a halt is told once, not once a look. */
  told: string | undefined;
  atWork: boolean;
}

/**
 * Keeps the read models at the log's end, each by itself, and makes them anew or compares them when somebody asks.
 *
 * They are for reading: nothing that decides looks at them, and `audit` answers from the log while they are away.
 */
@Injectable()
export class Projections implements OnServiceReady, OnApplicationShutdown {
  readonly #kept: ReadonlyMap<ModelName, Kept>;
  readonly #stopping = new AbortController();
  readonly #setAside: Counter;
  #running: Promise<unknown> | undefined;

  constructor(
    private readonly database: AuditDatabase,
    private readonly logs: EventLogs,
    /** Read in their place: a model begins with the log, not with what of it still stands. */
    private readonly past: PastLogs,
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
    this.#kept = new Map(
      models.map((model) => {
        const onSetAside = (generation: Checkpoint, one: SetAside) => this.#alarm(model.name, generation, one);
        const log = past[model.stream];
        const projector = new Projector({ model, database, log, reader, accessReader, keptMs, onSetAside });
        const kept: Kept = {
          projector,
          position: 0,
          head: 0,
          lookedAtMs: -Infinity,
          sweptUpTo: '',
          told: undefined,
          atWork: false,
        };
        return [model.name, kept];
      }),
    );
    if (!database.isConfigured) return;
    metrics.gauge('postern.audit.projection.behind', () =>
      [...this.#kept].map(([model, { head, position }]) => [{ model }, Math.max(0, head - position)] as const),
    );
  }

  onServiceReady(): void {
    if (!this.database.isConfigured) {
      this.logger.warn('no read models are kept: POSTERN_DATABASE_URL_FILE is not set');
      return;
    }
    this.#running = Promise.all([...this.#kept.values()].map((one) => this.#keep(one)));
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** How far each is. @throws {PosternError} `audit.database_unavailable`, `log.unavailable` */
  async list(): Promise<Projection[]> {
    const listed: Projection[] = [];
    for (const name of modelNames) listed.push(await this.#describe(this.#of(name)));
    return listed;
  }

  /** Up to where a model has read, and what it has not. */
  async asOf(model: ModelName): Promise<{ position: number; behind: number }> {
    const { projector } = this.#of(model);
    const [{ position }, head] = await Promise.all([
      projector.standing('live'),
      this.logs[projector.model.stream].head(),
    ]);
    return { position, behind: Math.max(0, head - position) };
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

  async #beside<T>(model: ModelName, work: (side: SideWork) => Promise<T>): Promise<T> {
    const kept = this.#of(model);
    if (kept.atWork) throw busy(model);
    kept.atWork = true;
    try {
      // Without what was dropped the log gives other rows: nothing is compared with those, or replaced by them.
      const { stream } = kept.projector.model;
      requireBeginning(stream, await this.past.floor(stream));
      const { projector } = kept;
      const common = { projector, database: this.database, nowMs: this.clock.nowMs(), signal: this.#stopping.signal };
      return await work(new SideWork({ ...common, tenants: await this.tenants.all() }));
    } finally {
      kept.atWork = false;
    }
  }

  /** Never rejects; ends with the service. */
  async #keep(kept: Kept): Promise<void> {
    const { signal } = this.#stopping;
    const { projector } = kept;
    const { name: model, stream } = projector.model;
    let begun = false;
    while (!signal.aborted) {
      let pauseMs: number = modelLimits.pollMs;
      try {
        if (!begun) await this.#begin(model);
        begun = true;
        kept.head = await this.logs[stream].head();
        if (kept.head !== kept.position || this.clock.monotonicMs() - kept.lookedAtMs >= modelLimits.lookMs) {
          const standing = await projector.catchUp('live', { signal });
          kept.position = standing.position;
          kept.lookedAtMs = this.clock.monotonicMs();
          await this.#sweep(kept, standing);
        }
        kept.told = undefined;
      } catch (error) {
        // Its tables may have been emptied: then it begins anew.
        begun = false;
        pauseMs = modelLimits.retryMs;
        this.#tell(kept, error);
      }
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Removes what has grown too old, a day of it at a time. Whoever compares does not look at it any more already. */
  async #sweep(kept: Kept, { generation, keptFromMs }: Checkpoint): Promise<void> {
    const { model } = kept.projector;
    const upTo = `${generation}/${keptFromMs}`;
    if (model.stream !== 'access' || kept.sweptUpTo === upTo) return;
    const [table] = model.tables;
    for (const tenantId of await this.tenants.all()) {
      const some = () =>
        this.database.acrossTenants((tx) => removeAged(tx, { table, generation, keptFromMs }, tenantId));
      while (await some()) this.#stopping.signal.throwIfAborted();
    }
    kept.sweptUpTo = upTo;
  }

  async #begin(model: ModelName): Promise<void> {
    await this.database.acrossTenants(async (transaction) => {
      const generations = await generationsOf(transaction, model);
      if (generations.some(({ role }) => role === 'live')) return;
      await beginGeneration(transaction, { model, role: 'live', nowMs: this.clock.nowMs() });
    });
  }

  #tell(kept: Kept, error: unknown): void {
    const model = kept.projector.model.name;
    const code = isPosternError(error) ? error.code : 'unexpected';
    // Another instance has gone on, or somebody has put another generation in its place: look again.
    if (this.#stopping.signal.aborted || code === 'audit.projection_superseded' || code === kept.told) return;
    kept.told = code;
    const passes = isPosternError(error) && error.row.retry === 'later';
    if (passes) this.logger.warn('a read model waits', { model, code, err: error });
    else this.logger.error('a read model is halted', { model, code, err: error });
  }

  #alarm(model: ModelName, { generation, role }: Checkpoint, { position, kind, reason }: SetAside): void {
    if (role === 'verifying') return;
    this.#setAside.add(1, { model, kind });
    this.logger.error('a message was set aside by a read model', { model, generation, position, kind, reason });
  }

  async #describe({ projector }: Kept): Promise<Projection> {
    const { name: model, stream } = projector.model;
    const limit = modelLimits.setAsideNamedMax;
    const { generations, aside } = await this.database.acrossTenants(async (transaction) => {
      const found = await generationsOf(transaction, model);
      const live = found.find(({ role }) => role === 'live')?.generation ?? 0;
      return { generations: found, aside: await setAsideOf(transaction, { model, generation: live, limit }) };
    });
    const head = await this.logs[stream].head();
    const live = generations.find(({ role }) => role === 'live');
    const behind = Math.max(0, head - (live?.position ?? 0));
    return {
      model,
      stream: streams[stream].name,
      head,
      behind,
      state: live !== undefined && (await isReplaced(projector, live)) ? 'halted' : behind === 0 ? 'current' : 'behind',
      generations: generations.map(({ sinceMs, keptFromMs, generation, role, position, messages }) => ({
        ...{ generation, role, position, messages },
        since: timestampOf(sinceMs),
        kept_from: keptFromMs > 0 ? timestampOf(keptFromMs) : null,
      })),
      set_aside: { count: aside.count, first: [...aside.ones] },
    };
  }

  #of(model: ModelName): Kept {
    const kept = this.#kept.get(model);
    if (kept === undefined) throw new Error(`no such model: ${model}`);
    return kept;
  }
}

async function isReplaced(projector: Projector, live: Checkpoint): Promise<boolean> {
  try {
    await projector.requireSameLog(live);
    return false;
  } catch (error) {
    if (isPosternError(error) && error.code === 'audit.log_replaced') return true;
    throw error;
  }
}
