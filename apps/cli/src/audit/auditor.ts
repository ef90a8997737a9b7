import { readFileSync } from 'node:fs';

import { connectBus, JetStreamEventLog } from '@postern/nats';

import type { Session } from '../session/session.ts';
import type { ProvenLog } from './verify.ts';

/**
 * Reads the log as audit does: who was leased what stands in ACCESS, which no other identity may read, and the data folder
 * holds audit's own.
 */
export async function withAuditor<T>(
  { folder, natsUrl }: Pick<Session, 'folder' | 'natsUrl'>,
  work: (log: ProvenLog) => Promise<T>,
): Promise<T> {
  const bus = await connectBus({
    servers: natsUrl,
    creds: () => readFileSync(folder.credsFile('audit'), 'utf8'),
    identity: 'audit',
    name: 'postern command, as auditor',
  });
  const log = (stream: 'connections' | 'admin' | 'access' | 'checkpoints') => new JetStreamEventLog({ bus, stream });
  try {
    const logs = { connections: log('connections'), admin: log('admin'), access: log('access') };
    return await work({ logs, checkpoints: log('checkpoints') });
  } finally {
    await bus.close();
  }
}
