import type { ManagedProcess } from '@postern/servers';

/** Instances of one service that have heard of the shots: one to be hit, and one that starts meanwhile. */
export class ArmedProcesses {
  readonly #start: () => Promise<ManagedProcess>;
  readonly #alive = new Set<Promise<ManagedProcess>>();

  constructor(start: () => Promise<ManagedProcess>) {
    this.#start = start;
  }

  /** @param readyMin how many must be ready; two, where one has to go on with what another leaves behind */
  async ready(readyMin: 1 | 2): Promise<void> {
    while (this.#alive.size < 2) this.#alive.add(this.#start());
    await (readyMin === 1 ? Promise.any(this.#alive) : Promise.all(this.#alive));
  }

  /** @returns the signal that ended the one that was hit. */
  async death(): Promise<NodeJS.Signals | null> {
    const deaths = [...this.#alive].map(async (starting) => {
      const { signal } = await (await starting).exited;
      return { starting, signal };
    });
    const { starting, signal } = await Promise.race(deaths);
    this.#alive.delete(starting);
    return signal;
  }

  async end(): Promise<void> {
    for (const starting of this.#alive) await (await starting).kill();
    this.#alive.clear();
  }
}
