import { PosternError } from '@postern/contracts';
import type { LocalKeyAdministration } from '@postern/keyring';
import { takeLock } from '@postern/servers';

import { keyringPassphrase } from './keyring-passphrase.ts';
import type { DataFolder } from './paths.ts';

const lockWaitMsMax = 30_000;

/**
 * What may change the tenants' keys of a data folder, one command at a time. The vault is not told: it notices.
 *
 * @throws {PosternError} from a change, `service.not_ready` while another command holds the key file.
 */
export async function openKeyFile({ keyringFile }: DataFolder): Promise<LocalKeyAdministration> {
  const { localKeyAdministration } = await import('@postern/keyring');
  return localKeyAdministration({
    keyFile: keyringFile,
    passphrase: await keyringPassphrase(),
    exclusively: async (work) => {
      const lock = await takeLock({ path: `${keyringFile}.lock`, waitMsMax: lockWaitMsMax });
      if (lock === undefined) throw new PosternError('service.not_ready', 'Another command changes the key file.');
      return await work().finally(() => lock.release());
    },
  });
}
