import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { emptyTreeHash, signCheckpoint, type SigningPrivateJwk } from '@postern/crypto';
import { CheckpointReader, checkpointOrigin } from '@postern/event-log';
import { temporaryDataDir } from '@postern/servers';

import { ensureKeys, readTrust, rotateCheckpointKey } from './keys.ts';
import { dataFolder } from './paths.ts';

const root = temporaryDataDir('postern-keys-');
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('the key of the log is rotated: old and new sign, and what only earlier ones signed stays believed', async () => {
  const folder = await dataFolder(join(root, 'data'));
  const { log: first } = await ensureKeys(folder, 'local');
  if (first === undefined) throw new Error('there is no key of the log');
  const keyIn = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as SigningPrivateJwk;
  const origin = checkpointOrigin(first, 'admin');
  const note = signCheckpoint({ origin, size: 0, root: emptyTreeHash }, [keyIn(folder.checkpointKeyFile)]);
  for (let times = 1; times <= 2; times += 1) {
    const before = keyIn(folder.checkpointKeyFile);
    const { keys, name } = rotateCheckpointKey(folder);
    expect(keyIn(folder.previousCheckpointKeyFile)).toEqual(before);
    expect(keyIn(folder.checkpointKeyFile).x).not.toBe(before.x);
    expect([name, keys.length, keys[0]?.x, keys[1]?.x]).toEqual([
      ...[first.name, times + 1, keyIn(folder.checkpointKeyFile).x, before.x],
    ]);
    expect(readTrust(folder).log).toEqual({ name, keys });
    expect(new CheckpointReader({ name, keys }, 'admin').note(note)?.size).toBe(0);
  }
  for (const path of [folder.checkpointKeyFile, folder.previousCheckpointKeyFile]) {
    expect(statSync(path).mode & 0o777).toBe(0o600);
  }
  // A start that finds them changes nothing.
  expect((await ensureKeys(folder, 'local')).log).toEqual(readTrust(folder).log);
  expect(readTrust(folder).log?.keys).toHaveLength(3);
});
