import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { identityNames, TrustBundle, type IdentityName } from '@postern/contracts';
import {
  generateSealingKey,
  generateSigningKey,
  publicJwkOf,
  randomToken,
  type SealingPrivateJwk,
  type SigningPrivateJwk,
} from '@postern/crypto';
import { createKeyFile } from '@postern/keyring';

import { readOrCreate, writePrivate } from './files.ts';
import type { KeyringChoice } from './keyring-choice.ts';
import { keyringPassphrase } from './keyring-passphrase.ts';
import type { DataFolder } from './paths.ts';

/** Who signs commits, and who is sent sealed secrets (DESIGN §3, "holds"). */
const signers: readonly IdentityName[] = ['authorization', 'vault', 'refresh', 'revocation', 'administrator'];
const recipients: readonly IdentityName[] = ['vault', 'authorization', 'refresh', 'revocation', 'gateway'];

/**
 * Makes every key that is not there yet and pins the public ones in the trust bundle. The key file is encrypted where
 * POSTERN_KEYRING_PASSPHRASE_FILE names a passphrase.
 *
 * @param keyring with `vault` there is no key file: its keys are in the key server.
 * @effect files of mode 0600 in the data folder; keys that exist stay.
 */
export async function ensureKeys(folder: DataFolder, keyring: KeyringChoice): Promise<TrustBundle> {
  const bundle: TrustBundle = { writers: {}, recipients: {} };
  for (const identity of identityNames) {
    if (signers.includes(identity)) {
      const text = readOrCreate(folder.signingKeyFile(identity), () => JSON.stringify(generateSigningKey().privateJwk));
      const { kid = '', ...jwk } = publicJwkOf<'Ed25519'>(JSON.parse(text) as SigningPrivateJwk);
      bundle.writers[identity] = [{ ...jwk, kid }];
    }
    if (recipients.includes(identity)) {
      const text = readOrCreate(folder.sealingKeyFile(identity), () => JSON.stringify(generateSealingKey().privateJwk));
      bundle.recipients[identity] = publicJwkOf<'X25519'>(JSON.parse(text) as SealingPrivateJwk);
    }
  }
  for (const name of ['cookie', 'digest', 'token', 'database-password', 'revocation-database-password'] as const) {
    readOrCreate(folder.secretFile(name), () => randomToken(32));
  }
  if (keyring === 'local' && !existsSync(folder.keyringFile)) {
    mkdirSync(dirname(folder.keyringFile), { recursive: true, mode: 0o700 });
    await createKeyFile({ keyFile: folder.keyringFile, passphrase: keyringPassphrase() });
  }
  writePrivate(folder.trustFile, `${JSON.stringify(TrustBundle.parse(bundle), null, 2)}\n`);
  return bundle;
}

/** The trust bundle of a data folder. */
export function readTrust(folder: DataFolder): TrustBundle {
  return TrustBundle.parse(JSON.parse(readFileSync(folder.trustFile, 'utf8')));
}
