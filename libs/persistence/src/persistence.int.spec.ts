import { rmSync } from 'node:fs';
import { defineEntity, p } from '@mikro-orm/core';
import { MikroORM } from '@mikro-orm/postgresql';
import { newId } from '@postern/contracts';
import { startPostgres, temporaryDataDir, type Postgres } from '@postern/servers';
import { startTcpProxy } from '@postern/testing';
import {
  isUniqueViolation,
  lookup,
  migrateDatabase,
  openDatabase,
  tenantPolicySql,
  type Database,
  type MigrateOptions,
} from './index.ts';

const Note = defineEntity({
  name: 'Note',
  tableName: 'note',
  properties: { tenantId: p.string().primary(), noteId: p.string().primary(), text: p.string() },
});

type Place = MigrateOptions & { readonly ownerUrl: string };

const migrations = [
  {
    name: '0001_note',
    sql: [
      'create table notes.note (tenant_id text not null, note_id text not null, text text not null, primary key (tenant_id, note_id))',
      ...tenantPolicySql('notes.note'),
    ],
  },
];
const servicePassword = 'a-password-of-the-service';
const [tenantA, tenantB] = [newId('tenant'), newId('tenant')];

const poolMax = 4;
let dataDir: string;
let postgres: Postgres;
let databases = 0;
const opened: Database[] = [];

beforeAll(async () => {
  dataDir = temporaryDataDir('postern-persistence-');
  postgres = await startPostgres({ dataDir: `${dataDir}/postgres` });
});

afterAll(async () => {
  for (const database of opened) await database.close();
  await postgres.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function freshPlace(): Promise<Place> {
  databases += 1;
  const name = `persistence_${databases}`;
  await postgres.createDatabase(name);
  return {
    ownerUrl: postgres.urlOf(name),
    schema: 'notes',
    migrations,
    serviceRole: `notes_service_${databases}`,
    servicePassword,
    grants: { note: ['select', 'insert', 'delete'] },
  };
}

function open(place: Place, url = serviceUrl(place), sharedTables: string[] = []): Database {
  const database = openDatabase({
    url,
    entities: [Note],
    schema: 'notes',
    poolMax,
    sharedTables,
    unavailableCode: 'vault.database_unavailable',
  });
  opened.push(database);
  return database;
}

function serviceUrl({ ownerUrl, serviceRole }: Place): string {
  return Object.assign(new URL(ownerUrl), { username: serviceRole, password: servicePassword }).href;
}

async function asOwner(place: Place, ...statements: string[]): Promise<void> {
  const orm = new MikroORM({ clientUrl: place.ownerUrl, entities: [], discovery: { warnWhenNoEntities: false } });
  try {
    for (const statement of statements) await orm.em.getConnection().execute(statement);
  } finally {
    await orm.close(true);
  }
}

const coded = (code: string) => expect.objectContaining({ code });

describe('a migrated database', () => {
  test('holds each migration once, however often and by how many it is run', async () => {
    const place = await freshPlace();
    const runs = await Promise.all([migrateDatabase(place), migrateDatabase(place), migrateDatabase(place)]);
    expect(runs.flat()).toEqual(['0001_note']);
  });

  test('shows a transaction the rows of its own tenant, and none after it', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const database = open(place);
    await database.checkWalls();
    await database.inTenant(tenantA, async (em) => em.insert(Note, { tenantId: tenantA, noteId: '1', text: 'a' }));
    expect(await database.inTenant(tenantA, (em) => em.count(Note))).toBe(1);
    expect(await database.inTenant(tenantB, (em) => em.count(Note))).toBe(0);
    const foreign = database.inTenant(tenantB, (em) => em.insert(Note, { tenantId: tenantA, noteId: '2', text: 'b' }));
    await expect(foreign).rejects.toThrow('row-level security');
  });

  test('rolls back when the work throws', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const database = open(place);
    const failed = database.inTenant(tenantA, async (em) => {
      await em.insert(Note, { tenantId: tenantA, noteId: '1', text: 'a' });
      throw new Error('stop');
    });
    await expect(failed).rejects.toThrow('stop');
    expect(await database.inTenant(tenantA, (em) => em.count(Note))).toBe(0);
  });

  test('gives the service its grants and nothing beside them', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const database = open(place);
    for (const statement of [
      "update notes.note set text = 'x'",
      'truncate notes.note',
      'create table notes.other (a int)',
      'create temporary table other (a int)',
      'alter table notes.note no force row level security',
      'drop policy tenant_wall on notes.note',
      'select * from notes_migrations.migration',
    ]) {
      const attempt = database.inTenant(tenantA, (em) => em.execute(statement));
      await expect(attempt).rejects.toThrow(/permission denied|must be owner/);
    }
  });
});

