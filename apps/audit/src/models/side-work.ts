import { setTimeout as delay } from 'node:timers/promises';

import {
  isPosternError,
  PosternError,
  type ModelName,
  type ProjectionRebuilt,
  type ProjectionVerified,
} from '@postern/contracts';
import type { CrossingTransaction, Row } from '@postern/persistence';

import {
  beginGeneration,
  forgetGeneration,
  generationsOf,
  lockedLive,
  setAsideDifference,
  setRole,
  type Checkpoint,
} from './checkpoints.ts';
import type { ReadModel } from './model.ts';
import { modelLimits } from './model-limits.ts';
import { firstDifference, removeRows } from './model-rows.ts';
import type { ModelDatabase, Projector } from './projector.ts';
import type { ModelTable } from './tables.ts';

export interface SideWorkOptions {
  readonly model: ReadModel;
  readonly projector: Projector;
  readonly database: ModelDatabase;
  readonly nowMs: number;
  readonly signal: AbortSignal;
  /** Tenants whose rows may stand there although the log that is read names them no more. */
  readonly tenants: readonly string[];
}

type Difference = ProjectionVerified['difference'];

/** Well below the time after which PostgreSQL ends a transaction that is idle. */
const heldBeatMs = 1_000;

/**
 * Work beside the live rows of one model: a second generation of it is folded from the log's start, while the live one is
 * read and goes on. In the end the live one is held still, the other reads up to where it stands, and then either takes
 * its place or is compared with it.
 */
export class SideWork {
  readonly #options: SideWorkOptions;
  readonly #model: ModelName;
  readonly #tenants: Set<string>;

  constructor(options: SideWorkOptions) {
    this.#options = options;
    this.#model = options.model.name;
    this.#tenants = new Set(options.tenants);
  }

