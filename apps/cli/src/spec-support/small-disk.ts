import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmdirSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const fillerName = 'filler';

/** A disk so small that a test can fill it: a tmpfs of its own, which only root may mount. */
export interface SmallDisk {
  readonly folder: string;
  /** Writes until not a byte more goes in. */
  fill(): void;
  /** Takes away what `fill` wrote. */
  empty(): void;
  freeBytes(): number;
  /** @effect May be repeated; happens at the end of the process as well. */
  unmount(): void;
}

/** Mounts a disk over this folder. @throws when this is not Linux, or not root. */
export function mountSmallDisk(folder: string, sizeMiB: number): SmallDisk {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m,mode=0700`, 'postern-small-disk', folder], {
    stdio: 'pipe',
  });
  let mounted = true;
  const unmount = () => {
    if (!mounted) return;
    mounted = false;
    process.off('exit', unmount);
    // Lazily: whatever still has a file open there must not keep the mount for ever.
    execFileSync('umount', ['-l', folder], { stdio: 'pipe' });
  };
  process.on('exit', unmount);
  const filler = join(folder, fillerName);
  return {
    folder,
    fill: () => fill(filler),
    empty: () => rmSync(filler),
    freeBytes: () => {
      const { bavail, bsize } = statfsSync(folder);
      return bavail * bsize;
    },
    unmount,
  };
}

function fill(path: string): void {
  const file = openSync(path, 'a');
  try {
    for (let bytes = 1024 ** 2; bytes >= 1; bytes /= 2) {
      const chunk = Buffer.alloc(bytes);
      try {
        for (;;) writeSync(file, chunk);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    closeSync(file);
  }
}

/** Why there can be no small disk here, if so. */
function hindrance(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'postern-small-disk-'));
  try {
    mountSmallDisk(folder, 1).unmount();
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  } finally {
    rmdirSync(folder);
  }
}

/**
 * A `describe` whose tests need a disk that can be filled. Where none can be mounted they are skipped, and their name
 * says so; with `POSTERN_REQUIRE_SERVERS=1` they fail.
 */
export function describeWithSmallDisk(title: string, body: () => void): void {
  const why = hindrance();
  if (why === undefined) return describe(title, body);
  if (process.env['POSTERN_REQUIRE_SERVERS'] !== '1') {
    return describe.skip(`${title} (skipped: no small disk can be mounted: ${why})`, body);
  }
  describe(title, () =>
    test('a small disk can be mounted, as POSTERN_REQUIRE_SERVERS demands', () => {
      throw new Error(why);
    }),
  );
}
