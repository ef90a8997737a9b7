import { z } from 'zod';

import { PosternError } from '@postern/contracts';

import { readJsonFile, writePrivate } from '../data-folder/files.ts';
import type { DataFolder } from '../data-folder/paths.ts';

/** What a running `postern up` tells the commands beside it. */
export const SupervisorFile = z.object({
  pid: z.number().int(),
  natsUrl: z.string(),
  natsMonitorUrl: z.string(),
  publicUrl: z.string(),
  /** The tenant that the first start created. */
  tenantId: z.string(),
  /** Where HashiCorp Vault is, with --keyring vault. */
  keyServerUrl: z.string().optional(),
  services: z.record(z.string(), z.number().int()),
});
export type SupervisorFile = z.infer<typeof SupervisorFile>;

export function writeSupervisorFile(folder: DataFolder, value: SupervisorFile): void {
  writePrivate(folder.supervisorFile, `${JSON.stringify(value, null, 2)}\n`);
}

/** @throws {PosternError} `bus.unavailable` when nothing was ever started on this data folder. */
export function readSupervisorFile(folder: DataFolder): SupervisorFile {
  try {
    return SupervisorFile.parse(readJsonFile(folder.supervisorFile));
  } catch (cause) {
    throw new PosternError(
      'bus.unavailable',
      `Nothing runs on ${folder.root}. Start it with: postern up --data ${folder.root}`,
      { cause },
    );
  }
}
