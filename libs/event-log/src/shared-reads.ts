interface Turn<Value> {
  readonly read: Promise<Value>;
  /** Begins when this one is over. */
  next?: Promise<Value>;
}

/** Reads by name that many want at the same time, done once for all of them. */
export class SharedReads<Value> {
  readonly #underWay = new Map<string, Promise<Value>>();
  readonly #turns = new Map<string, Turn<Value>>();

  /** Joins a read under way: for whoever may be told what stood there a moment before it asked. */
  async join(name: string, read: () => Promise<Value>): Promise<Value> {
    const underWay = this.#underWay.get(name);
    if (underWay !== undefined) return await underWay;
    const begun = read();
    this.#underWay.set(name, begun);
    return await begun.finally(() => this.#underWay.delete(name));
  }

  /**
   * Reads after it was asked for: one under way may have looked before, so that the next one is shared by all who come
   * until it begins.
   */
  async afresh(name: string, read: () => Promise<Value>): Promise<Value> {
    const turn = this.#turns.get(name);
    if (turn === undefined) return await this.#begin(name, read);
    const begin = () => this.#begin(name, read);
    turn.next ??= turn.read.then(begin, begin);
    return await turn.next;
  }

  #begin(name: string, read: () => Promise<Value>): Promise<Value> {
    const turn: Turn<Value> = { read: read() };
    this.#turns.set(name, turn);
    const end = () => void (turn.next === undefined && this.#turns.delete(name));
    turn.read.then(end, end);
    return turn.read;
  }
}
