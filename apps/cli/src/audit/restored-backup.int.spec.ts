import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { temporaryDataDir } from '@postern/servers';

import { readTrust } from '../data-folder/keys.ts';
import { openLogHouse, type LogHouse } from '../spec-support/log-house.ts';
import { withAuditor } from './auditor.ts';
import { verifyOnline, type Reports } from './verify.ts';

const root = temporaryDataDir('postern-backup-');
const data = join(root, 'house');
const backup = join(root, 'backup');
/** The store as it was when everything had been written. */
const newest = join(root, 'newest');
let house: LogHouse | undefined;
let tenantId = '';
/** Checkpoints that left the house after the backup was made. */
let outside: string[] = [];

/** Ends the server, does something to its files, and starts it again on them. */
async function offline(work: (store: string) => void): Promise<LogHouse> {
  const store = house?.folder.natsDir ?? '';
  await house?.stop();
  house = undefined;
  work(store);
  house = await openLogHouse(data, tenantId);
  return house;
}

const replaced = (from: string) => (store: string) => {
  rmSync(store, { recursive: true, force: true });
  cpSync(from, store, { recursive: true });
};

/** The folder of one stream in a store. */
function folderOf(store: string, stream: string): string {
  const found = readdirSync(store, { recursive: true, withFileTypes: true }).find(
    (one) => one.isDirectory() && one.name === stream && one.parentPath.endsWith('streams'),
  );
  if (found === undefined) throw new Error(`${store} has no stream ${stream}`);
  return join(found.parentPath, found.name);
}

async function found(open: LogHouse, notes: readonly string[]): Promise<string[]> {
  const place = { trust: readTrust(open.folder), outside: notes };
  const reports: Reports = await withAuditor(open, (log) => verifyOnline(log, place));
  return Object.entries(reports).flatMap(([stream, { findings }]) =>
    findings.map(({ kind, position }) => `${stream} ${kind} ${position}`),
  );
}

beforeAll(async () => {
  house = await openLogHouse(data);
  ({ tenantId } = house);
  await house.lease((await house.connect()).id);
  await house.checkpoint();
  const open = await offline((store) => cpSync(store, backup, { recursive: true }));
  await open.lease((await open.connect()).id);
  outside = Object.values(await open.checkpoint());
  expect(await found(open, outside)).toEqual([]);
}, 180_000);
afterAll(async () => {
  await house?.stop();
  rmSync(root, { recursive: true, force: true });
});

test('one stream that was restored from an older backup of its files is cut, by what is kept beside it', async () => {
  const open = await offline((store) => {
    cpSync(store, newest, { recursive: true });
    const stream = folderOf(store, 'CONNECTIONS');
    rmSync(stream, { recursive: true });
    cpSync(folderOf(backup, 'CONNECTIONS'), stream, { recursive: true });
  });
  expect(await found(open, [])).toEqual(['CONNECTIONS cut 4']);
});

test('a whole store that was restored from an older backup is found by what left the house, and by nothing else', async () => {
  const open = await offline(replaced(backup));
  expect(await found(open, [])).toEqual([]);
  expect(await found(open, outside)).toEqual(['CONNECTIONS cut 4', 'ACCESS cut 2']);
});

test('one that goes on afterwards is a fork of it', async () => {
  const open = await offline(replaced(backup));
  await open.lease((await open.connect()).id);
  await open.checkpoint();
  expect(await found(open, [])).toEqual([]);
  expect(await found(open, outside)).toEqual(['CONNECTIONS fork 6', 'ACCESS fork 2']);
});

test('the store as it was is whole', async () => {
  expect(await found(await offline(replaced(newest)), outside)).toEqual([]);
});
