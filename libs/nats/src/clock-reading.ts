import { PosternError } from '@postern/contracts';

/** The clocks that a server's is compared with. */
export interface Clocks {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Milliseconds on a clock that only goes forward. */
  monotonicMs(): number;
}

/** Those of this machine. */
export const systemClocks: Clocks = Object.freeze({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
});

/** What a server's clock said, and what ours said in the middle of the round trip. Milliseconds since 1970. */
export interface ClockReading {
  readonly serverMs: number;
  readonly ownMs: number;
  /** The server's minus ours. */
  readonly skewMs: number;
  /** Half the round trip: by so much `skewMs` may be wrong, either way. */
  readonly uncertaintyMs: number;
}

/**
 * Asks a server something, and reads its clock from the `ts` that every answer of the JetStream API carries.
 *
 * @throws {PosternError} `log.unavailable` when the answer has no time; and what `ask` throws.
 */
export async function readClock<T extends object>(
  clocks: Clocks,
  ask: () => Promise<T>,
): Promise<{ readonly answer: T; readonly reading: ClockReading }> {
  const sentMs = clocks.nowMs();
  const start = clocks.monotonicMs();
  const answer = await ask();
  const uncertaintyMs = (clocks.monotonicMs() - start) / 2;
  const serverMs = 'ts' in answer && typeof answer.ts === 'string' ? Date.parse(answer.ts) : Number.NaN;
  if (Number.isNaN(serverMs)) throw new PosternError('log.unavailable', 'The event log answered without a time.');
  const ownMs = sentMs + uncertaintyMs;
  return { answer, reading: { serverMs, ownMs, skewMs: serverMs - ownMs, uncertaintyMs } };
}
