/** Who leases all the time, and notes when that ends. */
import { generateSealingKey } from '@postern/crypto';
import { connectBus } from '@postern/nats';

import { serveJobs } from '../lease/process.mjs';
import { nowMs } from './now.mjs';

const requestTimeoutMs = 20_000;
let connection;
let asked;

serveJobs(async (job) => {
  switch (job.kind) {
    case 'prepare': {
      connection = (await connectBus({ ...job.link, name: 'bench leasers' })).connection;
      const more = { agent_id: job.agentId, purpose: 'sync contacts', recipient_key: generateSealingKey().publicJwk };
      asked = { subject: job.subject, more };
      return undefined;
    }
    case 'warm':
      return await warm(job);
    case 'watch':
      return await watch(job);
    case 'sweep':
      return await sweep(job);
    default:
      throw new Error(`there is no job ${job.kind}`);
  }
});

/** @returns `granted`, `revoked`, or `late` where a machine is too slow; everything else is an error */
async function lease(id) {
  const payload = JSON.stringify({ connection_id: id, ...asked.more });
  try {
    const answer = await connection.request(asked.subject, payload, { timeout: requestTimeoutMs });
    const status = answer.headers?.get('Nats-Service-Error-Code') ?? '';
    if (status === '') return 'granted';
    if (status === '503' || status === '504') return 'late';
    if (answer.json().code === 'connection.revoked') return 'revoked';
    throw new Error(answer.string());
  } catch (error) {
    if (error.name === 'TimeoutError') return 'late';
    throw error;
  }
}

async function warm({ ids, inFlight }) {
  const waiting = [...ids];
  const worker = async () => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      while ((await lease(id)) !== 'granted');
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

/** One after the other, until one is refused. @returns when that was heard */
async function watch({ id }) {
  while ((await lease(id)) !== 'revoked');
  return nowMs();
}

/**
 * All of them again and again, until each is refused, and for a while beyond.
 *
 * @returns when the first and the last were, and how many were granted after their own refusal.
 */
async function sweep({ ids, inFlight, beyondMs }) {
  const refused = new Set();
  const figures = { granted: 0, late: 0, grantedAfterRefusal: 0 };
  let at = 0;
  let until = Infinity;
  const worker = async () => {
    while (nowMs() < until) {
      const id = ids[at++ % ids.length];
      const wasRefused = refused.has(id);
      // While some are left, those that are refused are not asked again and again.
      if (wasRefused && until === Infinity) {
        if (at % ids.length === 0) await new Promise(setImmediate);
        continue;
      }
      const outcome = await lease(id);
      if (outcome === 'late') figures.late += 1;
      if (outcome === 'granted') figures.granted += 1;
      if (outcome === 'granted' && wasRefused) figures.grantedAfterRefusal += 1;
      if (outcome !== 'revoked' || refused.has(id)) continue;
      refused.add(id);
      figures.firstAtMs ??= nowMs();
      if (refused.size < ids.length) continue;
      figures.lastAtMs = nowMs();
      until = figures.lastAtMs + beyondMs;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return figures;
}
