/** Many who ask for the refresh of one connection at the same time, over the bus; or who publish at the same time. */
import { newId, streams, subjects } from '@postern/contracts';
import { connectBus, publishMessage } from '@postern/nats';

import { serveJobs } from '../lease/process.mjs';

const answerTimeoutMs = 30_000;
let bus;

serveJobs(async (job) => {
  switch (job.kind) {
    case 'connect': {
      await bus?.close();
      bus = await connectBus({ ...job.link, name: 'bench askers' });
      return undefined;
    }
    case 'ask':
      return await askTogether(job);
    case 'publish':
      return await publishTogether(job.count);
    default:
      throw new Error(`there is no job ${job.kind}`);
  }
});

const nowMs = () => performance.timeOrigin + performance.now();

async function askTogether({ subject, connectionId, credentialVersion, count }) {
  const payload = JSON.stringify({ connection_id: connectionId, credential_version: credentialVersion });
  const ask = async () => {
    // One without an answer makes its round none of those with exactly one call.
    const answer = await bus.connection.request(subject, payload, { timeout: answerTimeoutMs }).catch(() => undefined);
    return { atMs: nowMs(), version: answer?.json().credential_version, isAnswered: answer !== undefined };
  };
  const answers = await Promise.all(Array.from({ length: count }, ask));
  return {
    unanswered: answers.filter(({ isAnswered }) => !isAnswered).length,
    atMs: answers.map(({ atMs }) => atMs),
    refreshed: answers.filter(({ version }) => version === credentialVersion + 1).length,
  };
}

/** Each message is stored with an fsync, on a subject of its own, and none of them goes meanwhile. */
async function publishTogether(count) {
  const sinceMs = nowMs();
  const publish = async () => {
    const subject = subjects.access({ service: 'vault', writer: newId('connection') });
    await publishMessage(bus, { stream: streams.access.name, subject, payload: {}, ackTimeoutMs: answerTimeoutMs });
    return nowMs();
  };
  return { sinceMs, atMs: await Promise.all(Array.from({ length: count }, publish)) };
}
