import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import { modelNames, operations } from '@postern/contracts';
import { openDatabase, type Database } from '@postern/persistence';
import { waitFor } from '@postern/testing';

import { story } from '../demo/story.ts';
import { withWorld, type World } from '../demo/world.ts';
import { makeLog } from '../spec-support/bulk-log.ts';

/** As many as CI can afford; POSTERN_DRILL_EVENTS=100000 is the drill that the figures are from. */
const events = Number(process.env['POSTERN_DRILL_EVENTS'] ?? 2_000);
const wholeTimeoutMs = 300_000 + events * 20;
const patience = { timeoutMs: wholeTimeoutMs / 2 };
const long = { timeoutMs: wholeTimeoutMs };
const leasers = 4;
const folded = ['connection', 'connection_health', 'notification', 'notification_basis'] as const;
const all = [...folded, 'access_hour'] as const;

const run = promisify(execFile);
const command = join(import.meta.dirname, '../../bin/postern.mjs');

/** As an operator does; a command that ends with anything but 0 fails the drill. */
async function postern({ session }: World, ...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [command, '--data', session.folder.root, ...args]);
  return stdout;
}

/** Leases all the time, and keeps every answer that brought no token. */
class Leasers {
  readonly refused: string[] = [];
  granted = 0;
  #stopping = false;
  readonly #running: Promise<void>[];

  constructor({ http, connectionId, agentId }: World) {
    const lease = async () => {
      while (!this.#stopping) {
        const request = { agent_id: agentId, purpose: 'during a rebuild' };
        const { status, body } = await http.request('POST', `/v1/connections/${connectionId}/token`, request);
        if (typeof body['access_token'] === 'string') this.granted += 1;
        else this.refused.push(`${status} ${String(body['code'])}`);
        await delay(10);
      }
    };
    this.#running = Array.from({ length: leasers }, lease);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
  }
}

function tablesOf({ session }: World): Database {
  const url = readFileSync(session.folder.secretFile('audit-database-url'), 'utf8');
  return openDatabase({
    url,
    entities: [],
    schema: 'audit',
    poolMax: 1,
    unavailableCode: 'audit.database_unavailable',
  });
}

/** Every row as text, but for the number of its generation. */
async function contentsOf(tables: Database, tenantId: string): Promise<Record<string, string[]>> {
  const contents: Record<string, string[]> = {};
  for (const table of folded) {
    const text = `select (to_jsonb(t) - 'generation')::text as row from audit.${table} t order by 1`;
    const rows = await tables.readInTenant(tenantId, { name: `all_${table}`, text, values: [] });
    contents[table] = rows.map(({ row }) => String(row));
  }
  return contents;
}

async function dropAll(tables: Database, tenantId: string): Promise<void> {
  await tables.acrossTenants(async ({ run, inTenant }) => {
    for (const shared of ['projection', 'set_aside', 'access_writer']) {
      await run({ name: `drop_${shared}`, text: `delete from audit.${shared}`, values: [] });
    }
    const queries = all.map((table) => ({ name: `drop_${table}`, text: `delete from audit.${table}`, values: [] }));
    await inTenant(tenantId, queries);
  });
}

test(
  `all read models of ${events} events are dropped and made anew while leases go on: none fails, and the tables are the same`,
  async () => {
    await withWorld(
      () => undefined,
      async (world) => {
        const { session, tenantId } = world;
        await world.acme.setAccessTokenTtl(3_600);
        await story[0]?.run(world);
        await story[1]?.run(world);
        const made = await makeLog(session, { events, platformId: world.platform?.platformId ?? '' });
        const tables = tablesOf(world);
        const caughtUp = async () => {
          const { projections } = await session.call(operations.listProjections, tenantId, {});
          return projections.every(({ state, set_aside: aside }) => state === 'current' && aside.count === 0);
        };
        const wait = () => waitFor(caughtUp, { ...patience, describe: 'every read model to be at the end of its log' });
        try {
          await wait();
          const before = await contentsOf(tables, tenantId);
          expect(before['connection']?.length).toBeGreaterThanOrEqual(made / 20);

          const leasing = new Leasers(world);
          await waitFor(() => Promise.resolve(leasing.granted > 0), { ...patience, describe: 'leases to begin' });
          await dropAll(tables, tenantId);
          const begun = async () => {
            const { projections } = await session.call(operations.listProjections, tenantId, {});
            return projections.every(({ generations }) => generations.some(({ role }) => role === 'live'));
          };
          await waitFor(begun, { ...patience, describe: 'the read models to begin anew' });
          for (const model of modelNames) await session.call(operations.rebuildProjection, tenantId, { model }, long);
          await leasing.stop();
          expect(leasing.refused).toEqual([]);
          expect(leasing.granted).toBeGreaterThan(leasers);

          await wait();
          expect(await contentsOf(tables, tenantId)).toEqual(before);
          const { verified } = JSON.parse(await postern(world, '--json', 'projections', 'verify')) as {
            verified: unknown[];
          };
          expect(verified).toEqual(
            modelNames.map((model) => expect.objectContaining({ model, same: true, difference: null }) as unknown),
          );
          expect(await postern(world, 'projections', 'list')).toContain('current');
          expect(await postern(world, 'health')).toContain('openid-connect');
          const ofOne = await postern(world, 'health', '--connection', world.connectionId);
          expect(ofOne).toContain(`${world.connectionId}  ok: Nothing fails.`);
          const { status, body } = await world.http.request('GET', `/v1/health/connections/${world.connectionId}`);
          expect([status, body['state'], body['data_age_s']]).toEqual([200, 'ok', 0]);
        } finally {
          await tables.close();
        }
      },
    );
  },
  wholeTimeoutMs,
);
