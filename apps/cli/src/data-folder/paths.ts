import { homedir } from 'node:os';
import { join } from 'node:path';

import type { IdentityName } from '@postern/contracts';
import { reachableDataDir } from '@postern/servers';

/** The secrets that are no identity's: keys of services, and how they log in to the database. */
export type SecretName =
  | 'cookie'
  | 'digest'
  | 'token'
  | 'database-url'
  | 'database-password'
  | 'revocation-database-url'
  | 'revocation-database-password'
  | 'audit-database-url'
  | 'audit-database-password'
  | 'notifier-database-url'
  | 'notifier-database-password';

/** Where everything of one `postern up` stands. */
export interface DataFolder {
  readonly root: string;
  readonly operatorFile: string;
  readonly trustFile: string;
  readonly keyringFile: string;
  /** What this folder was begun with: `local` or `vault`. */
  readonly keyringChoiceFile: string;
  readonly supervisorFile: string;
  readonly administratorFile: string;
  readonly natsDir: string;
  readonly postgresDir: string;
  /** HashiCorp Vault's own folder, with --keyring vault. */
  readonly keyServerDir: string;
  readonly keyServerCaFile: string;
  readonly logDir: string;
  /** What was dropped from the streams; elsewhere with POSTERN_ARCHIVE_DIR. */
  readonly archiveDir: string;
  /** What audit keeps so as to be asked about the past soon after it starts; it may be deleted. */
  readonly snapshotDir: string;
  /** What signs the checkpoints; during a change of keys also the one before. */
  readonly checkpointKeyFile: string;
  readonly previousCheckpointKeyFile: string;
  credsFile(identity: IdentityName): string;
  signingKeyFile(identity: IdentityName): string;
  sealingKeyFile(identity: IdentityName): string;
  /** An AppRole of HashiCorp Vault. */
  roleIdFile(identity: 'vault' | 'provisioner'): string;
  secretIdFile(identity: 'vault' | 'provisioner'): string;
  secretFile(name: SecretName): string;
}

/** The data folder that a command means: `--data`, else POSTERN_DATA, else one of the user's own. */
export async function dataFolder(wanted?: string): Promise<DataFolder> {
  const chosen = wanted ?? process.env['POSTERN_DATA'] ?? join(homedir(), '.local/share/postern');
  return dataFolderAt(await reachableDataDir(chosen));
}

function dataFolderAt(root: string): DataFolder {
  const identityFile = (identity: IdentityName, name: string) => join(root, 'identities', identity, name);
  return {
    root,
    operatorFile: join(root, 'operator.json'),
    trustFile: join(root, 'trust.json'),
    keyringFile: join(root, 'keyring', 'keyring.key'),
    keyringChoiceFile: join(root, 'keyring', 'choice'),
    supervisorFile: join(root, 'supervisor.json'),
    administratorFile: join(root, 'administrator.json'),
    natsDir: join(root, 'nats'),
    postgresDir: join(root, 'postgres'),
    keyServerDir: join(root, 'vault-server'),
    keyServerCaFile: join(root, 'vault-server', 'tls', 'ca.pem'),
    logDir: join(root, 'logs'),
    archiveDir: process.env['POSTERN_ARCHIVE_DIR'] ?? join(root, 'archive'),
    snapshotDir: join(root, 'snapshots'),
    checkpointKeyFile: identityFile('audit', 'checkpoint.jwk'),
    previousCheckpointKeyFile: identityFile('audit', 'checkpoint-previous.jwk'),
    credsFile: (identity) => identityFile(identity, 'nats.creds'),
    signingKeyFile: (identity) => identityFile(identity, 'signing.jwk'),
    sealingKeyFile: (identity) => identityFile(identity, 'sealing.jwk'),
    roleIdFile: (identity) => identityFile(identity, 'vault-role-id'),
    secretIdFile: (identity) => identityFile(identity, 'vault-secret-id'),
    secretFile: (name) => join(root, 'secrets', name),
  };
}
