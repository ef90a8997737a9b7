import { PosternError } from '@postern/contracts';

import type { CommitReader, LogEntry, LogProblem } from './commit-reader.ts';
import type { EventLog, StoredMessage } from './event-log.ts';

/** So many messages of an aggregate are looked up one by one, before the rest is read at once. */
export const singleReadsMax = 6;
/** What one look-up takes longer than a message of a batch: two round trips, against its bytes. */
const batchedPerSingleRead = 32;

export interface EarlierOptions {
  readonly log: EventLog;
  readonly reader: CommitReader;
  readonly subject: string;
  /** Where the first message stands that is not wanted any more. */
  readonly position: number;
  /** Where the first message stands at all, if that is known: nothing is looked for before it. */
  readonly firstPosition?: number | undefined;
}

/**
 * The true commits before a position, the last one first; what is foreign or damaged is stepped over.
 *
 * Usually one or two are wanted, whatever the aggregate's age, and are looked up singly. Whoever wants many gets the
 * rest in one batch, as soon as the look-ups have cost about as much as that will.
 *
 * @throws {PosternError} `log.version_unknown` at a commit from the future.
 */
export async function* earlierCommits(options: EarlierOptions): AsyncGenerator<LogEntry, undefined> {
  const { log, reader, subject, firstPosition } = options;
  let { position } = options;
  // About as many messages stand before the one at hand.
  let revision = 0;
  for (let reads = 0; reads < Math.max(singleReadsMax, revision / batchedPerSingleRead); reads += 1) {
    const message = await log.last(subject, { untilPosition: position - 1, firstPosition });
    if (message === undefined) return;
    position = message.position;
    const entry = trueCommit(reader, message);
    if (entry === undefined) continue;
    ({ revision } = entry.commit);
    yield entry;
  }
  const rest: StoredMessage[] = [];
  for await (const message of log.read({ filter: subject, untilPosition: position - 1 })) rest.push(message);
  for (const message of rest.toReversed()) {
    const entry = trueCommit(reader, message);
    if (entry !== undefined) yield entry;
  }
}

/**
 * What counts of a stored message.
 *
 * @returns undefined for what is foreign or damaged.
 * @throws {PosternError} `log.version_unknown` for a commit from the future.
 */
export function trueCommit(reader: CommitReader, message: StoredMessage): LogEntry | undefined {
  const result = reader.read(message);
  if (result.kind === 'future') throw futureError(result);
  return result.kind === 'commit' ? result.entry : undefined;
}

function futureError({ position, reason }: LogProblem): PosternError {
  return new PosternError('log.version_unknown', `At position ${position}: ${reason}.`);
}
