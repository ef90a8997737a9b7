import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { identityNames, TrustBundle, type IdentityName, type LogTrust } from '@postern/contracts';
import {
  generateSealingKey,
  generateSigningKey,
  publicJwkOf,
  randomToken,
  type SealingPrivateJwk,
  type SigningPrivateJwk,
} from '@postern/crypto';

import { readOrCreate, writePrivate } from './files.ts';
import type { KeyringChoice } from './keyring-choice.ts';
import { keyringPassphrase } from './keyring-passphrase.ts';
import type { DataFolder, SecretName } from './paths.ts';

/** Who signs commits, and who is sent sealed secrets (DESIGN §3, "holds"). */
const signers: readonly IdentityName[] = [
  'authorization',
  'vault',
  'refresh',
  'revocation',
  'notifier',
  'administrator',
];
/** What no other party has: random words. */
const secrets: readonly SecretName[] = [
  ...(['cookie', 'digest', 'token'] as const),
  ...(['database-password', 'revocation-database-password', 'audit-database-password'] as const),
  'notifier-database-password',
];
/** Of the first key's id: enough that no two logs have one name. */
const logNameChars = 16;
const recipients: readonly IdentityName[] = ['vault', 'authorization', 'refresh', 'revocation', 'gateway', 'notifier'];

/**
 * Makes every key that is not there yet and pins the public ones in the trust bundle. The key file is encrypted where
 * POSTERN_KEYRING_PASSPHRASE_FILE names a passphrase.
 *
 * @param keyring with `vault` there is no key file: its keys are in the key server.
 * @effect files of mode 0600 in the data folder; keys that exist stay.
 */
export async function ensureKeys(folder: DataFolder, keyring: KeyringChoice): Promise<TrustBundle> {
  const before = existsSync(folder.trustFile) ? readTrust(folder).writers : {};
  const bundle: TrustBundle = { writers: {}, recipients: {}, log: ensureLogTrust(folder) };
  for (const identity of identityNames) {
    // Whose keys signed here once, or in the house that the log was exported from: what they signed stays true.
    const earlier = before[identity] ?? [];
    if (earlier.length > 0) bundle.writers[identity] = earlier;
    if (signers.includes(identity)) {
      const text = readOrCreate(folder.signingKeyFile(identity), () => JSON.stringify(generateSigningKey().privateJwk));
      const { kid = '', ...jwk } = publicJwkOf<'Ed25519'>(JSON.parse(text) as SigningPrivateJwk);
      bundle.writers[identity] = [{ ...jwk, kid }, ...earlier.filter((key) => key.kid !== kid)];
    }
    if (recipients.includes(identity)) {
      const text = readOrCreate(folder.sealingKeyFile(identity), () => JSON.stringify(generateSealingKey().privateJwk));
      bundle.recipients[identity] = publicJwkOf<'X25519'>(JSON.parse(text) as SealingPrivateJwk);
    }
  }
  for (const name of secrets) {
    readOrCreate(folder.secretFile(name), () => randomToken(32));
  }
  if (keyring === 'local' && !existsSync(folder.keyringFile)) {
    mkdirSync(dirname(folder.keyringFile), { recursive: true, mode: 0o700 });
    const { createKeyFile } = await import('@postern/keyring');
    await createKeyFile({ keyFile: folder.keyringFile, passphrase: await keyringPassphrase() });
  }
  writePrivate(folder.trustFile, `${JSON.stringify(TrustBundle.parse(bundle), null, 2)}\n`);
  return bundle;
}

/**
 * The keys that sign the checkpoints: the one that signs, and each that did so before. A key that is forgotten takes all
 * that only it has signed with it.
 */
function ensureLogTrust(folder: DataFolder): LogTrust {
  const made = () => JSON.stringify(generateSigningKey().privateJwk);
  const current = JSON.parse(readOrCreate(folder.checkpointKeyFile, made)) as SigningPrivateJwk;
  const { kid = '', ...jwk } = publicJwkOf<'Ed25519'>(current);
  const before = existsSync(folder.trustFile) ? readTrust(folder).log : undefined;
  const others = before?.keys.filter((key) => key.kid !== kid) ?? [];
  return { name: before?.name ?? `postern.log/${kid.slice(0, logNameChars)}`, keys: [{ ...jwk, kid }, ...others] };
}

/**
 * Lets a new key sign the checkpoints; the one until now signs beside it until the next change, so that whoever knows
 * only that one can go on.
 *
 * @effect new key files and trust bundle; services take them when they start.
 */
export function rotateCheckpointKey(folder: DataFolder): LogTrust {
  const trust = readTrust(folder);
  writePrivate(folder.previousCheckpointKeyFile, readFileSync(folder.checkpointKeyFile, 'utf8'));
  writePrivate(folder.checkpointKeyFile, JSON.stringify(generateSigningKey().privateJwk));
  const log = ensureLogTrust(folder);
  writePrivate(folder.trustFile, `${JSON.stringify(TrustBundle.parse({ ...trust, log }), null, 2)}\n`);
  return log;
}

/** The trust bundle of a data folder. */
export function readTrust(folder: DataFolder): TrustBundle {
  return TrustBundle.parse(JSON.parse(readFileSync(folder.trustFile, 'utf8')));
}
