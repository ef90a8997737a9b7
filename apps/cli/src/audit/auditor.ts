import { withArchive } from '@postern/event-log';
import { JetStreamEventLog } from '@postern/nats';

import { archiveOf } from '../epochs/archive-of.ts';
import { asIdentity } from '../session/as-identity.ts';
import type { Session } from '../session/session.ts';
import type { ProvenLog } from './verify.ts';

/**
 * Reads the log as audit does, with what was archived of it: who was leased what stands in ACCESS, which no other identity
 * may read, and the data folder holds audit's own.
 */
export async function withAuditor<T>(
  place: Pick<Session, 'folder' | 'natsUrl'>,
  work: (log: ProvenLog) => Promise<T>,
): Promise<T> {
  return await asIdentity(place, 'audit', async (bus) => {
    const archived = async (stream: 'connections' | 'access') =>
      withArchive(new JetStreamEventLog({ bus, stream }), await archiveOf(place.folder, stream));
    const logs = {
      connections: await archived('connections'),
      admin: new JetStreamEventLog({ bus, stream: 'admin' }),
      access: await archived('access'),
    };
    return await work({ logs, checkpoints: new JetStreamEventLog({ bus, stream: 'checkpoints' }) });
  });
}
