import { setTimeout as delay } from 'node:timers/promises';

import { isPosternError } from '@postern/contracts';
import type { EventLog } from '@postern/event-log';
import type { Clock, Logger } from '@postern/service';

import { beginGeneration, generationsOf, type Checkpoint } from './checkpoints.ts';
import type { ReadModel } from './model.ts';
import { modelLimits } from './model-limits.ts';
import { removeAged } from './model-rows.ts';
import type { ModelDatabase, Projector, Standing, Walked } from './projector.ts';
import type { Tenants } from './tenants.ts';

export interface ModelKeeperOptions {
  /** All of one stream. */
  readonly models: readonly ReadModel[];
  readonly projector: Projector;
  readonly database: ModelDatabase;
  /** The stream as it stands, without what was archived and dropped. */
  readonly log: Pick<EventLog, 'head'>;
  readonly tenants: Tenants;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Times are by a clock that nobody sets back. */
interface Kept {
  readonly model: ReadModel;
  position: number;
  hasBegun: boolean;
  /** When its checkpoint was last compared with the log. */
  lookedAtMs: number;
  /** After a failure. */
  restsUntilMs: number;
  /** While it catches up by itself. */
  alone: Promise<void> | undefined;
  /** Up to which time aged rows were removed, of which generation; a process that begins does not know. */
  sweptUpTo: string;
  /** What was said last: a halt is told once, not once a look. */
  told: string | undefined;
}

/**
 * Keeps the live generations of one stream's models at its end.
 *
 * Those that stand at the same position walk together. Whoever is a little behind is brought to the others first; whoever
 * is far behind goes by itself until it is near, and whoever fails rests by itself: nobody waits for those.
 */
export class ModelKeeper {
  readonly #options: ModelKeeperOptions;
  readonly #kept: readonly Kept[];
  #head = 0;

  constructor(options: ModelKeeperOptions) {
    this.#options = options;
    this.#kept = options.models.map((model) => ({
      ...{ model, position: 0, hasBegun: false, lookedAtMs: -Infinity, restsUntilMs: -Infinity },
      ...{ alone: undefined, sweptUpTo: '', told: undefined },
    }));
  }

  /** How many positions each is behind the stream, as of its last look. */
  behind(): { readonly model: ReadModel; readonly behind: number }[] {
    return this.#kept.map(({ model, position }) => ({ model, behind: Math.max(0, this.#head - position) }));
  }

  /** Never rejects; ends with the signal. */
  async run(): Promise<void> {
    const { signal, clock, log } = this.#options;
    while (!signal.aborted) {
      const nowMs = clock.monotonicMs();
      const here = this.#kept.filter(({ alone, restsUntilMs }) => alone === undefined && restsUntilMs <= nowMs);
      try {
        this.#head = await log.head();
        const mayHaveMoved = ({ position, lookedAtMs }: Kept) =>
          position !== this.#head || nowMs - lookedAtMs >= modelLimits.lookMs;
        if (here.some(mayHaveMoved)) await this.#goOn(here);
        else for (const kept of here) kept.told = undefined;
      } catch (error) {
        for (const kept of here) this.#rest(kept, error);
      }
      await delay(modelLimits.pollMs, undefined, { signal }).catch(() => undefined);
    }
    for (const { alone } of this.#kept) await alone;
  }

  async #goOn(ones: readonly Kept[]): Promise<void> {
    const { projector, signal } = this.#options;
    const found = await Promise.all(ones.map(async (kept) => await this.#standing(kept)));
    const standings = found.filter((one) => one !== undefined);
    const front = Math.max(...standings.map(({ checkpoint }) => checkpoint.position));
    const together: Standing[] = [];
    for (const standing of standings) {
      const { position } = standing.checkpoint;
      if (position === front) together.push(standing);
      else if (front - position > modelLimits.batchMessagesMax) this.#sendAlone(standing);
      else {
        const walked = await projector.walk([standing], { untilPosition: front, signal });
        await this.#note(walked);
        together.push(...walked.standings.filter(({ checkpoint }) => checkpoint.position === front));
      }
    }
    if (together.length > 0) await this.#note(await projector.walk(together, { signal }));
  }

  #sendAlone(standing: Standing): void {
    const { projector, signal } = this.#options;
    const kept = this.#of(standing.model);
    const walk = async () => {
      try {
        await this.#note(await projector.walk([standing], { signal }));
      } catch (error) {
        this.#rest(kept, error);
      }
      kept.alone = undefined;
    };
    kept.alone = walk();
  }

  /** Where it stands, in the log that it was made of. */
  async #standing(kept: Kept): Promise<Standing | undefined> {
    const { projector } = this.#options;
    try {
      if (!kept.hasBegun) await this.#begin(kept.model);
      kept.hasBegun = true;
      const standing = await projector.standing(kept.model, 'live');
      await projector.requireSameLog(standing);
      return standing;
    } catch (error) {
      this.#rest(kept, error);
      return undefined;
    }
  }

  async #begin({ name: model }: ReadModel): Promise<void> {
    const { database, clock } = this.#options;
    await database.acrossTenants(async (transaction) => {
      const generations = await generationsOf(transaction, model);
      if (generations.some(({ role }) => role === 'live')) return;
      await beginGeneration(transaction, { model, role: 'live', nowMs: clock.nowMs() });
    });
  }

  async #note({ standings, failed }: Walked): Promise<void> {
    for (const { model, error } of failed) this.#rest(this.#of(model), error);
    for (const { model, checkpoint } of standings) {
      const kept = this.#of(model);
      kept.position = checkpoint.position;
      kept.lookedAtMs = this.#options.clock.monotonicMs();
      kept.told = undefined;
      await this.#sweep(kept, checkpoint);
    }
  }

  /** Removes what has grown too old, a day of it at a time. Whoever compares does not look at it any more already. */
  async #sweep(kept: Kept, { generation, keptFromMs }: Checkpoint): Promise<void> {
    const { model } = kept;
    const { database, tenants, signal } = this.#options;
    const upTo = `${generation}/${keptFromMs}`;
    if (model.stream !== 'access' || kept.sweptUpTo === upTo) return;
    const [table] = model.tables;
    for (const tenantId of await tenants.all()) {
      const some = () => database.acrossTenants((tx) => removeAged(tx, { table, generation, keptFromMs }, tenantId));
      while (await some()) signal.throwIfAborted();
    }
    kept.sweptUpTo = upTo;
  }

  #rest(kept: Kept, error: unknown): void {
    const { clock, logger, signal } = this.#options;
    const { name: model } = kept.model;
    // Its tables may have been emptied: then it begins anew.
    kept.hasBegun = false;
    kept.restsUntilMs = clock.monotonicMs() + modelLimits.retryMs;
    const code = isPosternError(error) ? error.code : 'unexpected';
    // Another instance has gone on, or somebody has put another generation in its place: look again.
    if (signal.aborted || code === 'audit.projection_superseded' || code === kept.told) return;
    kept.told = code;
    const passes = isPosternError(error) && error.row.retry === 'later';
    if (passes) logger.warn('a read model waits', { model, code, err: error });
    else logger.error('a read model is halted', { model, code, err: error });
  }

  #of(model: ReadModel): Kept {
    const kept = this.#kept.find((one) => one.model === model);
    if (kept === undefined) throw new Error(`no such model: ${model.name}`);
    return kept;
  }
}
