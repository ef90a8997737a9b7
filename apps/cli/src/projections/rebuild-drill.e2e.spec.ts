import { readFileSync } from 'node:fs';

import { isPosternError, modelNames, operations, type Projection } from '@postern/contracts';
import { openDatabase, type Database } from '@postern/persistence';
import { waitFor } from '@postern/testing';

import { story } from '../demo/story.ts';
import { withWorld, type World } from '../demo/world.ts';
import { makeLog } from '../spec-support/bulk-log.ts';
import { ranPostern } from '../spec-support/postern-command.ts';
import { Traffic } from '../spec-support/traffic.ts';

const events = 100_000;
const wholeTimeoutMs = 900_000;
const patience = { timeoutMs: wholeTimeoutMs / 4 };
const leasers = 4;
const folded = ['connection', 'connection_health', 'notification', 'notification_basis'] as const;
const all = [...folded, 'access_hour'] as const;

/** As an operator does: asked again while `audit` is too busy to answer, or at it still; any other end fails the drill. */
async function command({ session }: World, ...args: string[]): Promise<string> {
  const take = async () => {
    const { exitCode, stdout, stderr } = await ranPostern(session.folder.root, ...args);
    if (exitCode === 0) return stdout;
    if (isPassing(stderr)) return undefined;
    throw new Error(`postern ${args.join(' ')} ended with ${exitCode}: ${stderr}${stdout}`);
  };
  return await waitFor(take, { ...patience, describe: `postern ${args.join(' ')}` });
}

const isPassing = (said: string) =>
  /bus\.(unavailable|timeout)|audit\.(database_unavailable|projection_superseded)/.test(said);

/** Resolves once this holds of every read model; `audit` may be too busy to say so for a while. */
async function untilEvery({ session, tenantId }: World, holds: (one: Projection) => boolean, describe: string) {
  const look = async () => {
    try {
      return (await session.call(operations.listProjections, tenantId, {})).projections.every(holds);
    } catch (error) {
      if (isPosternError(error) && isPassing(error.code)) return false;
      throw error;
    }
  };
  await waitFor(look, { ...patience, describe });
}

const isCurrent = ({ state, set_aside: aside }: Projection) => state === 'current' && aside.count === 0;
const isBegun = ({ generations }: Projection) => generations.some(({ role }) => role === 'live');

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
        expect(made.events).toBe(events);
        const tables = tablesOf(world);
        const current = async () => await untilEvery(world, isCurrent, 'every read model to be at the end of its log');
        try {
          await current();
          const before = await contentsOf(tables, tenantId);
          expect(before['connection']?.length).toBe(made.connections + 1);

          const leasing = new Traffic(world, { leased: Array<string>(leasers).fill(world.connectionId) });
          await leasing.goesOn(leasers, patience);
          await dropAll(tables, tenantId);
          await untilEvery(world, isBegun, 'the read models to begin anew'); // One once more, beside the one that makes itself anew.
          await command(world, 'projections', 'rebuild', 'connections');
          await current();
          await leasing.stop();
          expect(leasing.failures).toEqual([]);
          await current();
          expect(await contentsOf(tables, tenantId)).toEqual(before);
          const { verified } = JSON.parse(await command(world, '--json', 'projections', 'verify')) as {
            verified: unknown[];
          };
          expect(verified).toEqual(
            modelNames.map((model) => expect.objectContaining({ model, same: true, difference: null }) as unknown),
          );
          expect(await command(world, 'health')).toContain('openid-connect');
          const ofOne = await command(world, 'health', '--connection', world.connectionId);
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