describe('a transaction across tenants', () => {
  const put = (tenantId: string, text: string) => ({
    name: 'note_put',
    text: 'insert into notes.note (tenant_id, note_id, text) values ($1, $2, $3)',
    values: [tenantId, '1', text],
  });
  const seen = { name: 'notes_seen', text: 'select text from notes.note', values: [] };
  const fresh = async (): Promise<Database> => {
    const place = await freshPlace();
    await migrateDatabase(place);
    return open(place);
  };
  const textsOf = async (database: Database) =>
    (await Promise.all([tenantA, tenantB].map((tenantId) => database.readInTenant(tenantId, seen)))).flat();

  test('sees in each tenant that one’s rows, and outside of them none', async () => {
    const database = await fresh();
    const rows = await database.acrossTenants(async ({ inTenant, run }) => {
      const both = [inTenant(tenantA, [put(tenantA, 'a'), seen]), inTenant(tenantB, [put(tenantB, 'b'), seen])];
      return [await Promise.all(both), await run(seen)];
    });
    expect(rows).toEqual([
      [
        [[], [{ text: 'a' }]],
        [[], [{ text: 'b' }]],
      ],
      [],
    ]);
    expect(await textsOf(database)).toEqual([{ text: 'a' }, { text: 'b' }]);
  });

  test('lets no row into another tenant, and keeps none of them then', async () => {
    const database = await fresh();
    const crossed = database.acrossTenants(async ({ inTenant }) => {
      await inTenant(tenantA, [put(tenantA, 'a')]);
      await inTenant(tenantB, [put(tenantA, 'stolen')]);
    });
    await expect(crossed).rejects.toThrow('row-level security');
    expect(await textsOf(database)).toEqual([]);
  });

  test('fails with what nobody has waited for, rather than seem to be done', async () => {
    const database = await fresh();
    const careless = database.acrossTenants(async ({ inTenant }) => {
      inTenant(tenantB, [put(tenantA, 'stolen')]).catch(() => undefined);
      await inTenant(tenantA, []).catch(() => undefined);
    });
    await expect(careless).rejects.toThrow('row-level security');
    expect(await textsOf(database)).toEqual([]);
  });
});

