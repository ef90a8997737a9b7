import { PosternError, streams } from '@postern/contracts';
import { dropBeginning, JetStreamEventLog, readEpochs } from '@postern/nats';

import { archiveOf } from './archive-of.ts';
import type { Progress } from '../output/progress.ts';
import { asIdentity } from '../session/as-identity.ts';
import type { Session } from '../session/session.ts';
import type { ArchivedStream } from './archive-log.ts';
import { standingBefore } from './sweep.ts';
import { verifyArchive } from './verify-archive.ts';

export interface Dropped {
  readonly stream: string;
  /** The last position that is gone from the stream. */
  readonly up_to: number;
}

/**
 * Drops from a stream what its archive holds, once the archive verifies, and only then. It reads as audit and drops as the
 * provisioner, who alone may.
 *
 * @throws {PosternError} `log.message_damaged` when the archive does not verify; `log.conflict` while a connection was not
 *   moved to the open epoch, or a service has not worked that off: nothing is dropped then.
 */
export async function drop(session: Session, stream: ArchivedStream, progress: Progress): Promise<Dropped | undefined> {
  const archive = await archiveOf(session.folder, stream);
  const upTo = await archive.lastPosition();
  const { name } = streams[stream];
  const verifiedUpTo = await asIdentity(session, 'audit', async (bus) => {
    const log = new JetStreamEventLog({ bus, stream });
    const { firstPosition } = await log.beginning();
    if (firstPosition > upTo) return undefined;
    if (stream === 'connections') await assertSwept(session, log, upTo);
    return await verifyArchive({ session, bus, stream, archive, progress });
  });
  if (verifiedUpTo === undefined) return undefined;
  await asIdentity(session, 'provisioner', async (provisioner) => {
    const onProgress = (position: number) => progress.tell(`${name} dropped up to position ${position}`);
    await dropBeginning(provisioner, stream, { upTo, verifiedUpTo, onProgress });
  });
  return { stream: name, up_to: upTo };
}

/** Every connection of which something goes has to stand in an epoch that opened behind it. */
async function assertSwept({ reader, natsUrl, folder }: Session, log: JetStreamEventLog, upTo: number): Promise<void> {
  const { starts } = await asIdentity({ natsUrl, folder }, 'audit', (bus) => readEpochs(bus, 'connections'));
  const epoch = starts.length;
  const from = starts.at(-1) ?? 1;
  if (upTo >= from) {
    throw new PosternError(
      'log.conflict',
      `The archive reaches into the open epoch ${epoch}: open the next one first.`,
    );
  }
  const standing = await standingBefore({ log, reader }, { epoch, from });
  if (standing.length === 0) return;
  const which = standing.slice(0, 3).map(({ id }) => id);
  throw new PosternError(
    'log.conflict',
    `${standing.length} connections were not moved to epoch ${epoch} yet (${which.join(', ')} …): postern epochs sweep.`,
  );
}
