import { closeSync, existsSync, ftruncateSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';

import { PosternError, provenStreams, streamFilters, streams, subjects, type ProvenStream } from '@postern/contracts';
import { exportMessage, type EventLog, type StoredMessage } from '@postern/event-log';

import { withAuditor } from '../audit/auditor.ts';
import type { Progress } from '../output/progress.ts';
import type { Session } from '../session/session.ts';
import { streamOfSubject, wholeLog, type WholeLogStream } from './exported-streams.ts';
import { readExport } from './read-export.ts';
import { selectedMessages } from './replay.ts';
import { selectionOf } from './selection.ts';

type Lines = (stream: WholeLogStream, messages: AsyncIterable<StoredMessage>) => Promise<void>;
type Options = Readonly<Record<string, unknown>>;

const progressEvery = 5_000;

/**
 * Writes messages of the log, a line each, to standard output or a file.
 *
 * @throws {PosternError} `request.malformed` for options that do not go together.
 */
export async function exportLog(
  session: Session,
  tenantId: string,
  options: Options,
  progress: Progress,
): Promise<void> {
  const { out, resume, log } = options;
  if (resume === true && typeof out !== 'string') {
    throw new PosternError('request.malformed', '--resume goes on with a file: name it with --out.');
  }
  const sink = await sinkOf(out, resume === true);
  let count = 0;
  const lines: Lines = async (stream, messages) => {
    const after = sink.lastPositions.get(stream) ?? 0;
    for await (const message of messages) {
      if (message.position <= after) continue;
      await sink.write(`${JSON.stringify(exportMessage(message))}\n`);
      count += 1;
      if (count % progressEvery === 0) progress.tell(`${streams[stream].name} exported up to ${message.position}`);
    }
  };
  try {
    if (typeof log === 'string') await exportStreams(session, { wanted: log, options, lines, sink });
    else await exportTenant(session, { tenantId, options, lines });
  } finally {
    sink.close();
  }
}

async function exportStreams(
  session: Session,
  { wanted, options, lines, sink }: { wanted: string; options: Options; lines: Lines; sink: Sink },
): Promise<void> {
  const chosen = streamsNamed(wanted);
  const { fromPosition, untilPosition, atMs } = selectionOf(session.defaultTenantId, options);
  const bounded = fromPosition !== undefined || untilPosition !== undefined;
  if (atMs !== undefined || options['connection'] !== undefined || (bounded && chosen.length > 1)) {
    throw new PosternError(
      'request.malformed',
      'With --log there is no --connection and no --at; --from and --to are positions of one stream, not of ALL.',
    );
  }
  await withAuditor(session, async ({ logs, checkpoints }) => {
    const all: Record<WholeLogStream, EventLog> = { ...logs, checkpoints };
    // A checkpoint that is made meanwhile speaks of messages that this export may not hold.
    const checkpointed = await checkpoints.head();
    for (const stream of chosen) {
      const resumed = (sink.lastPositions.get(stream) ?? 0) + 1;
      const request = {
        filter: streamFilters[stream],
        fromPosition: Math.max(fromPosition ?? 1, resumed),
        untilPosition: stream === 'checkpoints' ? checkpointed : untilPosition,
      };
      await lines(stream, all[stream].read(request));
    }
  });
}

function streamsNamed(wanted: string): readonly WholeLogStream[] {
  if (wanted.toUpperCase() === 'ALL') return wholeLog;
  const stream: ProvenStream | undefined = provenStreams.find((one) => streams[one].name === wanted.toUpperCase());
  if (stream !== undefined) return [stream];
  throw new PosternError('request.malformed', '--log takes CONNECTIONS, ADMIN, ACCESS or ALL.');
}

/** A connection's messages, or all of a tenant's: its configuration first, unless positions of CONNECTIONS are named. */
async function exportTenant(
  { past: { connections, admin }, reader }: Session,
  { tenantId, options, lines }: { tenantId: string; options: Options; lines: Lines },
): Promise<void> {
  const selection = selectionOf(tenantId, options);
  const { aggregate, fromPosition, untilPosition } = selection;
  if (aggregate === undefined && fromPosition === undefined && untilPosition === undefined) {
    const configuration = { ...selection, filter: subjects.adminOfTenant(tenantId) };
    await lines('admin', selectedMessages(admin, reader, configuration));
  }
  await lines('connections', selectedMessages(connections, reader, selection));
}

interface Sink {
  /** The last positions that stand in it already, by stream. */
  readonly lastPositions: ReadonlyMap<WholeLogStream, number>;
  write(line: string): Promise<void>;
  close(): void;
}

async function sinkOf(out: unknown, resume: boolean): Promise<Sink> {
  if (typeof out !== 'string') return { lastPositions: new Map(), write: writeOut, close: () => undefined };
  if (!resume && existsSync(out)) {
    throw new PosternError('request.malformed', `${out} is there already: --resume goes on with it.`);
  }
  const file = openSync(out, resume ? 'a+' : 'ax+', 0o600);
  try {
    if (resume) cutBrokenLine(file);
    const lastPositions = resume ? await lastPositionsIn(out) : new Map<WholeLogStream, number>();
    return {
      lastPositions,
      write: async (line) => void writeSync(file, line),
      close: () => {
        fsyncSync(file);
        closeSync(file);
      },
    };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function writeOut(line: string): Promise<void> {
  return new Promise((resolve) => (process.stdout.write(line) ? resolve() : process.stdout.once('drain', resolve)));
}

/** Whoever was killed while writing has left half a line. */
function cutBrokenLine(file: number): void {
  const chunk = Buffer.alloc(64 * 1024);
  let end = 0;
  let position = 0;
  for (;;) {
    const read = readSync(file, chunk, 0, chunk.length, position);
    if (read === 0) break;
    const feed = chunk.subarray(0, read).lastIndexOf(0x0a);
    if (feed >= 0) end = position + feed + 1;
    position += read;
  }
  ftruncateSync(file, end);
}

async function lastPositionsIn(path: string): Promise<Map<WholeLogStream, number>> {
  const last = new Map<WholeLogStream, number>();
  for await (const { subject, position } of readExport(path)) {
    const stream = streamOfSubject(subject);
    if (stream !== undefined) last.set(stream, position);
  }
  return last;
}
