/** Many who ask for the refresh of one connection at the same time, over the bus. */
import { connectBus } from '@postern/nats';

import { serveJobs } from '../lease/process.mjs';

let connection;

serveJobs(async (job) => {
  if (job.kind === 'connect') {
    ({ connection } = await connectBus({ ...job.link, name: 'bench askers' }));
    return undefined;
  }
  const { subject, connectionId, credentialVersion, count } = job;
  const payload = JSON.stringify({ connection_id: connectionId, credential_version: credentialVersion });
  const ask = async () => {
    const answer = await connection.request(subject, payload, { timeout: 30_000 });
    const atMs = performance.timeOrigin + performance.now();
    const version = answer.json().credential_version;
    return { atMs, version };
  };
  const answers = await Promise.all(Array.from({ length: count }, ask));
  return {
    atMs: answers.map(({ atMs }) => atMs),
    refreshed: answers.filter(({ version }) => version === credentialVersion + 1).length,
  };
});
