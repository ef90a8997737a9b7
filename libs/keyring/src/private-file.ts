import { randomUUID } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PosternError } from '@postern/contracts';

const privateMode = 0o600;
const othersBits = 0o077;

/**
 * Reads a file that nobody but its owner may read.
 *
 * @throws {PosternError} `config.invalid` when it is missing, open to group or others, not a file, or larger than
 *   `bytesMax`.
 */
export async function readPrivateFile(path: string, bytesMax: number): Promise<string> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new PosternError('config.invalid', `The file ${path} cannot be read.`, { cause });
  });
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new PosternError('config.invalid', `${path} is not a file.`);
    if ((stats.mode & othersBits) !== 0) {
      throw new PosternError('config.invalid', `Others may use the file ${path}: run chmod 600 on it.`);
    }
    if (stats.size > bytesMax)
      throw new PosternError('config.invalid', `${path} is too large for a key or a credential.`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/**
 * Makes a private file that was not there.
 *
 * @effect The file appears whole and durable, or not at all.
 * @throws {PosternError} `config.invalid` when it exists: a key file written over is every credential lost.
 */
export async function createPrivateFile(path: string, text: string): Promise<void> {
  const draft = await writeDraft(path, text);
  try {
    await link(draft, path);
  } catch (cause) {
    throw new PosternError('config.invalid', `The key file ${path} exists already or cannot be made.`, { cause });
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolderOf(path);
}

/** Puts a new text in the place of a private file. @effect Readers see the old or the new, never a part. */
export async function replacePrivateFile(path: string, text: string): Promise<void> {
  await rename(await writeDraft(path, text), path);
  await syncFolderOf(path);
}

async function writeDraft(path: string, text: string): Promise<string> {
  const draft = `${path}.${randomUUID()}.draft`;
  const file = await open(draft, 'wx', privateMode).catch((cause: unknown) => {
    throw new PosternError('config.invalid', `The folder of ${path} cannot be written.`, { cause });
  });
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return draft;
}

async function syncFolderOf(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