  /**
   * Makes the model anew and puts it in the live one's place, in one transaction: whoever reads sees the old rows, then
   * the new.
   *
   * @effect Begun again it forgets an unfinished one. @throws {PosternError} as `Projector.catchUp`
   */
  async rebuild(): Promise<ProjectionRebuilt> {
    await this.#begin('building');
    await this.#catchUp('building');
    const built = await this.#options.database.acrossTenants(async (transaction) => {
      const live = await lockedLive(transaction, this.#model);
      // It has all that the live one had, or the log ends before that: then the live one is of another log.
      const building = await this.#held(transaction, () => this.#catchUp('building', live.position));
      await setRole(transaction, { model: this.#model, generation: live.generation, role: 'old' });
      await setRole(transaction, { model: this.#model, generation: building.generation, role: 'live' });
      return building;
    });
    await this.#removeOld();
    const { generation, position, messages } = built;
    return { model: this.#model, generation, position, messages };
  }

  /**
   * Folds the log once more and compares, up to the position at which the live rows stand.
   *
   * @throws {PosternError} as `Projector.catchUp`
   */
  async verify(): Promise<ProjectionVerified> {
    await this.#begin('verifying');
    await this.#catchUp(
      'verifying',
      (await this.#options.projector.standing(this.#options.model, 'live')).checkpoint.position,
    );
    const verified = await this.#options.database.acrossTenants(async (transaction) => {
      const live = await lockedLive(transaction, this.#model);
      const fresh = await this.#held(transaction, () => this.#catchUp('verifying', live.position));
      const difference = await this.#difference(transaction, live, fresh);
      await setRole(transaction, { model: this.#model, generation: fresh.generation, role: 'old' });
      const { position, messages } = live;
      return {
        model: this.#model,
        position,
        messages,
        tenants: this.#tenants.size,
        same: difference === null,
        difference,
      };
    });
    await this.#removeOld();
    return verified;
  }

  async #begin(role: 'building' | 'verifying'): Promise<void> {
    const { database, nowMs } = this.#options;
    await database.acrossTenants(async (transaction) => {
      const unfinished = (await generationsOf(transaction, this.#model)).find((one) => one.role === role);
      if (unfinished)
        await setRole(transaction, { model: this.#model, generation: unfinished.generation, role: 'old' });
      await beginGeneration(transaction, { model: this.#model, role, nowMs });
    });
  }

  /** What passes by itself ends no work of hours: it goes on from its checkpoint, unless it gets no further. */
  async #catchUp(role: 'building' | 'verifying', untilPosition?: number): Promise<Checkpoint> {
    const { model, projector, signal } = this.#options;
    const onTenant = (tenantId: string) => this.#tenants.add(tenantId);
    let reached = -1;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await projector.catchUp(model, role, { untilPosition, signal, onTenant });
      } catch (error) {
        if (!isPosternError(error) || error.row.retry !== 'later' || attempt >= modelLimits.attemptsMax) throw error;
        await delay(modelLimits.retryMs, undefined, { signal });
        const { checkpoint } = await projector.standing(model, role);
        if (checkpoint.position > reached) attempt = 0;
        reached = checkpoint.position;
      }
    }
  }

  /** Works elsewhere while a transaction holds what it holds. */
  async #held<T>(transaction: CrossingTransaction, work: () => Promise<T>): Promise<T> {
    const beat = () => void transaction.run({ name: 'held', text: 'select 1', values: [] }).catch(() => undefined);
    const timer = setInterval(beat, heldBeatMs);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  async #difference(transaction: CrossingTransaction, live: Checkpoint, fresh: Checkpoint): Promise<Difference> {
    const place = { tenant_id: null, live: String(live.position), fresh: String(fresh.position) };
    if (live.position !== fresh.position) return { table: 'projection', key: { model: this.#model }, ...place };
    // However many rows there are: nothing waits for this but the live model.
    await transaction.run({ name: 'unlimited', text: 'set local statement_timeout = 0', values: [] });
    const pair = [live.generation, fresh.generation] as const;
    const keptFromMs = Math.max(live.keptFromMs, fresh.keptFromMs);
    for (const table of this.#options.model.tables) {
      if (table === undefined) continue;
      for (const tenantId of [...this.#tenants].toSorted()) {
        const [[row] = []] = await transaction.inTenant(tenantId, [firstDifference(table, { pair, keptFromMs })]);
        if (row !== undefined) return differenceIn(table, tenantId, row);
      }
    }
    const aside = await setAsideDifference(transaction, this.#model, pair);
    return aside === undefined ? null : differenceIn({ name: 'set_aside', key: ['position'] }, null, aside);
  }

  /** Rows of generations that nobody reads any more, tenant by tenant. */
  async #removeOld(): Promise<void> {
    const { database, model, signal } = this.#options;
    const generations = await database.acrossTenants((tx) => generationsOf(tx, this.#model));
    for (const { generation, role } of generations) {
      if (role !== 'old') continue;
      for (const table of model.tables) {
        for (const tenantId of table === undefined ? [] : this.#tenants) {
          const remove = () =>
            database.acrossTenants((tx) => removeRows(tx, { table: table as ModelTable, generation }, tenantId));
          while (await remove()) signal.throwIfAborted();
        }
      }
      await database.acrossTenants((tx) => forgetGeneration(tx, { model: this.#model, generation }));
    }
  }
}

function differenceIn({ name, key }: Pick<ModelTable, 'name' | 'key'>, tenantId: string | null, row: Row): Difference {
  const textOrNull = (column: string) => {
    const value = row[column];
    return typeof value === 'string' ? value : null;
  };
  return {
    table: name,
    tenant_id: tenantId,
    key: Object.fromEntries(key.map((column) => [column, String(row[column])])),
    live: textOrNull('live'),
    fresh: textOrNull('fresh'),
  };
}

/** What another instance does with a model at the same time is its work; this one is told. */
export const busy = (model: ModelName) =>
  new PosternError('audit.projection_superseded', `The read model ${model} is being worked on here already.`);
