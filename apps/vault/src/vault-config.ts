import { choice, defineConfig, duration, integer, secretFile, text, type ConfigRule } from '@postern/service';

import { vaultLimits } from './vault-limits.ts';

/** What one kind of keyring needs, and the other must not be given by mistake. */
interface KeyringValues {
  readonly keyring: 'local' | 'transit';
  readonly keyringKeyFile: string | undefined;
  readonly keyringVaultUrl: string | undefined;
  readonly keyringVaultRoleIdFile: string | undefined;
  readonly keyringVaultSecretIdFile: string | undefined;
}

const neededBy = (
  keyring: KeyringValues['keyring'],
  property: keyof KeyringValues,
  variable: string,
): ConfigRule<KeyringValues> => ({
  variable,
  broken: (values) =>
    values.keyring === keyring && values[property] === undefined
      ? `is not set, and POSTERN_KEYRING=${keyring} needs it`
      : undefined,
});

const keyringRules: readonly ConfigRule<KeyringValues>[] = [
  neededBy('local', 'keyringKeyFile', 'POSTERN_KEYRING_KEY_FILE'),
  neededBy('transit', 'keyringVaultUrl', 'POSTERN_KEYRING_VAULT_URL'),
  neededBy('transit', 'keyringVaultRoleIdFile', 'POSTERN_KEYRING_VAULT_ROLE_ID_FILE'),
  neededBy('transit', 'keyringVaultSecretIdFile', 'POSTERN_KEYRING_VAULT_SECRET_ID_FILE'),
  {
    variable: 'POSTERN_KEYRING',
    broken: ({ keyring, keyringVaultUrl }) =>
      keyring === 'local' && keyringVaultUrl !== undefined
        ? 'must be transit where POSTERN_KEYRING_VAULT_URL is set; with local, keys would be wrapped by a file'
        : undefined,
  },
];

/** What the vault is told beside what every service is. */
export class VaultConfig extends defineConfig(
  {
    /** `postgresql://…` of the vault's own role. */
    databaseUrl: secretFile(),
    databaseConnectionsMax: integer({ min: 1, max: 100 }).default(8),
    keyring: choice(['local', 'transit']).default('local'),
    /** The key file itself is opened by the keyring, which checks its mode and its passphrase. */
    keyringKeyFile: text().optional(),
    keyringPassphrase: secretFile().optional(),
    /** HashiCorp Vault or OpenBao, `https://host:port`. */
    keyringVaultUrl: text().optional(),
    keyringVaultCaFile: text().optional(),
    /** Both are opened by the keyring, at each login: a secret id is renewed by replacing its file. */
    keyringVaultRoleIdFile: text().optional(),
    keyringVaultSecretIdFile: text().optional(),
    keyringVaultMount: text().default('transit'),
    keyringVaultAuthMount: text().default('approle'),
    keyringVaultNamespace: text().optional(),
    /** How long a data key may stay in memory: so long the vault goes on without its key service. */
    dataKeyCachedMs: duration({ minMs: 1_000, maxMs: vaultLimits.dataKeyCachedMsMax }).default(
      vaultLimits.dataKeyCachedMsMax,
    ),
  },
  keyringRules,
) {}
