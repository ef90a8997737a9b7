/** Holds every request on a subject, and answers all of them at once when it is told: what that takes by itself. */
import { connectBus } from '@postern/nats';

import { serveJobs } from '../lease/process.mjs';

const held = [];

serveJobs(async (job) => {
  if (job.kind === 'connect') {
    const { connection } = await connectBus({ ...job.link, name: 'bench hold' });
    const callback = (_error, message) => held.push(message);
    connection.subscribe(job.subject, { queue: 'hold', callback });
    await connection.flush();
    return undefined;
  }
  if (job.kind === 'count') return held.length;
  const reply = JSON.stringify({ credential_version: 2, filled: 'x'.repeat(job.bytes) });
  const atMs = performance.timeOrigin + performance.now();
  for (const message of held.splice(0)) message.respond(reply);
  return atMs;
});
