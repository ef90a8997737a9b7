import { AccessVerifier } from './access-verifier.ts';
import type { AccessEntry, AccessReader } from './access-reader.ts';
import type { CommitReader } from './commit-reader.ts';
import type { StoredMessage } from './event-log.ts';
import { LogVerifier, type LogFinding, type LogVerifierOptions } from './log-verifier.ts';
import type { TreeReport, TreeVerifier } from './tree-verifier.ts';

export interface LogReport {
  readonly messages: number;
  readonly commits: number;
  /** Of an access log: how many writers wrote it. */
  readonly aggregates: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** Empty when the log is whole; of many the first {@link findingsMax}. */
  readonly findings: readonly LogFinding[];
  /** How many more there are. */
  readonly findingsOmitted: number;
  /** Absent where no tree was asked for: of a part of a log there is none. */
  readonly tree?: TreeReport;
}

interface WalkOptions {
  /** Grows the tree of the whole log beside; absent for a part of one. */
  readonly tree?: TreeVerifier | undefined;
  readonly onProgress?: ((position: number) => void) | undefined;
}

export interface VerifyOptions extends LogVerifierOptions, WalkOptions {
  readonly reader: CommitReader;
}

export interface VerifyAccessOptions extends WalkOptions {
  readonly reader: AccessReader;
  /** Told of each group that is true. */
  readonly onEntry?: ((entry: AccessEntry) => void) | undefined;
}

/** What one message comes to: a true entry, or not; and what is wrong. */
interface Checked {
  readonly isEntry: boolean;
  readonly findings: readonly LogFinding[];
}

const progressEvery = 10_000;
/** Whoever changed a key has broken every message: the first ones tell it. */
export const findingsMax = 1_000;

/**
 * Reads a log from its first message and checks all that each message claims: who signed it, that its writer may write
 * its events, that its revision follows, that it carries the hash of the one before it, that time does not go back, and
 * that the state it carries is what its events give.
 *
 * What was cut off the end, or told in another order across aggregates, only the tree sees. Memory does not grow with
 * the log.
 *
 * @throws {PosternError} `service.internal` where the temporary folder, in which most states lie, has no room
 */
export async function verifyLog(messages: AsyncIterable<StoredMessage>, options: VerifyOptions): Promise<LogReport> {
  const verifier = new LogVerifier(options);
  try {
    const report = await walk(messages, options, (message) => {
      const read = options.reader.read(message);
      if (read.kind !== 'commit') return { isEntry: false, findings: [read] };
      return { isEntry: true, findings: verifier.entry(read.entry) };
    });
    return { ...report, aggregates: verifier.aggregates };
  } finally {
    verifier.close();
  }
}

/** The same of the log of access: who signed each group, and that its writer's numbers have no gap. */
export async function verifyAccess(
  messages: AsyncIterable<StoredMessage>,
  options: VerifyAccessOptions,
): Promise<LogReport> {
  const verifier = new AccessVerifier();
  const report = await walk(messages, options, (message) => {
    const read = options.reader.read(message);
    if (read.kind !== 'access') return { isEntry: false, findings: [read] };
    options.onEntry?.(read.entry);
    return { isEntry: true, findings: verifier.entry(read.entry) };
  });
  return { ...report, aggregates: verifier.writers };
}

async function walk(
  messages: AsyncIterable<StoredMessage>,
  { tree, onProgress }: WalkOptions,
  check: (message: StoredMessage) => Checked,
): Promise<Omit<LogReport, 'aggregates'>> {
  const findings: LogFinding[] = [];
  let findingsOmitted = 0;
  const note = (found: readonly LogFinding[]) => {
    const room = Math.max(0, findingsMax - findings.length);
    findings.push(...found.slice(0, room));
    findingsOmitted += Math.max(0, found.length - room);
  };
  const counts = { messages: 0, commits: 0, firstPosition: 0, lastPosition: 0 };
  for await (const message of messages) {
    const { position, subject } = message;
    counts.messages += 1;
    if (counts.messages === 1) counts.firstPosition = position;
    if (position <= counts.lastPosition) {
      note([{ kind: 'order', position, subject, reason: `it stands after position ${counts.lastPosition}` }]);
    }
    counts.lastPosition = position;
    const { isEntry, findings: found } = check(message);
    if (isEntry) counts.commits += 1;
    note(found);
    await tree?.message(message);
    if (counts.messages % progressEvery === 0) onProgress?.(position);
  }
  const ended = await tree?.end();
  if (ended === undefined) return { ...counts, findings, findingsOmitted };
  // However much was found before: what the tree says is why it was asked.
  return {
    ...counts,
    findings: [...findings, ...ended.findings.slice(0, findingsMax)],
    findingsOmitted,
    tree: ended.report,
  };
}
