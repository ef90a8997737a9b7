import { readFileSync } from 'node:fs';

import type { IdentityName } from '@postern/contracts';
import { connectBus, type Bus } from '@postern/nats';

import type { Session } from './session.ts';

/** Does something on the bus as another identity whose credentials the data folder holds. */
export async function asIdentity<T>(
  { folder, natsUrl }: Pick<Session, 'folder' | 'natsUrl'>,
  identity: IdentityName,
  work: (bus: Bus) => Promise<T>,
): Promise<T> {
  const bus = await connectBus({
    servers: natsUrl,
    creds: () => readFileSync(folder.credsFile(identity), 'utf8'),
    identity,
    name: `postern command, as ${identity}`,
  });
  try {
    return await work(bus);
  } finally {
    await bus.close();
  }
}
