import { exec } from 'node:child_process';
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { promisify } from 'node:util';

import { newId, provenStreams, streams } from '@postern/contracts';
import { suspendConnection } from '@postern/domain';
import { importMessages, JetStreamEventLog } from '@postern/nats';
import { temporaryDataDir } from '@postern/servers';

import { withAuditor } from '../audit/auditor.ts';
import { verifyExport, verifyOnline, type Reports } from '../audit/verify.ts';
import { readTrust } from '../data-folder/keys.ts';
import { dataFolder } from '../data-folder/paths.ts';
import { writeSupervisorFile } from '../session/supervisor-file.ts';
import { openLogHouse, type LogHouse } from '../spec-support/log-house.ts';
import { exportLog } from './export-log.ts';
import { spooled } from './spooled.ts';
import { importLog, type ImportedLog } from './import-log.ts';

const root = temporaryDataDir('postern-moving-');
const whole = join(root, 'whole.ndjson');
const silent = { tell: () => undefined, end: () => undefined };

const command = join(import.meta.dirname, '../../bin/postern.mjs');

let old: LogHouse;
let moved: LogHouse;
let imported: ImportedLog;
/** Left the old house. */
let outside: string[];
const connectionIds: string[] = [];
const stranger = newId('tenant');

beforeAll(async () => {
  old = await openLogHouse(join(root, 'old'));
  await someLife();
  await old.checkpoint();
  await someLife();
  // A message that no writer signed stands among the others, and moves with them.
  const bus = await old.busOf('authorization');
  const foreign = new JetStreamEventLog({ bus, stream: 'connections' });
  await foreign.append({
    subject: `connection.1.${old.tenantId}.${newId('connection')}`,
    payload: Buffer.from('{ "no": "commit" }'),
    headers: { 'x-odd': 'é' },
    messageId: 'twice',
    expectedPosition: 0,
  });
  outside = Object.values(await old.checkpoint());
  await exportLog(old.session, old.tenantId, { log: 'ALL', out: whole }, silent);
  const folder = await dataFolder(join(root, 'new'));
  imported = await importLog({ folder, file: whole, trustFile: old.folder.trustFile, renumber: false }, silent);
  moved = await openLogHouse(join(root, 'new'), old.tenantId);
}, 180_000);
afterAll(async () => {
  await old.stop();
  await moved.stop();
  rmSync(root, { recursive: true, force: true });
});

async function someLife(): Promise<void> {
  for (let n = 0; n < 3; n += 1) {
    const { id } = await old.connect();
    connectionIds.push(id);
    await old.lease(id);
    await old.connect(stranger);
  }
}

const verified = (house: LogHouse, notes: readonly string[]) =>
  withAuditor(house, (log) => verifyOnline(log, { trust: readTrust(house.folder), outside: notes }));
const findingsOf = (reports: Reports) =>
  Object.values(reports).flatMap(({ findings }) => findings.map(({ kind, position }) => `${kind} ${position}`));

async function everything(house: LogHouse, stream: (typeof provenStreams)[number]) {
  const bus = await house.busOf('audit');
  const messages: unknown[] = [];
  for await (const { subject, position, payload, headers } of new JetStreamEventLog({ bus, stream }).read({
    filter: '>',
  })) {
    messages.push({ subject, position, payload: Buffer.from(payload).toString('latin1'), headers });
  }
  return messages;
}

describe('a log that moved house', () => {
  test('holds the same messages at the same positions, headers and foreign ones too', async () => {
    for (const stream of provenStreams) {
      const there = await everything(old, stream);
      expect(await everything(moved, stream)).toEqual(there);
      expect(imported.streams[streams[stream].name]?.messages).toBe(there.length);
    }
    expect(imported.whole).toBe(true);
  });

  test('is verified there with the checkpoints that left the old house, with the findings it had', async () => {
    const before = await verified(old, outside);
    const after = await verified(moved, outside);
    expect(findingsOf(before)).toEqual([expect.stringContaining('foreign')]);
    expect(after).toEqual(before);
    for (const { tree, lastPosition } of Object.values(after)) expect(tree?.provenUpTo).toBe(lastPosition);
  });

  test('gives the same states and revisions', async () => {
    for (const id of connectionIds) {
      const ref = { tenantId: old.tenantId, id };
      const [there, here] = await Promise.all(
        [old, moved].map(async (house) => await (await house.connectionsOf('vault')).load(ref, { fromLeader: true })),
      );
      expect(here).toEqual(there);
      expect(here?.revision).toBe(3);
    }
  });

  test('goes on: new keys sign what comes, and its checkpoints continue the old ones', async () => {
    const connections = await moved.connectionsOf('revocation');
    const ref = { tenantId: old.tenantId, id: connectionIds[0] ?? '' };
    const origin = { actor: { type: 'administrator' }, correlationId: newId('correlation') } as const;
    const done = await connections.execute(ref, (state) => suspendConnection({ reason: 'moved' }, state), origin);
    expect(done).toMatchObject({ appended: true, revision: 4 });
    const notes = await moved.checkpoint();
    expect(notes.connections).toContain(readTrust(old.folder).log?.name);
    expect(findingsOf(await verified(moved, [...outside, ...Object.values(notes)]))).toEqual([
      expect.stringContaining('foreign'),
    ]);
  });

  test('tells no owner again what was told in the old house', async () => {
    const bus = await moved.busOf('audit');
    const head = (await everything(old, 'connections')).length;
    const answer = await bus.connection.request('$JS.API.CONSUMER.INFO.CONNECTIONS.audit-notices', '');
    expect(answer.json()).toMatchObject({ delivered: { stream_seq: head } });
  });

  test('is imported only where nothing stands', async () => {
    const trustFile = old.folder.trustFile;
    const again = importLog({ folder: moved.folder, file: whole, trustFile, renumber: false }, silent);
    await expect(again).rejects.toMatchObject({ code: 'config.invalid' });
    const [importer, provisioner] = await Promise.all([moved.busOf('authorization'), moved.busOf('provisioner')]);
    const into = importMessages(none(), { importer, provisioner, stream: 'connections', renumber: false });
    await expect(into).rejects.toMatchObject({ code: 'log.conflict' });
  });
});

