import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

import { newId } from '@postern/contracts';
import { sha256Hex } from '@postern/crypto';
import { resumeConnection, suspendConnection } from '@postern/domain';
import { StreamArchive, type AggregateRef } from '@postern/event-log';
import { dropBeginning, JetStreamEventLog, readEpochs } from '@postern/nats';
import { temporaryDataDir } from '@postern/servers';

import { withAuditor } from '../audit/auditor.ts';
import { verifyExport, verifyOnline, type Reports } from '../audit/verify.ts';
import { readConnection } from '../connections/read-connection.ts';
import { readTrust } from '../data-folder/keys.ts';
import { exportLog } from '../events/export-log.ts';
import type { Printer } from '../output/printer.ts';
import { replay } from '../events/replay.ts';
import { selectionOf } from '../events/selection.ts';
import { openLogHouse, type LogHouse } from '../spec-support/log-house.ts';
import { archive } from './archive-log.ts';
import { drop } from './drop.ts';
import { keepEpochs } from './keep.ts';
import { open } from './open.ts';
import { sweep } from './sweep.ts';

const root = temporaryDataDir('postern-epochs-');
const silent = { tell: () => undefined, end: () => undefined };
const progress: string[] = [];
const telling = { ...silent, tell: (sentence: string) => void progress.push(sentence) };
const actor = { type: 'service', id: 'spec' } as const;

let house: LogHouse;
const connections: AggregateRef[] = [];
/** What was said before anything was dropped: states, notes that left the house. */
const before = new Map<string, unknown>();
const outside: string[] = [];
let position: { readonly beforeOpening: number; readonly dropped: number };

beforeAll(async () => {
  house = await openLogHouse(join(root, 'house'));
  for (let n = 0; n < 3; n += 1) connections.push(await house.connect());
  for (const { id } of connections) await house.lease(id);
  const revocation = await house.connectionsOf('revocation');
  for (const decide of [suspendConnection, resumeConnection]) {
    await revocation.execute(connectionAt(1), (state) => decide({ reason: 'spec' }, state), origin());
  }
  outside.push(...Object.values(await house.checkpoint()));
  for (const ref of connections) before.set(ref.id, (await revocation.load(ref, { fromLeader: true })).state);
  position = { beforeOpening: await house.session.connections.head(), dropped: 0 };
}, 120_000);
afterAll(async () => {
  await house.stop();
  rmSync(root, { recursive: true, force: true });
});

const connectionAt = (index: number) => connections[index] as AggregateRef;
const origin = () => ({ actor, correlationId: newId('correlation') });
const verified = () => withAuditor(house, (log) => verifyOnline(log, { trust: readTrust(house.folder), outside }));
const findingsOf = (reports: Reports) =>
  Object.values(reports).flatMap(({ findings }) => findings.map(({ kind, position: at }) => `${kind} ${at}`));
const firstPosition = async (stream: 'connections' | 'access') =>
  (await readEpochs(await house.busOf('audit'), stream)).firstPosition;

// That it is so while leases and refreshes go on is what epoch-drill.e2e.spec.ts shows, by processes.
test('an epoch is opened, swept, archived and dropped, and not before all that holds', async () => {
  const opened = await open(house.session);
  expect(opened).toMatchObject({ epoch: 2 });
  expect(opened.from).toBeGreaterThan(position.beforeOpening);
  // Not swept: nothing may be dropped, and no further epoch be opened.
  await house.connect();
  await house.checkpoint();
  const archived = await archive(house.session, { stream: 'connections' }, silent);
  expect(archived).toMatchObject({ from: 1 });
  const early = drop(house.session, 'connections', silent);
  await expect(early).rejects.toMatchObject({
    code: 'log.conflict',
    message: expect.stringContaining('were not moved'),
  });
  await expect(open(house.session)).rejects.toMatchObject({ code: 'log.conflict' });
  expect(await firstPosition('connections')).toBe(1);

  expect(await sweep(house.session, silent)).toEqual({ epoch: 2, moved: connections.length });
  expect(await sweep(house.session, silent)).toEqual({ epoch: 2, moved: 0 });
  // A service that has not come so far would miss what goes.
  const lagging = drop(house.session, 'connections', silent);
  await expect(lagging).rejects.toMatchObject({ code: 'log.conflict', message: expect.stringContaining('worked off') });
  expect(await firstPosition('connections')).toBe(1);
  await house.workOff();
  const dropped = await drop(house.session, 'connections', telling);
  expect(dropped).toEqual({ stream: 'CONNECTIONS', up_to: archived?.to });
  position = { ...position, dropped: dropped?.up_to ?? 0 };
  expect(await firstPosition('connections')).toBe(position.dropped + 1);
  expect(position.dropped).toBeGreaterThanOrEqual(connections.length * 3);
  expect(progress).toContain('verifying the archive of CONNECTIONS');
  expect(progress).toContain(`CONNECTIONS dropped up to position ${position.dropped}`);
}, 120_000);

