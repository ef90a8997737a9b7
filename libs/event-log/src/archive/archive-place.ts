import { ArchiveStoreSettings, PosternError } from '@postern/contracts';

import { FolderStore, type ArchiveStore } from './archive-store.ts';
import { S3Store, type S3Settings } from './s3-store.ts';

/**
 * What `POSTERN_ARCHIVE_S3_FILE` holds: `{"endpoint", "region", "access_key_id", "secret_access_key"}`.
 *
 * @throws {PosternError} `config.invalid`, which quotes nothing of it.
 */
export function s3SettingsOf(content: string): S3Settings {
  const wrong = 'An archive at an object store needs {"endpoint", "region", "access_key_id", "secret_access_key"}.';
  const read = ArchiveStoreSettings.safeParse(parsed(content)).data;
  if (read === undefined) throw new PosternError('config.invalid', wrong);
  const { endpoint, region, access_key_id: accessKeyId, secret_access_key: secretAccessKey } = read;
  return { endpoint, region, accessKeyId, secretAccessKey };
}

/** Is it an object store's place rather than a folder? */
export function isObjectPlace(place: string): boolean {
  return place.startsWith('s3:');
}

/**
 * Where archives are: a folder, or `s3://bucket/prefix`.
 *
 * @param settings of the object store; not needed for a folder.
 * @throws {PosternError} `config.invalid` for a place that names no bucket, or a store without its settings.
 */
export function archiveStoreAt(place: string, settings?: S3Settings): ArchiveStore {
  if (!isObjectPlace(place)) return new FolderStore(place);
  const [, bucket, prefix = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([^?#]*?))?\/?$/.exec(place) ?? [];
  if (bucket === undefined) throw new PosternError('config.invalid', `${place} is no s3://bucket/prefix.`);
  if (settings === undefined) {
    throw new PosternError(
      'config.invalid',
      `${place} needs POSTERN_ARCHIVE_S3_FILE: where the store is, and its keys.`,
    );
  }
  return new S3Store({ ...settings, bucket, prefix });
}

function parsed(content: string): unknown {
  try {
    return JSON.parse(content) as unknown;
  } catch {
    return undefined;
  }
}
