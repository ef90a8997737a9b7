/**
 * An authorization server that does as little as one can: it answers each refresh after a while with the next refresh
 * token of its family, and never takes one twice.
 */
import { createServer } from 'node:http';

import { serveJobs } from '../lease/process.mjs';

let delayMs = 0;
let lifeS = 3_600;
/** The number of the refresh token that each family is at. */
let families = new Map();
let arrivals = [];
let refused = 0;
let answeredAtMs = 0;

serveJobs(async (job) => {
  switch (job.kind) {
    case 'listen':
      return await listen();
    case 'set': {
      ({ delayMs = delayMs, lifeS = lifeS } = job);
      families = new Map();
      arrivals = [];
      refused = 0;
      return undefined;
    }
    case 'count':
      return { calls: arrivals.length, refused, answeredAtMs };
    case 'seen':
      return { seen: families.has(job.family), calls: arrivals.length };
    case 'rate':
      return { calls: arrivals.length, refused, perSecond: middleRate() };
    default:
      throw new Error(`there is no job ${job.kind}`);
  }
});

async function listen() {
  const server = createServer((request, response) => {
    const { port } = server.address();
    const issuer = `http://127.0.0.1:${port}`;
    if (request.method === 'GET') return answer(response, 200, metadataOf(issuer));
    let body = '';
    request.setEncoding('utf8').on('data', (text) => (body += text));
    request.on('end', () => {
      arrivals.push(performance.now());
      const given = new URLSearchParams(body).get('refresh_token') ?? '';
      if (delayMs === 0) return refresh(response, given);
      // Whoever is gone by then has spent nothing.
      setTimeout(() => response.destroyed || refresh(response, given), delayMs);
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { issuer: `http://127.0.0.1:${server.address().port}` };
}

function refresh(response, given) {
  const [family, number] = given.split('/');
  if (Number(number) !== (families.get(family) ?? 0)) {
    refused += 1;
    return answer(response, 400, { error: 'invalid_grant' });
  }
  const next = Number(number) + 1;
  families.set(family, next);
  answeredAtMs = performance.timeOrigin + performance.now();
  answer(response, 200, {
    access_token: `${'a'.repeat(110)}${String(next).padStart(18, '0')}`,
    token_type: 'Bearer',
    expires_in: lifeS,
    refresh_token: `${family}/${next}`,
  });
}

function answer(response, status, json) {
  const body = JSON.stringify(json);
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    .end(body);
}

function metadataOf(issuer) {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    token_endpoint_auth_methods_supported: ['client_secret_basic'],
  };
}

/** Calls a second without the first and the last tenth, in which not everyone has work. */
function middleRate() {
  const first = Math.floor(arrivals.length * 0.1);
  const last = Math.floor(arrivals.length * 0.9) - 1;
  return ((last - first) * 1_000) / (arrivals[last] - arrivals[first]);
}