describe('behind the cut', () => {
  test('every connection stands as it did, proven, for whoever asks the leader', async () => {
    for (const writer of ['refresh', 'vault', 'revocation'] as const) {
      const repository = await house.connectionsOf(writer);
      for (const ref of connections) {
        const loaded = await repository.load(ref, { fromLeader: true });
        expect(loaded.state).toEqual(before.get(ref.id));
        expect((await repository.replay(ref)).state).toEqual(before.get(ref.id));
      }
    }
  });

  test('what is decided goes on', async () => {
    const revocation = await house.connectionsOf('revocation');
    const ref = connectionAt(0);
    const { revision } = await revocation.load(ref);
    const done = await revocation.execute(ref, (state) => suspendConnection({ reason: 'after' }, state), origin());
    expect(done).toMatchObject({ appended: true, revision: revision + 1, state: { suspended: true } });
  });

  test('an opening that comes later needs what it closes: a stolen identity makes no connection of nothing', async () => {
    const refresh = await house.connectionsOf('refresh');
    const bus = await house.busOf('refresh');
    const log = new JetStreamEventLog({ bus, stream: 'connections' });
    // Signed rightly, and after all that was verified.
    const genuine = await log.last(refresh.subjectOf(connectionAt(2)), { fromLeader: true });
    expect(JSON.parse(Buffer.from(genuine?.payload ?? []).toString('utf8'))).toMatchObject({
      events: [{ type: 'EpochClosed' }, { type: 'EpochOpened' }],
    });
    const { verifiedUpTo } = await log.beginning();
    expect(verifiedUpTo).toBeGreaterThanOrEqual(genuine?.position ?? Infinity);
    const provisioner = await house.busOf('provisioner');
    // As if nothing had been verified: the same opening proves nothing by itself.
    await dropBeginning(provisioner, 'connections', { upTo: position.dropped, verifiedUpTo: 1 });
    expect((await refresh.load(connectionAt(2), { fromLeader: true })).revision).toBe(0);
    await dropBeginning(provisioner, 'connections', { upTo: position.dropped, verifiedUpTo });
    expect((await refresh.load(connectionAt(2), { fromLeader: true })).revision).toBeGreaterThan(0);
  });

  test('the whole log is verified across archive and stream, with the checkpoints that left the house before', async () => {
    outside.push(...Object.values(await house.checkpoint()));
    const reports = await verified();
    expect(findingsOf(reports)).toEqual([]);
    expect(reports['CONNECTIONS']).toMatchObject({ firstPosition: 1 });
    expect(reports['CONNECTIONS']?.tree?.provenUpTo).toBe(reports['CONNECTIONS']?.lastPosition);
  });

  test('one screen shows its last events from either side of the cut', async () => {
    const { id } = connectionAt(1);
    const { state, events } = await readConnection(house.session, house.tenantId, id);
    expect(state).toEqual(before.get(id));
    expect(events.map(({ type }) => type)).toEqual([
      ...['AuthorizationStarted', 'CodeExchangeStarted', 'ConnectionAuthorized'],
      ...['ConnectionSuspended', 'ConnectionResumed', 'EpochClosed', 'EpochOpened'],
    ]);
  });

  test('a connection is told again from its first event, and as it was at any position', async () => {
    const lines: Record<string, unknown>[] = [];
    const printer = { line: (value: unknown) => void lines.push(value as never) } as unknown as Printer;
    const { id } = connectionAt(1);
    const { past, reader, publicUrl } = house.session;
    const place = { log: past.connections, reader, publicUrl };
    await replay(place, { selection: selectionOf(house.tenantId, {}, id), explain: true }, printer);
    expect(lines.map(({ type }) => type).filter(Boolean)).toEqual([
      'AuthorizationStarted',
      'CodeExchangeStarted',
      'ConnectionAuthorized',
      'ConnectionSuspended',
      'ConnectionResumed',
      'EpochClosed',
      'EpochOpened',
    ]);
    const explained = lines.at(-1) as { explanation: { parts: { part: string; set_by: { type: string } }[] } };
    const { parts } = explained.explanation;
    // A move makes nothing what it is.
    expect(parts.find(({ part }) => part === 'credential.version')?.set_by.type).toBe('ConnectionAuthorized');
    lines.length = 0;
    const suspended = selectionOf(house.tenantId, { to: String(position.beforeOpening - 1) }, id);
    await replay(place, { selection: suspended, explain: false }, printer);
    expect(lines.at(-1)).toMatchObject({ state: { suspended: true } });
  });
});

