/** The requests of a benchmark: so many in flight for so long, over the bus or over HTTP. */
import { Agent, request as httpRequest } from 'node:http';

import { generateSealingKey } from '@postern/crypto';
import { connectBus } from '@postern/nats';

import { median } from '../median.mjs';
import { serveJobs } from './process.mjs';

const requestTimeoutMs = 20_000;
let connection;
let payloads = { one: [], many: [] };
let at = 0;

serveJobs(async (job) => {
  switch (job.kind) {
    case 'prepare':
      return await prepare(job);
    case 'bus':
      return await drive(job, () => overBus(job));
    case 'http': {
      const agent = new Agent({ keepAlive: true, maxSockets: job.inFlight });
      const result = await drive(job, () => overHttp(job, agent));
      agent.destroy();
      return result;
    }
    case 'each':
      return await each(job);
    case 'bus-one':
      return { bytes: await overBus(job) };
    case 'http-one':
      return { bytes: await overHttp(job, new Agent()) };
    default:
      throw new Error(`there is no job ${job.kind}`);
  }
});

/** Every request is written beforehand: with one recipient for all, and with one for each connection. */
async function prepare({ link, ids, agentId }) {
  await connection?.close();
  connection = (await connectBus({ ...link, name: 'bench load' })).connection;
  const payloadOf = (id, key) =>
    Buffer.from(JSON.stringify({ connection_id: id, agent_id: agentId, purpose: 'sync contacts', recipient_key: key }));
  const one = generateSealingKey().publicJwk;
  payloads = {
    one: ids.map((id) => payloadOf(id, one)),
    many: ids.map((id) => payloadOf(id, generateSealingKey().publicJwk)),
  };
  at = 0;
  return { requestBytes: payloads.one[0].byteLength };
}

async function drive({ inFlight, durationMs }, send) {
  const times = [];
  let late = 0;
  const since = performance.now();
  const until = since + durationMs;
  const worker = async () => {
    for (let begun = performance.now(); begun < until; begun = performance.now()) {
      if (await inTime(send)) times.push(performance.now() - begun);
      else late += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return told(times, since, late);
}

function told(times, since, late) {
  return {
    count: times.length,
    perSecond: (times.length * 1_000) / (performance.now() - since),
    p50Ms: median(times),
    late,
  };
}

/** A machine that is too slow for a deadline breaks nothing: that is counted. Everything else is an error. */
async function inTime(send) {
  try {
    await send();
    return true;
  } catch (error) {
    if (error instanceof Late || error.name === 'TimeoutError') return false;
    throw error;
  }
}

class Late extends Error {}

/** Once for every connection, and how long each took. */
async function each({ subject, inFlight = 1, from, to }) {
  const times = [];
  const since = performance.now();
  let late = 0;
  let next = from;
  const worker = async () => {
    while (next < to) {
      const payload = payloads.one[next++];
      const begun = performance.now();
      const send = async () => refuseError(await connection.request(subject, payload, { timeout: requestTimeoutMs }));
      if (await inTime(send)) times.push(performance.now() - begun);
      else late += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return told(times, since, late);
}

async function overBus({ subject, recipients = 'one', checked = false }) {
  const payload = payloads[recipients][at++ % payloads.one.length];
  const answer = await connection.request(subject, payload, { timeout: requestTimeoutMs });
  if (checked) refuseError(answer);
  return answer.data.byteLength;
}

/** A problem document begins with its type; a lease never does. */
function refuseError(answer) {
  if (answer.data[2] !== 0x74) return;
  const status = answer.headers?.get('Nats-Service-Error-Code') ?? '';
  if (status === '503' || status === '504') throw new Late(answer.string());
  if (status !== '') throw new Error(answer.string());
}

function overHttp({ port, token, ids, body }, agent) {
  const path = `/v1/connections/${ids[at++ % ids.length]}/token`;
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', agent, method: 'POST', path, headers }, (response) => {
      let bytes = 0;
      response.on('data', (chunk) => (bytes += chunk.length));
      response.once('end', () =>
        response.statusCode === 200 ? resolve(bytes) : reject(httpError(path, response.statusCode)),
      );
    });
    request.once('error', reject);
    request.end(body);
  });
}

function httpError(path, status) {
  const sentence = `${path} answered ${status}`;
  return status === 503 || status === 504 ? new Late(sentence) : new Error(sentence);
}
