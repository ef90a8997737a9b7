import { PosternError } from '@postern/contracts';
import { JetStreamEventLog, openEpoch, readEpochs } from '@postern/nats';

import { asIdentity } from '../session/as-identity.ts';
import type { Session } from '../session/session.ts';
import { standingBefore } from './sweep.ts';

export interface Opened {
  readonly epoch: number;
  readonly from: number;
}

/**
 * Opens the next epoch of CONNECTIONS: what comes from now on belongs to it.
 *
 * @effect Not to be repeated: each call opens another one.
 * @throws {PosternError} `log.conflict` while a connection stands before the epoch that is open, or nothing came since.
 */
export async function open(session: Session): Promise<Opened> {
  await asIdentity(session, 'audit', async (bus) => {
    const { starts, lastPosition } = await readEpochs(bus, 'connections');
    const epoch = starts.length;
    const from = starts.at(-1) ?? 1;
    if (lastPosition < from) throw new PosternError('log.conflict', `Nothing stands in epoch ${epoch} yet.`);
    if (epoch === 1) return;
    const log = new JetStreamEventLog({ bus, stream: 'connections' });
    const standing = await standingBefore({ log, reader: session.reader }, { epoch, from });
    if (standing.length === 0) return;
    throw new PosternError(
      'log.conflict',
      `${standing.length} connections were not moved to epoch ${epoch} yet: postern epochs sweep.`,
    );
  });
  return await asIdentity(session, 'provisioner', (bus) => openEpoch(bus, 'connections'));
}