describe('an archive that is not what was archived', () => {
  const folder = () => join(house.folder.archiveDir, 'CONNECTIONS');
  const file = (ending: string) =>
    join(
      folder(),
      readdirSync(folder())
        .toSorted()
        .findLast((name) => name.endsWith(ending)) ?? '',
    );

  beforeAll(async () => {
    await open(house.session);
    await sweep(house.session, silent);
    // Its end has to be a checkpoint's, and another one has to follow.
    await house.connect();
    await house.checkpoint();
    await open(house.session).catch(() => undefined);
    await sweep(house.session, silent);
    await house.checkpoint();
    expect(await archive(house.session, { stream: 'connections' }, silent)).toBeDefined();
  });

  const tampered = async (path: string, change: (bytes: Buffer) => Buffer | string) => {
    const kept = readFileSync(path);
    writeFileSync(path, change(kept));
    try {
      const first = await firstPosition('connections');
      await expect(drop(house.session, 'connections', silent)).rejects.toMatchObject({ code: 'log.message_damaged' });
      expect(await firstPosition('connections')).toBe(first);
    } finally {
      writeFileSync(path, kept);
    }
  };

  test.each([20, 200, -6])('is not dropped by: one byte at %i of a segment was changed', async (at) => {
    await tampered(file('.gz'), (bytes) => {
      const changed = Buffer.from(bytes);
      const offset = at < 0 ? bytes.length + at : at;
      changed.writeUInt8((changed[offset] ?? 0) ^ 1, offset);
      return changed;
    });
  });

  test('is not dropped by: whoever changed it made its hash fit', async () => {
    const manifest = file('.json');
    const kept = readFileSync(manifest, 'utf8');
    try {
      await tampered(file('.gz'), (bytes) => {
        const text = gunzipSync(bytes).toString('utf8').replace('"platformId":"plt_', '"platformId":"plt_0');
        const changed = gzipSync(text);
        writeFileSync(manifest, JSON.stringify({ ...(JSON.parse(kept) as object), sha256: sha256Hex(changed) }));
        return changed;
      });
      // A header that no leaf holds: what stands in the stream tells.
      await tampered(file('.gz'), (bytes) => {
        const changed = gzipSync(
          gunzipSync(bytes).toString('utf8').replace('"ce-source":"/spec"', '"ce-source":"/else"'),
        );
        writeFileSync(manifest, JSON.stringify({ ...(JSON.parse(kept) as object), sha256: sha256Hex(changed) }));
        return changed;
      });
    } finally {
      writeFileSync(manifest, kept);
    }
  });

  test('is not dropped by: its checkpoint is one that nobody signed, or another one', async () => {
    await tampered(file('.json'), (bytes) => bytes.toString('utf8').replace('"checkpoint": "', '"checkpoint": "x'));
    await tampered(file('.json'), () => '{}');
  });

  test('is dropped by as it was, and the whole log is still proved', async () => {
    await house.workOff();
    expect(await drop(house.session, 'connections', silent)).toMatchObject({ stream: 'CONNECTIONS' });
    expect(await new StreamArchive(house.folder.archiveDir, 'connections').segments()).toHaveLength(2);
    outside.push(...Object.values(await house.checkpoint()));
    expect(findingsOf(await verified())).toEqual([]);
  });

  test('that is lost leaves its positions missing, in words', async () => {
    const lost = { ...house, folder: { ...house.folder, archiveDir: join(root, 'nowhere') } };
    const reports = await withAuditor(lost, (log) => verifyOnline(log, { trust: readTrust(house.folder), outside }));
    expect(findingsOf(reports)).toContain('missing 1');
  });
});

test('a policy does it all by itself, a round at a time', async () => {
  const policy = { maxAgeMs: 1, accessMaxAgeMs: 1 };
  await house.lease(connectionAt(0).id);
  await house.checkpoint();
  await house.workOff();
  const first = await keepEpochs(house.session, policy, silent);
  expect(first).toMatchObject({ opened: { epoch: expect.any(Number) } });
  expect(first.moved).toBeGreaterThan(0);
  await house.lease(connectionAt(0).id);
  await house.checkpoint();
  await house.workOff();
  const second = await keepEpochs(house.session, { ...policy, maxAgeMs: undefined }, silent);
  expect(second.opened).toBeNull();
  expect([...first.dropped, ...second.dropped].map(({ stream }) => stream)).toEqual(
    expect.arrayContaining(['CONNECTIONS', 'ACCESS']),
  );
  expect(findingsOf(await verified())).toEqual([]);
});

test('an export holds what was dropped, too: it is a whole log, proved offline', async () => {
  const file = join(root, 'whole.ndjson');
  outside.push(...Object.values(await house.checkpoint()));
  await exportLog(house.session, house.tenantId, { log: 'ALL', out: file }, silent);
  const reports = await verifyExport(file, { trust: readTrust(house.folder), outside });
  expect(findingsOf(reports)).toEqual([]);
  for (const { firstPosition: first, lastPosition, tree } of Object.values(reports)) {
    expect([first, tree]).toEqual([1, { checkpointedUpTo: lastPosition, provenUpTo: lastPosition }]);
  }
});