describe('a read in one round trip', () => {
  const notes = { name: 'notes', text: 'select note_id, text from notes.note where text <> $1', values: ['none'] };

  test('sees the rows of its own tenant, whoever had the connection before', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const database = open(place);
    for (const tenantId of [tenantA, tenantB]) {
      const note = { tenantId, noteId: '1', text: tenantId };
      await database.inTenant(tenantId, async (em) => em.insert(Note, note));
    }
    const tenants = [tenantA, tenantB, tenantB, tenantA, newId('tenant'), tenantA, tenantB];
    const read = await Promise.all(tenants.map((tenantId) => database.readInTenant(tenantId, notes)));
    expect(read.map((rows) => rows.map(({ text }) => text))).toEqual(
      tenants.map((tenantId) => (tenantId === tenantA || tenantId === tenantB ? [tenantId] : [])),
    );
    expect(await database.inTenant(tenantB, (em) => em.count(Note))).toBe(1);
    await expect(database.readInTenant("ten_' or 1=1", notes)).rejects.toThrow(coded('request.malformed'));
  });

  test('changes nothing, and one that fails leaves the connection as it was', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const database = open(place);
    const insert = { name: 'insert', text: `insert into notes.note values ($1, 'x', 'x')`, values: [tenantA] };
    const wrong = { name: 'wrong', text: 'select $1::integer', values: ['no number'] };
    for (let turn = 0; turn < poolMax + 1; turn += 1) {
      await expect(database.readInTenant(tenantA, insert)).rejects.toThrow('read-only transaction');
      await expect(database.readInTenant(tenantA, wrong)).rejects.toThrow('invalid input syntax');
      expect(await database.readInTenant(tenantA, notes)).toEqual([]);
    }
    expect(await database.inTenant(tenantA, (em) => em.count(Note))).toBe(0);
  });

  test('that is lost on its way says so, and costs no place in the pool', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const proxy = await startTcpProxy({ targetPort: postgres.port });
    const url = new URL(serviceUrl(place));
    url.port = String(proxy.port);
    const database = open(place, url.href);
    for (let turn = 0; turn < poolMax + 1; turn += 1) {
      expect(await database.readInTenant(tenantA, notes)).toEqual([]);
      const loss = proxy.dropServerToClient((chunk) => chunk.includes('BEGIN'));
      await expect(database.readInTenant(tenantA, notes)).rejects.toThrow(coded('vault.database_unavailable'));
      expect(loss.lost()).toBe(1);
    }
    expect(await database.readInTenant(tenantA, notes)).toEqual([]);
    await proxy.close();
  });
});

describe('a lookup, which is one statement', () => {
  const notes = lookup(
    'notes_by_id',
    `select note.text from wall cross join unnest($2::text[]) as asked (note_id) cross join lateral (
      select text from notes.note where tenant_id = wall.tenant_id and note_id = asked.note_id limit 1
    ) as note`,
  );
  const made = async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const database = open(place);
    for (const tenantId of [tenantA, tenantB]) {
      await database.inTenant(tenantId, async (em) => em.insert(Note, { tenantId, noteId: '1', text: tenantId }));
    }
    return { place, database };
  };

  test('finds what is its tenant’s, on whichever connection, and keeps the tenant for nobody after it', async () => {
    const { database } = await made();
    const tenants = [tenantA, tenantB, tenantB, tenantA, newId('tenant'), tenantA, tenantB];
    for (let turn = 0; turn < 3; turn += 1) {
      const found = await Promise.all(
        tenants.map((tenantId) => database.lookUpInTenant(tenantId, notes, [['1', '2']])),
      );
      expect(found.map((rows) => rows.map(({ text }) => text))).toEqual(
        tenants.map((tenantId) => (tenantId === tenantA || tenantId === tenantB ? [tenantId] : [])),
      );
      const outside = Array.from({ length: poolMax }, () => database.inNoTenant((em) => em.count(Note)));
      expect(await Promise.all(outside)).toEqual(outside.map(() => 0));
    }
    await expect(database.lookUpInTenant("ten_' or 1=1", notes, [[]])).rejects.toThrow(coded('request.malformed'));
  });

  test('finds nothing, rather than another tenant’s, where it asks before its tenant is set or for another', async () => {
    const { database } = await made();
    const early = lookup('early', 'select text from notes.note, wall where wall.tenant_id is not null');
    const other = lookup(
      'other',
      `select note.text from wall cross join lateral (
        select text from notes.note where tenant_id = $2 or wall.tenant_id = $2 offset 0
      ) as note`,
    );
    const texts = async (asked: typeof early, values: unknown[]) =>
      (await database.lookUpInTenant(tenantA, asked, values)).map(({ text }) => text);
    for (let turn = 0; turn < poolMax + 1; turn += 1) {
      expect([[], [tenantA]]).toContainEqual(await texts(early, []));
      expect(await texts(other, [tenantB])).toEqual([]);
      expect(await texts(other, [tenantA])).toEqual([tenantA]);
    }
    expect(() => lookup('no wall', 'select text from notes.note')).toThrow('no wall');
  });

  test('that fails, or is lost on its way, says so and costs no place in the pool', async () => {
    const { place, database } = await made();
    const wrong = lookup('wrong', 'select $2::integer from wall where wall.tenant_id is not null');
    for (let turn = 0; turn < poolMax + 1; turn += 1) {
      await expect(database.lookUpInTenant(tenantA, wrong, ['none'])).rejects.toThrow('invalid input syntax');
      expect(await database.lookUpInTenant(tenantA, notes, [['1']])).toEqual([{ text: tenantA }]);
    }
    const proxy = await startTcpProxy({ targetPort: postgres.port });
    const url = new URL(serviceUrl(place));
    url.port = String(proxy.port);
    const distant = open(place, url.href);
    for (let turn = 0; turn < poolMax + 1; turn += 1) {
      expect(await distant.lookUpInTenant(tenantA, notes, [['1']])).toEqual([{ text: tenantA }]);
      const loss = proxy.dropServerToClient((chunk) => chunk.includes('SELECT'));
      const lost = distant.lookUpInTenant(tenantA, notes, [['1']]);
      await expect(lost).rejects.toThrow(coded('vault.database_unavailable'));
      expect(loss.lost()).toBe(1);
    }
    await proxy.close();
  });
});

