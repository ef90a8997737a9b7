/** A bare Fastify route that makes one NATS request and answers with JSON. */
import { connectBus } from '@postern/nats';
import { createRequire } from 'node:module';

import { serveJobs } from './process.mjs';

const { fastify } = createRequire(import.meta.resolve('@nestjs/platform-fastify'))('fastify');

serveJobs(async ({ link, subject, requestBytes, replyBytes }) => {
  const { connection } = await connectBus({ ...link, name: 'bench route' });
  const payload = Buffer.alloc(requestBytes, 0x61);
  const padding = 'a'.repeat(Math.max(0, replyBytes - JSON.stringify({ padding: '' }).length));
  const server = fastify();
  server.post('/v1/connections/:id/token', async () => {
    await connection.request(subject, payload, { timeout: 10_000 });
    return { padding };
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  return { httpPort: server.server.address().port };
});
