import { PosternError } from '@postern/contracts';
import type { KeyAdministration, LocalKeyAdministration, VaultAccess } from '@postern/keyring';

import { openKeyFile } from './key-file.ts';
import { keyringOf } from './keyring-choice.ts';
import type { DataFolder } from './paths.ts';

/** The variables of the vault app, with the provisioner's role in the files instead of the vault's. */
const variables = {
  url: 'POSTERN_KEYRING_VAULT_URL',
  caFile: 'POSTERN_KEYRING_VAULT_CA_FILE',
  roleIdFile: 'POSTERN_KEYRING_VAULT_ROLE_ID_FILE',
  secretIdFile: 'POSTERN_KEYRING_VAULT_SECRET_ID_FILE',
  mount: 'POSTERN_KEYRING_VAULT_MOUNT',
  authMount: 'POSTERN_KEYRING_VAULT_AUTH_MOUNT',
  namespace: 'POSTERN_KEYRING_VAULT_NAMESPACE',
} as const;

/** Makes a tenant's key-encryption key, as {@link openKeyAdministration} finds its keyring. May be repeated. */
export async function ensureTenantKey(
  folder: DataFolder,
  tenantId: string,
  keyServerUrl?: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  const administration = await openKeyAdministration(folder, keyServerUrl, env);
  try {
    await administration.ensureTenantKey({ tenantId });
  } finally {
    await administration.close();
  }
}

/**
 * Whoever provisions keys where this data folder's keyring is.
 *
 * @param keyServerUrl where the data folder's own Vault is, when it has one and it runs.
 * @throws {PosternError} `vault.key_service_unavailable`, and `config.invalid` for variables that are not whole.
 */
export async function openKeyAdministration(
  folder: DataFolder,
  keyServerUrl: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
): Promise<KeyAdministration | LocalKeyAdministration> {
  if (env['POSTERN_KEYRING'] === 'transit') return await inTransit(accessFrom(env));
  if (keyringOf(folder) !== 'vault') return await openKeyFile(folder);
  if (keyServerUrl === undefined) {
    throw new PosternError('vault.key_service_unavailable', 'The Vault of this data folder does not run: postern up.');
  }
  return await inTransit({
    url: keyServerUrl,
    caFile: folder.keyServerCaFile,
    roleIdFile: folder.roleIdFile('provisioner'),
    secretIdFile: folder.secretIdFile('provisioner'),
  });
}

/** Loaded by the commands that change keys, not by those that only ask. */
async function inTransit(access: VaultAccess): Promise<KeyAdministration> {
  const { transitKeyAdministration } = await import('@postern/keyring');
  return await transitKeyAdministration(access);
}

function accessFrom(env: NodeJS.ProcessEnv): VaultAccess {
  const value = (property: keyof typeof variables) => env[variables[property]] || undefined;
  const needed = (property: 'url' | 'roleIdFile' | 'secretIdFile'): string => {
    const found = value(property);
    if (found !== undefined) return found;
    throw new PosternError(
      'config.invalid',
      `${variables[property]} is not set, and POSTERN_KEYRING=transit needs it.`,
    );
  };
  return {
    url: needed('url'),
    roleIdFile: needed('roleIdFile'),
    secretIdFile: needed('secretIdFile'),
    caFile: value('caFile'),
    mount: value('mount'),
    authMount: value('authMount'),
    namespace: value('namespace'),
  };
}