describe('writes in one round trip', () => {
  const insert = (tenantId: string, noteId: string) => ({
    name: 'insert_note',
    text: 'insert into notes.note (tenant_id, note_id, text) values ($1, $2, $3) returning note_id',
    values: [tenantId, noteId, tenantId],
  });
  const count = { name: 'count_notes', text: 'select count(*)::integer as notes from notes.note', values: [] };

  test('are done together or not at all, each seeing those before it', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const database = open(place);
    const written = await database.writeInTenant(tenantA, [count, insert(tenantA, '1'), insert(tenantA, '2'), count]);
    expect(written).toEqual([[{ notes: 0 }], [{ note_id: '1' }], [{ note_id: '2' }], [{ notes: 2 }]]);
    for (let turn = 0; turn < poolMax + 1; turn += 1) {
      const twice = database.writeInTenant(tenantA, [insert(tenantA, '3'), insert(tenantA, '1'), count]);
      expect(await twice.catch(isUniqueViolation)).toBe(true);
    }
    expect(await database.readInTenant(tenantA, count)).toEqual([{ notes: 2 }]);
  });

  test('reach no other tenant', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const database = open(place);
    await database.writeInTenant(tenantA, [insert(tenantA, '1')]);
    const foreign = database.writeInTenant(tenantB, [insert(tenantA, '2')]);
    await expect(foreign).rejects.toThrow('row-level security');
    expect(await foreign.catch(isUniqueViolation)).toBe(false);
    const everything = { name: 'delete_notes', text: 'delete from notes.note returning note_id', values: [] };
    expect(await database.writeInTenant(tenantB, [everything, count])).toEqual([[], [{ notes: 0 }]]);
    expect(await database.readInTenant(tenantA, count)).toEqual([{ notes: 1 }]);
    await expect(database.writeInTenant("ten_' or 1=1", [count])).rejects.toThrow(coded('request.malformed'));
  });
});

