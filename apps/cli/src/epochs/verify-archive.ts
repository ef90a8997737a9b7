import { PosternError, streamFilters, streams } from '@postern/contracts';
import {
  CheckpointReader,
  TreeVerifier,
  type CheckpointRead,
  type LogFinding,
  type LogReport,
  type StoredMessage,
  type StreamArchive,
} from '@postern/event-log';
import { JetStreamEventLog, type Bus } from '@postern/nats';

import { verifyMessages } from '../audit/verify.ts';
import { readTrust } from '../data-folder/keys.ts';
import type { Progress } from '../output/progress.ts';
import type { Session } from '../session/session.ts';
import type { ArchivedStream } from './archive-log.ts';

export interface ArchivePlace {
  readonly session: Session;
  /** Of audit, which reads all. */
  readonly bus: Bus;
  readonly stream: ArchivedStream;
  readonly archive: StreamArchive;
  readonly progress: Progress;
}

/** What nobody folds stops nobody: it is archived as it stands, and named by every verification. */
const tolerated: ReadonlySet<LogFinding['kind']> = new Set(['foreign', 'damaged', 'time']);

/**
 * Verifies an archive together with what follows it in the stream, up to its head, as if it were dropped already: every
 * signature, number, chain and state, the tree against the checkpoints kept here and the one of each segment; and that
 * what still stands of it in the stream is what was archived, headers too.
 *
 * @returns up to where it all holds.
 * @throws {PosternError} `log.message_damaged` with the first thing that does not.
 */
export async function verifyArchive({ session, bus, stream, archive, progress }: ArchivePlace): Promise<number> {
  const trust = readTrust(session.folder);
  const { name } = streams[stream];
  const filter = streamFilters[stream];
  const segments = await archive.segments();
  const end = segments.at(-1)?.to ?? 0;
  const live = new JetStreamEventLog({ bus, stream });
  const checkpoints = new JetStreamEventLog({ bus, stream: 'checkpoints' });
  const reader = trust.log && new CheckpointReader(trust.log, stream);
  const outside = segments.map(({ checkpoint, to }) => {
    const opened = reader?.note(checkpoint);
    if (opened?.size === to) return opened;
    throw damaged(`the archive of ${name} up to ${to} carries no checkpoint of it that a trusted key signed`);
  });
  // Before the messages are read: a checkpoint that is made meanwhile speaks of later ones.
  const stored: AsyncIterable<CheckpointRead> | undefined = reader?.all(checkpoints, await checkpoints.head());
  if (stored === undefined) throw new PosternError('config.invalid', 'The trust bundle names no key of the log.');
  async function* joined(): AsyncIterable<StoredMessage> {
    yield* archive.read({ filter, untilPosition: end });
    yield* live.read({ filter, fromPosition: end + 1 });
  }
  progress.tell(`verifying the archive of ${name}`);
  const tree = new TreeVerifier({ stream: name, stored, outside });
  const report = await verifyMessages(stream, joined(), { place: { trust, outside: [] }, tree });
  const finding = report.findings.find(({ kind }) => !tolerated.has(kind));
  if (finding !== undefined) throw damaged(`${name}, position ${finding.position}: ${finding.kind}, ${finding.reason}`);
  if (provenUpTo(report) < end) throw damaged(`${name} is not proved up to position ${end}`);
  await compareWithLive({ live, archive, filter, end, name });
  return report.lastPosition;
}

function provenUpTo({ tree, findingsOmitted }: LogReport): number {
  return findingsOmitted > 0 ? 0 : Math.min(tree?.provenUpTo ?? 0, tree?.checkpointedUpTo ?? 0);
}

async function compareWithLive(place: {
  readonly live: JetStreamEventLog;
  readonly archive: StreamArchive;
  readonly filter: string;
  readonly end: number;
  readonly name: string;
}): Promise<void> {
  const { live, archive, filter, end, name } = place;
  const { firstPosition: fromPosition } = await live.beginning();
  if (fromPosition > end) return;
  const archived = archive.read({ filter, fromPosition, untilPosition: end })[Symbol.asyncIterator]();
  for await (const message of live.read({ filter, fromPosition, untilPosition: end })) {
    const { value } = (await archived.next()) as { value?: StoredMessage };
    if (value === undefined || !same(value, message)) {
      throw damaged(`position ${message.position} of ${name} was not archived as it stands`);
    }
  }
  if ((await archived.next()).done !== true) throw damaged(`more was archived of ${name} than stands there`);
}

function same(one: StoredMessage, other: StoredMessage): boolean {
  const { subject, position, headers, payload } = one;
  return (
    subject === other.subject &&
    position === other.position &&
    JSON.stringify(headers) === JSON.stringify(other.headers) &&
    Buffer.compare(payload, other.payload) === 0
  );
}

function damaged(what: string): PosternError {
  return new PosternError('log.message_damaged', `The archive does not verify: ${what}.`);
}
