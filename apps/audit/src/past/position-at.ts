import { limits } from '@postern/contracts';
import type { EventLog, StoredMessage } from '@postern/event-log';

/** A stream in which a time is looked for. */
export interface TimedLog {
  readonly log: EventLog;
  readonly filter: string;
  /** When its writer says that it wrote the message; undefined for what nobody signed who may write there. */
  readonly timeOf: (message: StoredMessage) => number | undefined;
}

/** By how much two writers' clocks may differ: so much out of order times may stand. */
const disorderMsMax = 2 * limits.clockSkewMsMax;

/**
 * Where a stream stood at a time: before its first message that is later.
 *
 * The times are those that the writers signed: when the server stored a message is another time once the log has moved
 * house, and signed by nobody.
 */
export async function positionAt(timeMs: number, timed: TimedLog): Promise<number> {
  const { log, filter, timeOf } = timed;
  const head = await log.head();
  let [low, high] = [0, head];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const middleMs = await timeFrom(middle, head, timed);
    if (middleMs !== undefined && middleMs <= timeMs - disorderMsMax) low = middle;
    else high = middle - 1;
  }
  for await (const message of log.read({ filter, fromPosition: low + 1, untilPosition: head })) {
    if ((timeOf(message) ?? 0) > timeMs) return message.position - 1;
  }
  return head;
}

/** The time of the first message from a position on that somebody signed. */
async function timeFrom(
  position: number,
  head: number,
  { log, filter, timeOf }: TimedLog,
): Promise<number | undefined> {
  const message = await log.at(position);
  const time = message && timeOf(message);
  if (time !== undefined) return time;
  for await (const later of log.read({ filter, fromPosition: position, untilPosition: head })) {
    const laterTime = timeOf(later);
    if (laterTime !== undefined) return laterTime;
  }
  return undefined;
}
