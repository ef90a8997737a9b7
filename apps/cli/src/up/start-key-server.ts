import { startVault, type VaultServer } from '@postern/servers';

import { writePrivate } from '../data-folder/files.ts';
import type { DataFolder } from '../data-folder/paths.ts';
import { keepRunning, type KeptProcess } from './keep-running.ts';

export interface RunningKeyServer {
  readonly url: string;
  readonly kept: KeptProcess;
}

/**
 * Starts HashiCorp Vault on the data folder, keeps it running, and opens it at each start; its two roles are written
 * into files of their own: the vault's for the vault alone, the provisioner's for the commands.
 */
export async function startKeyServer(
  folder: DataFolder,
  onProblem: (sentence: string) => void,
): Promise<RunningKeyServer> {
  let server: VaultServer | undefined;
  const start = async () => {
    server = await startVault({ mode: 'server', dataDir: folder.keyServerDir, ...(server && { port: server.port }) });
    const { service, provisioner } = server.roles;
    for (const [identity, role] of [['vault', service] as const, ['provisioner', provisioner] as const]) {
      writePrivate(folder.roleIdFile(identity), role.roleId);
      writePrivate(folder.secretIdFile(identity), role.secretId);
    }
    return server;
  };
  const kept = await keepRunning({ name: 'vault-server', start, onProblem });
  const { url } = server as unknown as VaultServer;
  return { url, kept };
}