describe('a service refuses to start', () => {
  const holes: [string, (role: string) => string[]][] = [
    ['with BYPASSRLS', (role) => [`alter role ${role} bypassrls`]],
    [
      'as a role that may become one with BYPASSRLS',
      (role) => [`create role over_${role} bypassrls`, `grant over_${role} to ${role}`],
    ],
    [
      'as the owner of a table',
      (role) => [`grant create on schema notes to ${role}`, `alter table notes.note owner to ${role}`],
    ],
    ['when row security is not forced on a table', () => ['alter table notes.note no force row level security']],
    ['when row security is off', () => ['alter table notes.note disable row level security']],
    ['when a table has another policy', () => ['create policy open on notes.note using (true)']],
    ['when a view shows a table', () => ['create view notes.peek as select * from notes.note']],
    ['when a new table has no policy', () => ['create table notes.bare (tenant_id text)']],
    ['when nothing was migrated', () => ['drop table notes.note']],
  ];

  test.each(holes)('%s', async (_name, statements) => {
    const place = await freshPlace();
    await migrateDatabase(place);
    await open(place).checkWalls();
    await asOwner(place, ...statements(place.serviceRole));
    await expect(open(place).checkWalls()).rejects.toThrow(coded('config.invalid'));
  });

  test('a table that holds nothing of any tenant may be named as an exception, and no other', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    await asOwner(
      place,
      'create table notes.reading (position bigint)',
      `grant select, insert on notes.reading to ${place.serviceRole}`,
    );
    await expect(open(place).checkWalls()).rejects.toThrow(coded('config.invalid'));
    const database = open(place, serviceUrl(place), ['reading']);
    await database.checkWalls();
    await database.inNoTenant((em) => em.execute('insert into notes.reading values (7)'));
    await database.inTenant(tenantA, (em) => em.insert(Note, { tenantId: tenantA, noteId: '1', text: 'a' }));
    expect(await database.inNoTenant((em) => em.count(Note))).toBe(0);
    await asOwner(place, 'alter table notes.reading add column tenant_id text');
    await expect(open(place, serviceUrl(place), ['reading']).checkWalls()).rejects.toThrow(coded('config.invalid'));
    await expect(open(place, serviceUrl(place), ['note', 'reading']).checkWalls()).rejects.toThrow(
      'holds rows of tenants',
    );
  });

  test('as a superuser', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    await expect(open(place, place.ownerUrl).checkWalls()).rejects.toThrow(coded('config.invalid'));
  });
});

describe('a migration refuses', () => {
  test('a service role with rights that step over row security', async () => {
    const place = await freshPlace();
    await asOwner(place, `create role ${place.serviceRole} login bypassrls`);
    await expect(migrateDatabase(place)).rejects.toThrow(coded('config.invalid'));
  });

  test('names that are no names, and short passwords', async () => {
    const place = await freshPlace();
    for (const change of [{ schema: 'a; drop' }, { serviceRole: 'A"' }, { servicePassword: 'short' }]) {
      await expect(migrateDatabase({ ...place, ...change })).rejects.toThrow(coded('config.invalid'));
    }
  });
});

describe('a database that does not answer', () => {
  test('is told by the code of its app, and the service opens without it', async () => {
    const place = await freshPlace();
    const database = open(place, 'postgresql://nobody:nothing-at-all-here@127.0.0.1:1/none');
    await expect(database.ping()).rejects.toThrow(coded('vault.database_unavailable'));
    await expect(database.inTenant(tenantA, async () => 1)).rejects.toThrow(coded('vault.database_unavailable'));
  });

  test.each(['BEGIN', 'COMMIT', 'ROLLBACK'])(
    'costs no place in the pool when it is lost before it answered %s',
    async (answer) => {
      const place = await freshPlace();
      await migrateDatabase(place);
      const proxy = await startTcpProxy({ targetPort: postgres.port });
      const url = new URL(serviceUrl(place));
      url.port = String(proxy.port);
      const database = open(place, url.href);
      const select = () => database.inTenant(tenantA, (em) => em.execute('select 1 as one'));
      for (let turn = 0; turn < poolMax + 1; turn += 1) {
        expect(await select()).toEqual([{ one: 1 }]);
        const loss = proxy.dropServerToClient((chunk) => chunk.includes(answer));
        const lost = database.inTenant(tenantA, async (em) => {
          await em.execute('select 1');
          if (answer === 'ROLLBACK') throw new Error('given up');
        });
        await expect(lost).rejects.toThrow(answer === 'ROLLBACK' ? 'given up' : coded('vault.database_unavailable'));
        expect(loss.lost()).toBe(1);
      }
      expect(await select()).toEqual([{ one: 1 }]);
      await proxy.close();
    },
  );

  test('is not confused with a refusal', async () => {
    const place = await freshPlace();
    await migrateDatabase(place);
    const wrong = open(place).inTenant(tenantA, (em) => em.execute('select * from notes.none'));
    await expect(wrong).rejects.not.toHaveProperty('code', 'vault.database_unavailable');
    await expect(open(place).inTenant("ten_' or 1=1", async () => 1)).rejects.toThrow(coded('request.malformed'));
  });
});
