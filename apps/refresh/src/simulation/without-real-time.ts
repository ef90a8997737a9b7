/**
 * Runs something to which neither the machine's time nor its chance is open: whoever asks for either ends it, because
 * the same seed would not give the same run any more.
 *
 * `Date.now` answers with the virtual time: ids carry a time. Nothing else about an id comes from the seed, and nothing
 * may depend on it.
 */
export async function withoutRealTime<T>(nowMs: () => number, run: () => Promise<T>): Promise<T> {
  const broken: string[] = [];
  const trap = (name: string) => () => {
    broken.push(name);
    throw new Error(`${name} was used in a simulation`);
  };
  const real = {
    random: Math.random,
    now: Date.now,
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    setImmediate: globalThis.setImmediate,
  };
  Math.random = trap('Math.random');
  Date.now = nowMs;
  globalThis.setTimeout = trap('setTimeout') as never;
  globalThis.setInterval = trap('setInterval') as never;
  globalThis.setImmediate = trap('setImmediate') as never;
  try {
    const result = await run();
    if (broken.length > 0) throw new Error(`not deterministic: ${broken[0]} was used`);
    return result;
  } finally {
    Math.random = real.random;
    Date.now = real.now;
    globalThis.setTimeout = real.setTimeout;
    globalThis.setInterval = real.setInterval;
    globalThis.setImmediate = real.setImmediate;
  }
}
