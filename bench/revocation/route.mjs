/** A bare Fastify route that stores what it is sent with one fsync, and then answers. */
import { createRequire } from 'node:module';

import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

import { serveJobs } from '../lease/process.mjs';

const { fastify } = createRequire(import.meta.resolve('@nestjs/platform-fastify'))('fastify');

serveJobs(async ({ servers }) => {
  const connection = await connect({ servers });
  const { streams } = await jetstreamManager(connection);
  await streams.add({ name: 'BARE_INTAKE', subjects: ['bare.intake'], storage: 'file' });
  const server = fastify();
  server.post('/webhook', async ({ body }) => {
    const { error } = (await connection.request('bare.intake', JSON.stringify(body), { timeout: 30_000 })).json();
    if (error !== undefined) throw new Error(error.description);
    return '';
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  return { httpPort: server.server.address().port };
});
