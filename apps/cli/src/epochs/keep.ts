import { isPosternError, PosternError, streamFilters, type ArchiveManifest } from '@postern/contracts';
import { JetStreamEventLog, readEpochs } from '@postern/nats';

import type { Progress } from '../output/progress.ts';
import { asIdentity } from '../session/as-identity.ts';
import type { Session } from '../session/session.ts';
import { archive, type ArchivedStream } from './archive-log.ts';
import { drop, type Dropped } from './drop.ts';
import { open, type Opened } from './open.ts';
import { sweep } from './sweep.ts';

/** When an epoch ends, and how long ACCESS stays in its stream. */
export interface EpochPolicy {
  /** The open epoch is closed once its first message is older. */
  readonly maxAgeMs?: number | undefined;
  /** Or once CONNECTIONS takes more room. */
  readonly maxBytes?: number | undefined;
  /** Older records of ACCESS are archived and dropped. */
  readonly accessMaxAgeMs?: number | undefined;
}

/** What one round did; what could not be done yet is done by a later one. */
export interface KeptEpochs {
  readonly opened: Opened | null;
  readonly moved: number;
  readonly archived: readonly ArchiveManifest[];
  readonly dropped: readonly Dropped[];
  /** What has to wait, in words. */
  readonly waiting: readonly string[];
}

/**
 * One round of a policy: opens an epoch if the open one is over, moves who stands before it, archives what is closed, and
 * drops what is archived.
 *
 * @effect May be repeated, and is meant to be: from a timer, say once an hour.
 */
export async function keepEpochs(session: Session, policy: EpochPolicy, progress: Progress): Promise<KeptEpochs> {
  // First what a round before this one did not end.
  let { moved } = await sweep(session, progress);
  const opened = (await isOver(session, policy)) ? await open(session) : null;
  if (opened !== null) moved += (await sweep(session, progress)).moved;
  const archived: ArchiveManifest[] = [];
  const dropped: Dropped[] = [];
  const waiting: string[] = [];
  const round = async (stream: ArchivedStream, beforeMs?: number) => {
    const made = await unlessWaiting(waiting, () => archive(session, { stream, beforeMs }, progress));
    if (made !== undefined) archived.push(made);
    const gone = await unlessWaiting(waiting, () => drop(session, stream, progress));
    if (gone !== undefined) dropped.push(gone);
  };
  await round('connections');
  if (policy.accessMaxAgeMs !== undefined) await round('access', Date.now() - policy.accessMaxAgeMs);
  return { opened, moved, archived, dropped, waiting };
}

async function isOver(session: Session, { maxAgeMs = Infinity, maxBytes = Infinity }: EpochPolicy): Promise<boolean> {
  return await asIdentity(session, 'audit', async (bus) => {
    const { starts, bytes, lastPosition } = await readEpochs(bus, 'connections');
    const from = starts.at(-1) ?? 1;
    if (lastPosition < from) return false;
    if (bytes > maxBytes) return true;
    const log = new JetStreamEventLog({ bus, stream: 'connections' });
    for await (const { timeMs } of log.read({ filter: streamFilters.connections, fromPosition: from })) {
      return Date.now() - timeMs > maxAgeMs;
    }
    return false;
  });
}

/** A checkpoint that is not there yet, or a service that lags, only takes time; an archive that is broken does not mend. */
async function unlessWaiting<T>(waiting: string[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const takesTime = isPosternError(error) && (error.code === 'log.unavailable' || error.code === 'log.conflict');
    if (!takesTime) throw error;
    waiting.push((error as PosternError).message);
    return undefined;
  }
}
