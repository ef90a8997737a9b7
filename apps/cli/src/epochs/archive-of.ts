import { PosternError } from '@postern/contracts';
import { archiveStoreAt, isObjectPlace, s3SettingsOf, StreamArchive } from '@postern/event-log';

import type { DataFolder } from '../data-folder/paths.ts';
import type { ArchivedStream } from './archive-log.ts';

/** The variable that names the file with the keys of an object store. */
const variable = 'POSTERN_ARCHIVE_S3_FILE';

/**
 * The archive of a stream, where the data folder says that archives are: a folder, or an object store.
 *
 * @throws {PosternError} `config.invalid` for a store whose keys nobody names, or that others may read.
 */
export async function archiveOf(
  { archiveDir }: Pick<DataFolder, 'archiveDir'>,
  stream: ArchivedStream,
): Promise<StreamArchive> {
  const file = process.env[variable];
  if (!isObjectPlace(archiveDir) || file === undefined) return new StreamArchive(archiveStoreAt(archiveDir), stream);
  // It comes with Nest: not for a folder, which most archives are.
  const { readConfigFile } = await import('@postern/service');
  const read = readConfigFile(file, { secret: true });
  if ('problem' in read) throw new PosternError('config.invalid', `${variable} ${read.problem}.`);
  return new StreamArchive(archiveStoreAt(archiveDir, s3SettingsOf(read.content)), stream);
}
