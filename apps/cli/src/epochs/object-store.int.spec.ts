import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { isPosternError } from '@postern/contracts';
import type { AggregateRef } from '@postern/event-log';
import { readEpochs } from '@postern/nats';
import { describeWithServer, startObjectStore, temporaryDataDir, type ObjectStore } from '@postern/servers';

import { withAuditor } from '../audit/auditor.ts';
import { verifyOnline } from '../audit/verify.ts';
import { readTrust } from '../data-folder/keys.ts';
import { openLogHouse, type LogHouse } from '../spec-support/log-house.ts';
import { archive } from './archive-log.ts';
import { archiveOf } from './archive-of.ts';
import { drop } from './drop.ts';
import { open } from './open.ts';
import { sweep } from './sweep.ts';

const silent = { tell: () => undefined, end: () => undefined };
const variables = { place: 'POSTERN_ARCHIVE_DIR', file: 'POSTERN_ARCHIVE_S3_FILE' };

/** What an object store is that nobody here wrote: the Versity S3 gateway. */
await describeWithServer('versitygw', 'archives in an object store', () => {
  const root = temporaryDataDir('postern-object-store-');
  const settingsFile = join(root, 's3.json');
  let store: ObjectStore;
  let house: LogHouse;
  let connection: AggregateRef;
  const outside: string[] = [];

  const settings = (other: object = {}) => {
    const { url: endpoint, region, accessKeyId, secretAccessKey } = store;
    const told = { endpoint, region, access_key_id: accessKeyId, secret_access_key: secretAccessKey, ...other };
    writeFileSync(settingsFile, JSON.stringify(told), { mode: 0o600 });
  };
  const verify = () => withAuditor(house, (log) => verifyOnline(log, { trust: readTrust(house.folder), outside }));
  const events = async () => {
    const types: string[] = [];
    const repository = house.session.past.connections;
    for await (const message of repository.read({ filter: `connection.1.${connection.tenantId}.${connection.id}` })) {
      const read = house.session.reader.read(message);
      if (read.kind === 'commit') types.push(...read.entry.commit.events.map(({ type }) => type));
    }
    return types;
  };
  /** The file of the first segment's messages, as the store keeps it. */
  const object = () => {
    const folder = join(store.bucketDir, 'house', 'CONNECTIONS');
    const [name = ''] = readdirSync(folder).filter((one) => one.endsWith('.gz'));
    return join(folder, name);
  };
  const codeOf = async (work: () => Promise<unknown>) =>
    await work().then(
      () => 'done',
      (error: unknown) => (isPosternError(error) ? error.code : String(error)),
    );

  beforeAll(async () => {
    store = await startObjectStore({ dataDir: join(root, 'store'), bucket: 'archives' });
    settings();
    process.env[variables.place] = 's3://archives/house';
    process.env[variables.file] = settingsFile;
    house = await openLogHouse(join(root, 'house'));
    connection = await house.connect();
    for (let n = 0; n < 3; n += 1) await house.lease(connection.id);
    outside.push(...Object.values(await house.checkpoint()));
    await open(house.session);
    await sweep(house.session, silent);
    await house.lease(connection.id);
    await house.checkpoint();
    await house.workOff();
  }, 180_000);
  afterAll(async () => {
    for (const name of Object.values(variables)) Reflect.deleteProperty(process.env, name);
    await house.stop();
    await store.stop();
    rmSync(root, { recursive: true, force: true });
  });

  test('both streams are archived there, dropped, and proved from there', async () => {
    const whole = await events();
    const [connections, access] = [
      await archive(house.session, { stream: 'connections' }, silent),
      await archive(house.session, { stream: 'access', beforeMs: Date.now() }, silent),
    ];
    expect(await drop(house.session, 'connections', silent)).toEqual({ stream: 'CONNECTIONS', up_to: connections?.to });
    expect(await drop(house.session, 'access', silent)).toEqual({ stream: 'ACCESS', up_to: access?.to });
    const audit = await house.busOf('audit');
    expect((await readEpochs(audit, 'connections')).firstPosition).toBe((connections?.to ?? 0) + 1);
    expect((await readEpochs(audit, 'access')).firstPosition).toBe(4);
    expect(await (await archiveOf(house.folder, 'connections')).segments()).toEqual([connections]);

    const reports = await verify();
    expect(Object.values(reports).flatMap(({ findings }) => findings)).toEqual([]);
    expect(reports['ACCESS']?.firstPosition).toBe(1);
    expect(await events()).toEqual(whole);
    expect(whole[0]).toBe('AuthorizationStarted');
  }, 180_000);

  test.each([
    ['an object that was cut short', () => truncateSync(object(), 100)],
    ['other bytes in its place', () => writeFileSync(object(), Buffer.alloc(500, 7))],
    ['one changed byte', () => writeFileSync(object(), changed(readFileSync(object())))],
    ['an object that is gone', () => rmSync(object())],
  ])('%s is found', async (_, harm) => {
    const [path, kept] = [object(), join(root, 'kept')];
    copyFileSync(path, kept);
    try {
      harm();
      expect(await codeOf(verify)).toBe('log.message_damaged');
      expect(await codeOf(events)).toBe('log.message_damaged');
    } finally {
      copyFileSync(kept, path);
    }
    expect(await codeOf(verify)).toBe('done');
  });

  test('a store that refuses us, or does not have the bucket, is a matter of configuration', async () => {
    settings({ secret_access_key: 'another one' });
    expect(await codeOf(verify)).toBe('config.invalid');
    settings();
    const elsewhere = { archiveDir: 's3://nowhere/house' };
    expect(await codeOf(async () => (await archiveOf(elsewhere, 'access')).segments())).toBe('config.invalid');
    expect(await codeOf(async () => await archiveOf({ archiveDir: 's3://' }, 'access'))).toBe('config.invalid');
    writeFileSync(settingsFile, '{"endpoint":"x"}');
    expect(await codeOf(verify)).toBe('config.invalid');
    renameSync(settingsFile, `${settingsFile}.gone`);
    expect(await codeOf(verify)).toBe('config.invalid');
    settings();
  });

  test('a store that does not answer is told as that, and nothing is taken for gone', async () => {
    await store.stop();
    expect(await codeOf(verify)).toBe('log.unavailable');
    expect(await codeOf(() => drop(house.session, 'connections', silent))).toBe('log.unavailable');
  }, 120_000);
});

function changed(bytes: Buffer): Buffer {
  const at = bytes.length - 12;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}
