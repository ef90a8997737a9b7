import { localKeyService, transitKeyService, type KeyService } from '@postern/keyring';

import type { VaultConfig } from './vault-config.ts';

/** The key service that the configuration names. @throws {PosternError} `config.invalid` */
export async function configuredKeyService(config: VaultConfig): Promise<KeyService> {
  if (config.keyring === 'local') {
    return await localKeyService({ keyFile: config.keyringKeyFile ?? '', passphrase: config.keyringPassphrase });
  }
  return await transitKeyService({
    url: config.keyringVaultUrl ?? '',
    caFile: config.keyringVaultCaFile,
    roleIdFile: config.keyringVaultRoleIdFile ?? '',
    secretIdFile: config.keyringVaultSecretIdFile ?? '',
    mount: config.keyringVaultMount,
    authMount: config.keyringVaultAuthMount,
    namespace: config.keyringVaultNamespace,
  });
}
