import { Clock, Logger } from '@postern/service';

import type { World } from './world.ts';

/** What a dead process waits for. */
// oxlint-disable-next-line promise/avoid-new -- nothing ever settles it
const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

/** The clocks of one process: the wall is wrong by what it is wrong, the other one only goes forward from its own zero. */
class ProcessClock extends Clock {
  readonly #process: SimProcess;
  readonly #bootedAtMs: number;

  constructor(process: SimProcess) {
    super();
    this.#process = process;
    this.#bootedAtMs = process.world.nowMs;
  }

  override nowMs(): number {
    return this.#process.world.nowMs + this.#process.skewMs;
  }

  override monotonicMs(): number {
    return this.#process.world.nowMs - this.#bootedAtMs;
  }

  override random(): number {
    return this.#process.world.random.next();
  }

  override after(ms: number, run: () => void): () => void {
    return this.#process.world.timeline.after(ms, () => {
      if (this.#process.alive) run();
    });
  }
}

type Said = Readonly<{ connectionId?: string; code?: string; error?: string }>;

/** Says what the product's classes log as lines of the trace; not what they only say when asked for every detail. */
function traceLogger({ world, name }: SimProcess): Logger {
  const say = (message: string, { connectionId = '', code, error }: Said = {}) => {
    const why = code ?? error;
    world.trace(connectionId, `${name}: ${message}${why === undefined ? '' : ` (${why})`}`);
  };
  return { debug: () => undefined, info: say, warn: say, error: say } as unknown as Logger;
}

/** One life of a process: what it began stops where it stands when it dies, and its memory is gone. */
export class SimProcess {
  readonly world: World;
  readonly name: string;
  /** How wrong its wall clock is. */
  readonly skewMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  alive = true;
  readonly #onDeath: () => void;

  constructor(world: World, { name, skewMs, onDeath }: { name: string; skewMs: number; onDeath: () => void }) {
    this.world = world;
    this.name = name;
    this.skewMs = skewMs;
    this.#onDeath = onDeath;
    this.clock = new ProcessClock(this);
    this.logger = traceLogger(this);
  }

  die(where: string): void {
    if (!this.alive) return;
    this.alive = false;
    this.world.trace('', `${this.name} dies at ${where}`);
    this.#onDeath();
  }

  /**
   * A step out of the process or into it: it takes a while, and here it may die or stand still. Between two of these
   * nothing is done that anybody else could see, so that dying here is dying at every await.
   */
  async cross(where: string, ms = this.world.random.between(1, 4)): Promise<void> {
    if (this.alive && this.world.strikes('crash')) this.die(where);
    if (!this.alive) return await never();
    const stalledMs = this.world.strikes('stall') ? this.world.random.between(1_000, 30_000) : 0;
    await this.world.timeline.sleep(ms + stalledMs);
    if (!this.alive) await never();
  }

  /** Something that is done elsewhere, and its answer. */
  async reach<T>(where: string, effect: () => Promise<T> | T): Promise<T> {
    await this.cross(`${where} →`);
    let answer: () => T;
    try {
      const value = await effect();
      answer = () => value;
    } catch (error) {
      answer = () => {
        throw error;
      };
    }
    await this.cross(`← ${where}`);
    return answer();
  }
}
