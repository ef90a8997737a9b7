/** Takes in whatever is sent by OTLP over HTTP, and counts it. */
import { createServer } from 'node:http';

import { serveJobs } from '../lease/process.mjs';

const received = { requests: 0, bytes: 0 };

serveJobs(async ({ kind }) => {
  if (kind === 'received') return received;
  const server = createServer((request, response) => {
    request.on('data', (chunk) => (received.bytes += chunk.length));
    request.once('end', () => {
      received.requests += 1;
      response.end();
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port };
});
