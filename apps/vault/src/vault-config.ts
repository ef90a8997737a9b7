import { choice, defineConfig, integer, secretFile, text } from '@postern/service';

/** What the vault is told beside what every service is. */
export class VaultConfig extends defineConfig({
  /** `postgresql://…` of the vault's own role. */
  databaseUrl: secretFile(),
  databaseConnectionsMax: integer({ min: 1, max: 100 }).default(8),
  keyring: choice(['local']).default('local'),
  /** The key file itself is opened by the keyring, which checks its mode and its passphrase. */
  keyringKeyFile: text(),
  keyringPassphrase: secretFile().optional(),
}) {}
