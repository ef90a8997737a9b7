/**
 * What a refresh cannot do without, in a loop: one call at the token endpoint, one commit in PostgreSQL, three appends to
 * JetStream, each at the position that it expects.
 */
import { Agent, request as httpRequest } from 'node:http';

import { jetstreamManager } from '@nats-io/jetstream';
import { headers as natsHeaders } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';

import { serveJobs } from '../lease/process.mjs';

serveJobs(async ({ servers, databaseUrl, issuer, families, inFlight, commitBytes, rowBytes }) => {
  const connection = await connect({ servers });
  const { streams } = await jetstreamManager(connection);
  await streams.add({ name: 'BARE', subjects: ['bare.*'], storage: 'file' });
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 10 });
  const agent = new Agent({ keepAlive: true });
  const payload = Buffer.alloc(commitBytes, 0x61);
  const row = Buffer.alloc(rowBytes, 0x61);
  await pool.query('create table if not exists bare_credential (id text, version integer, ciphertext bytea)');
  const waiting = [...families];
  const since = performance.now();
  const worker = async () => {
    for (let family = waiting.pop(); family !== undefined; family = waiting.pop()) {
      let position = 0;
      const append = async () => {
        const headers = natsHeaders();
        headers.set('Nats-Expected-Last-Subject-Sequence', String(position));
        const answer = (await connection.request(`bare.${family}`, payload, { headers, timeout: 30_000 })).json();
        if (answer.error !== undefined) throw new Error(answer.error.description);
        position = answer.seq;
      };
      await append();
      await append();
      const { refresh_token: refreshToken } = await call(agent, issuer, `${family}/0`);
      await pool.query('insert into bare_credential values ($1, 2, $2)', [refreshToken, row]);
      await append();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const perSecond = (families.length * 1_000) / (performance.now() - since);
  await pool.end();
  agent.destroy();
  await connection.close();
  return { perSecond };
});

function call(agent, issuer, refreshToken) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }).toString();
  const options = {
    agent,
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': body.length,
      authorization: `Basic ${Buffer.from('bench:secret').toString('base64')}`,
    },
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${issuer}/token`, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part));
      response.on('end', () => (response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(text))));
    });
    request.once('error', reject);
    request.end(body);
  });
}
