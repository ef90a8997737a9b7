/** Answers every request on a subject with the same bytes, and does nothing else. */
import { connectBus } from '@postern/nats';

import { serveJobs } from './process.mjs';

serveJobs(async ({ link, subject, bytes }) => {
  const { connection } = await connectBus({ ...link, name: 'bench echo' });
  const reply = Buffer.alloc(bytes, 0x61);
  connection.subscribe(subject, { callback: (_error, message) => message.respond(reply) });
  await connection.flush();
});
