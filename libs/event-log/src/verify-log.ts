import type { CommitReader } from './commit-reader.ts';
import type { StoredMessage } from './event-log.ts';
import { LogVerifier, type LogFinding, type LogVerifierOptions } from './log-verifier.ts';

export interface LogReport {
  readonly messages: number;
  readonly commits: number;
  readonly aggregates: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** Empty when the log is whole. */
  readonly findings: readonly LogFinding[];
}

export interface VerifyOptions extends LogVerifierOptions {
  readonly reader: CommitReader;
  readonly onProgress?: ((position: number) => void) | undefined;
}

const progressEvery = 10_000;

/**
 * Reads a log from its first message and checks all that each message claims: who signed it, that its writer may write
 * its events, that its revision follows, that it carries the hash of the one before it, that time does not go back, and
 * that the state it carries is what its events give.
 *
 * What it cannot see: messages that were cut off the end. Witnesses will.
 */
export async function verifyLog(messages: AsyncIterable<StoredMessage>, options: VerifyOptions): Promise<LogReport> {
  const verifier = new LogVerifier(options);
  const findings: LogFinding[] = [];
  const counts = { messages: 0, commits: 0, firstPosition: 0, lastPosition: 0 };
  for await (const message of messages) {
    const { position, subject } = message;
    counts.messages += 1;
    if (counts.messages === 1) counts.firstPosition = position;
    if (position <= counts.lastPosition) {
      findings.push({ kind: 'order', position, subject, reason: `it stands after position ${counts.lastPosition}` });
    }
    counts.lastPosition = position;
    const read = options.reader.read(message);
    if (read.kind === 'commit') counts.commits += 1;
    findings.push(...(read.kind === 'commit' ? verifier.entry(read.entry) : [read]));
    if (counts.messages % progressEvery === 0) options.onProgress?.(position);
  }
  return { ...counts, aggregates: verifier.aggregates, findings };
}
