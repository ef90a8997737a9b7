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
  /** Where that one says the message before it stands. */
  readonly previousPosition?: number | undefined;
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
  const { log, reader, subject } = options;
  let { position, previousPosition } = options;
  // About as many messages stand before the one at hand.
  let revision = 0;
  for (let reads = 0; reads < Math.max(singleReadsMax, revision / batchedPerSingleRead); reads += 1) {
    const message = await messageBefore(log, subject, { position, previousPosition });
    if (message === undefined) return;
    ({ position, previousPosition } = message);
    const entry = trueCommit(reader, message);
    if (entry === undefined) continue;
    ({ revision } = entry.commit);
    yield entry;
  }
  const rest: StoredMessage[] = [];
  for await (const message of log.read({ filter: subject, untilPosition: position - 1 })) rest.push(message);
  const isShort = (previousPosition ?? 0) > 0 && rest.at(-1)?.position !== previousPosition;
  if (isShort && (await messageBefore(log, subject, { position, previousPosition }))?.position === previousPosition) {
    throw behind(position);
  }
  for (const message of rest.toReversed()) {
    const entry = trueCommit(reader, message);
    if (entry !== undefined) yield entry;
  }
}

/**
 * Most messages say where the one before them stands, and the server has looked when it stored them. To find it without that,
 * a server goes backwards through its log, block by block: for an aggregate that rested an hour, through all of that hour.
 *
 * In a cluster a replica may be behind, and so may one that takes itself for the leader when it was cut off. What stood there
 * and cannot be read is therefore not taken for nothing, unless the log was cut behind it: a true commit without those
 * before it would count as foreign, and the next one would begin the aggregate anew.
 *
 * @throws {PosternError} `log.unavailable`
 */
async function messageBefore(
  log: EventLog,
  subject: string,
  { position, previousPosition }: Pick<StoredMessage, 'position' | 'previousPosition'>,
): Promise<StoredMessage | undefined> {
  if (previousPosition === 0) return undefined;
  const told = previousPosition === undefined ? undefined : await log.at(previousPosition);
  if (told?.subject === subject) return told;
  const found = await log.last(subject, { untilPosition: position - 1 });
  if (previousPosition === undefined || told !== undefined || found?.position === previousPosition) return found;
  if (previousPosition >= (await log.beginning()).firstPosition) throw behind(position);
  return found;
}

function behind(position: number): PosternError {
  return new PosternError(
    'log.unavailable',
    `Whoever answered does not have what stands before position ${position} yet.`,
  );
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