// oxlint-disable-next-line require-yield -- an export without a message
async function* none(): AsyncGenerator<never> {}

test('export and import are joined by a pipe, and the other house verifies and tells the same', async () => {
  const postern = (...args: string[]) => [process.execPath, command, ...args].map((one) => `'${one}'`).join(' ');
  const tell = (house: LogHouse) =>
    writeSupervisorFile(house.folder, {
      ...{ pid: process.pid, natsUrl: house.natsUrl, natsMonitorUrl: '', publicUrl: 'http://spec' },
      ...{ tenantId: house.tenantId, services: {} },
    });
  tell(old);
  const piped = join(root, 'piped');
  const out = postern('events', 'export', '--log', 'ALL', '--data', old.folder.root);
  const into = postern('events', 'import', '-', '--trust', old.folder.trustFile, '--data', piped, '--json');
  const { stdout } = await promisify(exec)(`${out} | ${into}`, { maxBuffer: 2 ** 20 });
  expect(JSON.parse(stdout)).toEqual(imported);
  const house = await openLogHouse(piped, old.tenantId);
  try {
    tell(house);
    const notes = outside.map((note, index) => {
      const path = join(root, `${index}.checkpoint`);
      writeFileSync(path, note);
      return ['--checkpoint', path];
    });
    const told = async ({ folder: { root: data } }: LogHouse) => {
      const verify = postern('audit', 'verify', '--json', '--data', data, ...notes.flat());
      const [verified1, replayed] = await Promise.all([
        // It ends with 1: of the message that nobody signed both say the same.
        promisify(exec)(`${verify} || test $? -eq 1`),
        promisify(exec)(postern('events', 'replay', connectionIds[0] ?? '', '--json', '--data', data)),
      ]);
      return [JSON.parse(verified1.stdout), replayed.stdout];
    };
    const [here, there] = [await told(house), await told(old)];
    expect(here).toEqual(there);
    expect(findingsOf((here[0] as { logs: Reports }).logs)).toEqual([expect.stringContaining('foreign')]);
  } finally {
    await house.stop();
  }
});

test('an import from a terminal is refused: nothing comes from there', async () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true });
  await expect(spooled('-', () => Promise.resolve(), terminal)).rejects.toMatchObject({ code: 'request.malformed' });
});

describe('an export', () => {
  test('that was cut short goes on behind its last whole line', async () => {
    const path = join(root, 'resumed.ndjson');
    const all = readFileSync(whole, 'utf8');
    writeFileSync(path, all);
    truncateSync(path, Math.floor(all.length / 2));
    await exportLog(old.session, old.tenantId, { log: 'ALL', out: path, resume: true }, silent);
    expect(readFileSync(path, 'utf8')).toBe(all);
    const refused = exportLog(old.session, old.tenantId, { log: 'ALL', out: path }, silent);
    await expect(refused).rejects.toMatchObject({ code: 'request.malformed' });
  });

  test('of the whole log is verified offline, with the checkpoints in it', async () => {
    const reports = await verifyExport(whole, { trust: readTrust(old.folder), outside });
    expect(Object.keys(reports)).toHaveLength(3);
    for (const { tree, lastPosition } of Object.values(reports)) {
      expect(tree).toEqual({ checkpointedUpTo: lastPosition, provenUpTo: lastPosition });
    }
  });

  test('that lacks a message cannot give the others their positions, and is refused unless they may be new ones', async () => {
    const path = join(root, 'part.ndjson');
    await exportLog(old.session, old.tenantId, { out: path }, silent);
    const folder = await dataFolder(join(root, 'part'));
    const trustFile = old.folder.trustFile;
    const refused = importLog({ folder, file: path, trustFile, renumber: false }, silent);
    await expect(refused).rejects.toMatchObject({
      code: 'request.malformed',
      message: expect.stringContaining('--renumber'),
    });
    expect(existsSync(folder.natsDir)).toBe(false);
  });

  test('of a tenant gives its states at new positions, under a name of its own', async () => {
    const path = join(root, 'tenant.ndjson');
    await exportLog(old.session, old.tenantId, { out: path }, silent);
    const folder = await dataFolder(join(root, 'tenant'));
    const done = await importLog({ folder, file: path, trustFile: old.folder.trustFile, renumber: true }, silent);
    const house = await openLogHouse(folder.root, old.tenantId);
    try {
      expect(Object.keys(done.streams)).toEqual(['ADMIN', 'CONNECTIONS']);
      const notes = Object.values(await house.checkpoint()).filter(Boolean);
      expect(notes[0]).not.toContain(readTrust(old.folder).log?.name);
      const ref = { tenantId: old.tenantId, id: connectionIds[2] ?? '' };
      const there = await (await old.connectionsOf('vault')).load(ref);
      const here = await (await house.connectionsOf('vault')).load(ref);
      expect({ ...here, position: 0, expectedPosition: 0 }).toEqual({ ...there, position: 0, expectedPosition: 0 });
      expect(findingsOf(await verified(house, notes))).toEqual([expect.stringContaining('foreign')]);
    } finally {
      await house.stop();
    }
  });
});
