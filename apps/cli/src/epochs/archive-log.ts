import { PosternError, streamFilters, streams, type ArchiveManifest, type ProvenStream } from '@postern/contracts';
import { AccessReader, CheckpointReader, commitVerifier, type EventLog } from '@postern/event-log';
import { JetStreamEventLog, readEpochs, type Bus } from '@postern/nats';

import { archiveOf } from './archive-of.ts';
import { readTrust } from '../data-folder/keys.ts';
import type { Progress } from '../output/progress.ts';
import { asIdentity } from '../session/as-identity.ts';
import type { Session } from '../session/session.ts';
import { verifyArchive } from './verify-archive.ts';

/** The streams whose beginning can be archived and dropped; ADMIN is small, and every question needs all of it. */
export type ArchivedStream = Extract<ProvenStream, 'connections' | 'access'>;

const progressEvery = 5_000;

/**
 * Archives the beginning of a stream: the closed epochs of CONNECTIONS, or what ACCESS recorded before a time. A segment
 * ends where a checkpoint does, so that its signed head proves the archive by itself. Then it is read back and verified.
 *
 * @effect files in the archive folder. May be repeated: it goes on behind what is archived.
 * @throws {PosternError} `log.unavailable` when no checkpoint ends in what is to be archived: `audit` makes one a minute;
 *   `log.message_damaged` when what was written does not verify
 */
export async function archive(
  session: Session,
  { stream, beforeMs }: { readonly stream: ArchivedStream; readonly beforeMs?: number | undefined },
  progress: Progress,
): Promise<ArchiveManifest | undefined> {
  return await asIdentity(session, 'audit', async (bus) => {
    const archived = await archiveOf(session.folder, stream);
    const log = new JetStreamEventLog({ bus, stream });
    const from = (await archived.lastPosition()) + 1;
    const limit = stream === 'connections' ? await endOfClosed(bus) : await endBefore(session, { log, from, beforeMs });
    if (limit < from) return undefined;
    const { size, note } = await checkpointWithin(session, bus, { stream, from, limit });
    const { name } = streams[stream];
    async function* messages() {
      for await (const message of log.read({
        filter: streamFilters[stream],
        fromPosition: from,
        untilPosition: size,
      })) {
        if (message.position % progressEvery === 0)
          progress.tell(`${name} archived up to position ${message.position}`);
        yield message;
      }
    }
    const manifest = await archived.write(messages(), { to: size, checkpoint: note });
    await verifyArchive({ session, bus, stream, archive: archived, progress });
    return manifest;
  });
}

/** The last position before the open epoch. */
async function endOfClosed(bus: Bus): Promise<number> {
  const { starts } = await readEpochs(bus, 'connections');
  return (starts.at(-1) ?? 1) - 1;
}

/** The last position before the first record that is not older. */
async function endBefore(
  { folder }: Session,
  {
    log,
    from,
    beforeMs = Infinity,
  }: { readonly log: EventLog; readonly from: number; readonly beforeMs?: number | undefined },
): Promise<number> {
  const reader = new AccessReader({ verifier: commitVerifier(readTrust(folder)) });
  let end = from - 1;
  for await (const message of log.read({ filter: streamFilters.access, fromPosition: from })) {
    const read = reader.read(message);
    const times = read.kind === 'access' ? read.entry.group.records.map(({ at }) => Date.parse(at)) : [message.timeMs];
    if (times.some((atMs) => atMs >= beforeMs)) break;
    end = message.position;
  }
  return end;
}

/** The largest checkpoint that ends in there, and is not the newest: its keeper goes on from a message that stands. */
async function checkpointWithin(
  { folder }: Session,
  bus: Bus,
  { stream, from, limit }: { readonly stream: ArchivedStream; readonly from: number; readonly limit: number },
): Promise<{ readonly size: number; readonly note: string }> {
  const { log: trust } = readTrust(folder);
  if (trust === undefined) throw new PosternError('config.invalid', 'The trust bundle names no key of the log.');
  const checkpoints = new JetStreamEventLog({ bus, stream: 'checkpoints' });
  const reader = new CheckpointReader(trust, stream);
  const { checkpoint: newest } = await reader.newest(checkpoints);
  const end = Math.min(limit, (newest?.size ?? 0) - 1);
  const { checkpoint: found } = (await reader.upTo(end, checkpoints)) ?? {};
  if (found !== undefined && found.size >= from) return found;
  throw new PosternError(
    'log.unavailable',
    `No checkpoint of ${streams[stream].name} ends in positions ${from} to ${limit} with another one behind it: wait for audit's next.`,
  );
}
