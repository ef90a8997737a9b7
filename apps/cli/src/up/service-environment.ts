import { existsSync } from 'node:fs';

import type { AppName } from '@postern/contracts';

import { keyringPassphraseFile } from '../data-folder/keyring-passphrase.ts';
import type { DataFolder } from '../data-folder/paths.ts';

export interface ServiceEnvironmentOptions {
  readonly folder: DataFolder;
  readonly natsUrl: string;
  readonly publicUrl: string;
  readonly httpPort: number;
  /** Where HashiCorp Vault is; the key file of the data folder is the keyring when absent. */
  readonly keyServerUrl: string | undefined;
}

const signing: readonly AppName[] = ['authorization', 'vault', 'refresh', 'revocation', 'notifier'];
const sealing: readonly AppName[] = ['authorization', 'vault', 'refresh', 'revocation', 'gateway', 'notifier'];

function keyring(folder: DataFolder, keyServerUrl: string | undefined): Record<string, string> {
  if (keyServerUrl === undefined) {
    return { POSTERN_KEYRING: 'local', POSTERN_KEYRING_KEY_FILE: folder.keyringFile, ...keyringPassphraseFile() };
  }
  return {
    POSTERN_KEYRING: 'transit',
    POSTERN_KEYRING_VAULT_URL: keyServerUrl,
    POSTERN_KEYRING_VAULT_CA_FILE: folder.keyServerCaFile,
    POSTERN_KEYRING_VAULT_ROLE_ID_FILE: folder.roleIdFile('vault'),
    POSTERN_KEYRING_VAULT_SECRET_ID_FILE: folder.secretIdFile('vault'),
  };
}

function ownKeys(app: AppName, { folder, keyServerUrl }: ServiceEnvironmentOptions): Record<string, string> {
  switch (app) {
    case 'vault':
      return { POSTERN_DATABASE_URL_FILE: folder.secretFile('database-url'), ...keyring(folder, keyServerUrl) };
    case 'authorization':
      return {
        POSTERN_COOKIE_KEY_FILE: folder.secretFile('cookie'),
        POSTERN_DIGEST_KEY_FILE: folder.secretFile('digest'),
      };
    case 'gateway':
      return { POSTERN_TOKEN_KEY_FILE: folder.secretFile('token') };
    case 'revocation':
      return {
        POSTERN_DATABASE_URL_FILE: folder.secretFile('revocation-database-url'),
        POSTERN_DIGEST_KEY_FILE: folder.secretFile('digest'),
      };
    case 'audit':
      return {
        POSTERN_DATABASE_URL_FILE: folder.secretFile('audit-database-url'),
        POSTERN_CHECKPOINT_KEY_FILE: folder.checkpointKeyFile,
        POSTERN_ARCHIVE_DIR: folder.archiveDir,
        POSTERN_SNAPSHOT_DIR: folder.snapshotDir,
        ...(existsSync(folder.previousCheckpointKeyFile) && {
          POSTERN_CHECKPOINT_PREVIOUS_KEY_FILE: folder.previousCheckpointKeyFile,
        }),
      };
    case 'notifier':
      return { POSTERN_DATABASE_URL_FILE: folder.secretFile('notifier-database-url') };
    case 'refresh':
      return {};
  }
}

/** Variables that a person may set for `postern up` and that reach one service unchanged. */
const passedTo: Partial<Record<AppName, readonly string[]>> = {
  notifier: [
    'POSTERN_CHECKPOINT_DIR',
    'POSTERN_WITNESSES',
    'POSTERN_WITNESS_QUORUM',
    'POSTERN_ALLOWED_WEBHOOK_ADDRESSES',
  ],
  audit: [
    'POSTERN_ACCESS_KEPT_DAYS',
    'POSTERN_CHECKPOINT_INTERVAL',
    'POSTERN_EPOCH_MAX_AGE',
    'POSTERN_ACCESS_MAX_AGE',
    'POSTERN_ARCHIVE_S3_FILE',
  ],
  authorization: ['POSTERN_ALLOWED_PROVIDER_ADDRESSES'],
  refresh: ['POSTERN_ALLOWED_PROVIDER_ADDRESSES'],
  revocation: ['POSTERN_ALLOWED_PROVIDER_ADDRESSES'],
};

/** Variables that a person may set for `postern up` and that reach every service unchanged. */
const passedOn =
  /^(POSTERN_LOG_LEVEL|POSTERN_ALLOW_LOOPBACK_PROVIDERS|OTEL_.*|NO_COLOR|PATH|HOME|LANG|TZ|NODE_EXTRA_CA_CERTS|NODE_USE_ENV_PROXY|HTTPS?_PROXY|NO_PROXY)$/;

/**
 * The environment of one service: exactly its own secrets, as in production. The file of another app's key is not
 * named to it.
 */
export function serviceEnvironment(app: AppName, options: ServiceEnvironmentOptions): NodeJS.ProcessEnv {
  const { folder, natsUrl, publicUrl, httpPort } = options;
  const inherited = Object.entries(process.env).filter(
    ([name]) => passedOn.test(name) || passedTo[app]?.includes(name) === true,
  );
  return {
    ...Object.fromEntries(inherited),
    POSTERN_NATS_URL: natsUrl,
    POSTERN_NATS_CREDS_FILE: folder.credsFile(app),
    POSTERN_TRUST_FILE: folder.trustFile,
    ...(signing.includes(app) && { POSTERN_SIGNING_KEY_FILE: folder.signingKeyFile(app) }),
    ...(sealing.includes(app) && { POSTERN_SEALING_KEY_FILE: folder.sealingKeyFile(app) }),
    POSTERN_HTTP_HOST: '127.0.0.1',
    POSTERN_HTTP_PORT: String(httpPort),
    POSTERN_PUBLIC_URL: publicUrl,
    ...ownKeys(app, options),
  };
}
