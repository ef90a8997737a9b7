import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { streams } from '@postern/contracts';

/** The folder in which a nats-server keeps the messages of REFRESH, for whoever takes them away from it. */
export function storedMessages(dataDir: string): string {
  const found = readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).find((path) =>
    path.endsWith(join('streams', streams.refresh.name, 'msgs')),
  );
  if (found === undefined) throw new Error('the stream has no folder');
  return join(dataDir, found);
}
