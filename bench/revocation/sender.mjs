/** Slack, as far as it matters here: signed deliveries, one at a time or many at once. */
import { createHmac } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';

import { serveJobs } from '../lease/process.mjs';
import { nowMs } from './now.mjs';

const agent = new Agent({ keepAlive: true });
let secret;
let events = 0;

serveJobs(async (job) => {
  if (job.kind === 'prepare') {
    ({ secret } = job);
    return undefined;
  }
  const { kind, port, path, said } = job;
  const deliveries = said.map(deliveryOf);
  return kind === 'one' ? await send(deliveries[0], { port, path }) : await sendAll(deliveries, job);
});

/** `token` is what Slack has always sent, and nobody may store. */
function deliveryOf({ team, event }) {
  events += 1;
  const sentS = Math.floor(Date.now() / 1_000);
  const body = JSON.stringify({
    ...{ token: 'a'.repeat(24), team_id: team, api_app_id: 'A0123456789', type: 'event_callback', event },
    ...{ event_id: `Ev${String(events).padStart(9, '0')}`, event_time: sentS },
  });
  const signature = createHmac('sha256', secret).update(`v0:${sentS}:${body}`).digest('hex');
  const headers = {
    'content-type': 'application/json',
    'content-length': body.length,
    'x-slack-request-timestamp': String(sentS),
    'x-slack-signature': `v0=${signature}`,
  };
  return { body, headers };
}

/** @returns when its last byte was written, and when it was answered */
function send({ body, headers }, { port, path }) {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, agent, method: 'POST', headers };
    let sentAtMs;
    const request = httpRequest(options, (response) => {
      response.resume();
      response.once('end', () => {
        if (response.statusCode === 200) resolve({ sentAtMs, answeredAtMs: nowMs() });
        else reject(new Error(`${path} answered ${response.statusCode}`));
      });
    });
    request.once('error', reject);
    sentAtMs = nowMs();
    request.end(body);
  });
}

async function sendAll(deliveries, { port, path, inFlight }) {
  const waiting = [...deliveries];
  const since = nowMs();
  const worker = async () => {
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) await send(one, { port, path });
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { perSecond: (deliveries.length * 1_000) / (nowMs() - since) };
}
