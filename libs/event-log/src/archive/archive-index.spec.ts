import { readdirSync, readlinkSync } from 'node:fs';

import type { StoredMessage } from '../event-log.ts';
import { ArchiveIndex } from './archive-index.ts';
import type { Archive } from './stream-archive.ts';

const subject = 'connection.1.ten_a.con_a';
const broken = new Error('the store does not answer');
const message = (position: number): StoredMessage => {
  return { subject, position, payload: Buffer.from(`${position}`), headers: {}, timeMs: position };
};

/** An archive of two messages, but for what is told otherwise. */
function archive(otherwise: Partial<Archive> = {}): Archive {
  return {
    lastPosition: () => Promise.resolve(2),
    read: async function* () {
      yield* [message(1), message(2)];
    },
    last: () => Promise.resolve(undefined),
    ...otherwise,
  };
}

async function all(index: ArchiveIndex): Promise<number[]> {
  const found: number[] = [];
  for await (const { position } of index.read({ filter: '>', untilPosition: 2 })) found.push(position);
  return found;
}

const targetOf = (fd: string) => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
};
const openFiles = () => readdirSync('/proc/self/fd').filter((fd) => targetOf(fd).includes('postern-archive-')).length;

// Node ends a process that loses an open file.
(process.platform === 'linux' ? describe : describe.skip)('the file of an index', () => {
  test('is open while it is asked, and closed with it', async () => {
    const index = new ArchiveIndex(archive());
    expect(await all(index)).toEqual([1, 2]);
    expect(openFiles()).toBe(1);
    await index.close();
    expect(openFiles()).toBe(0);
  });

  test('is closed where the archive ends in the middle, and the next question begins anew', async () => {
    let isBroken = true;
    const read: Archive['read'] = async function* () {
      yield message(1);
      if (isBroken) throw broken;
      yield message(2);
    };
    const index = new ArchiveIndex(archive({ read }));
    await expect(all(index)).rejects.toBe(broken);
    expect(openFiles()).toBe(0);
    isBroken = false;
    expect(await all(index)).toEqual([1, 2]);
    await index.close();
    expect(openFiles()).toBe(0);
  });

  test('is closed where the archive is gone between two looks at its end', async () => {
    let looks = 0;
    const lastPosition = () => ((looks += 1), looks > 1 ? Promise.reject(broken) : Promise.resolve(2));
    const index = new ArchiveIndex(archive({ lastPosition }));
    await expect(all(index)).rejects.toBe(broken);
    expect(openFiles()).toBe(0);
  });

  test('is closed while the archive does not answer, and not opened again', async () => {
    const asked = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const read: Archive['read'] = async function* () {
      yield message(1);
      asked.resolve();
      await goOn.promise;
      yield message(2);
    };
    const index = new ArchiveIndex(archive({ read }));
    const outcome = all(index).then(
      () => 'read',
      () => 'refused',
    );
    await asked.promise;
    await index.close();
    expect(openFiles()).toBe(0);
    goOn.resolve();
    expect(await outcome).toBe('refused');
    await expect(all(index)).rejects.toMatchObject({ code: 'log.unavailable' });
    expect(openFiles()).toBe(0);
  });
});
