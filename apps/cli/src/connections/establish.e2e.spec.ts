import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { EventView } from '@postern/contracts';
import { describeWithServer } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { story } from '../demo/story.ts';
import { withWorld, type World } from '../demo/world.ts';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const wholeTimeoutMs = 300_000;
const patientlyMs = 60_000;
const run = promisify(execFile);

/** What `postern connections … --json` prints, or the problem with which it refuses. */
async function connections({ dataRoot }: World, ...args: string[]): Promise<Record<string, unknown>> {
  const all = [command, 'connections', ...args, '--data', join(dataRoot, 'data'), '--json'];
  const { stdout } = await run(process.execPath, all).catch(({ stderr }: { stderr: string }) => ({ stdout: stderr }));
  return JSON.parse(stdout) as Record<string, unknown>;
}

async function eventsOf({ http }: World, id: string): Promise<EventView[]> {
  return (await http.request('GET', `/v1/connections/${id}/events`)).body['events'] as EventView[];
}

async function heard(world: World, id: string, type: string): Promise<EventView> {
  const find = async () => (await eventsOf(world, id)).find((event) => event.type === type);
  return await waitFor(find, { describe: `${type} did not happen`, timeoutMs: patientlyMs });
}

await describeWithServer('nats-server', 'a connection by client credentials', () => {
  test(
    'is established, leased, renewed with nobody asking, revoked at the provider, made anew and deleted',
    async () => {
      await withWorld(
        () => undefined,
        async (world) => {
          await story[0]?.run(world);
          const { http, registrationId, agentId, acme } = world;
          try {
            const wanted = {
              registration_id: registrationId,
              grant: { type: 'client_credentials' },
              scopes: ['contacts:read'],
              idempotency_key: 'nightly-import',
            };
            const made = await http.request('POST', '/v1/connections', wanted);
            expect(made).toMatchObject({
              status: 201,
              body: { scope: ['contacts:read'], freshness: { health: 'ok' } },
            });
            const id = String(made.body['connection_id']);
            const again = await http.request('POST', '/v1/connections', wanted);
            expect(again.body['connection_id']).toBe(id);

            const lease = async () =>
              await http.request('POST', `/v1/connections/${id}/token`, { agent_id: agentId, purpose: 'import' });
            const first = await lease();
            expect(first).toMatchObject({ status: 200, body: { token_type: 'Bearer', credential_version: 1 } });
            await heard(world, id, 'AccessTokenRefreshed');
            const second = await lease();
            expect(second.body['access_token']).not.toBe(first.body['access_token']);
            const types = (await eventsOf(world, id)).map(({ type }) => type);
            expect(types).not.toContain('RefreshTokenRotated');
            expect(types).not.toContain('ReauthorizationRequired');

            const revoked = await connections(world, 'revoke', id);
            expect(revoked['freshness']).toMatchObject({ health: 'revoked' });
            expect(await lease()).toMatchObject({ status: 409, body: { code: 'connection.revoked' } });
            expect((await lease()).body).not.toHaveProperty('reauthorize_url');
            expect((await heard(world, id, 'UpstreamRevocationCompleted')).data).toMatchObject({ method: 'rfc7009' });
            const dead = await fetch(acme.endpoints.contacts, {
              headers: { authorization: `Bearer ${String(second.body['access_token'])}` },
            });
            expect(dead.status).toBe(401);
            expect(await connections(world, 'reauthorize', id)).toMatchObject({ code: 'connection.unattended' });

            const grant = ['--grant', 'client_credentials'];
            const anew = await connections(
              world,
              'establish',
              ...grant,
              '--connection',
              id,
              '--scope',
              'contacts:read',
            );
            expect(anew).toMatchObject({ connection_id: id, freshness: { health: 'ok' } });
            expect((await lease()).status).toBe(200);
            expect(await connections(world, 'establish', ...grant, '--registration', registrationId)).toMatchObject({
              code: 'request.malformed',
            });

            await connections(world, 'delete', id);
            await heard(world, id, 'ConnectionKeyShredded');
            expect((await lease()).body['code']).toBe('connection.deleted');
          } finally {
            await world.listener?.close();
          }
        },
      );
    },
    wholeTimeoutMs,
  );
});
