import { PosternError } from '@postern/contracts';
import { CryptoError, decodeBase64url, decryptAead, encryptAead, framed, zero, type Secret } from '@postern/crypto';
import {
  damaged,
  keyFileBytesMax,
  parseKeyFile,
  type KeyFileContent,
  type KeyFileContent2,
  type StoredKey,
} from './key-file-content.ts';
import { MasterKeyRing, TenantKeyRing, tenantKeyBytes, type KeyRing, type VersionedKeys } from './key-ring.ts';
import { assertStrong, deriveKey, freshParameters, type Argon2Parameters } from './passphrase.ts';
import { createPrivateFile, readPrivateFile, replacePrivateFile } from './private-file.ts';

/** Where the tenants' keys are and what opens them. */
export interface KeyFileAccess {
  /** Mode 0600; refused when group or others may use it. */
  readonly keyFile: string;
  /** Present exactly when the file was made with one. */
  readonly passphrase?: Secret | undefined;
}

/** The key of a file that has a passphrase, and what it was derived with. */
interface FileKey {
  readonly key: Buffer;
  readonly argon2id: Argon2Parameters;
}

const verified = Buffer.from('postern key file');

/**
 * Makes a key file that knows no tenant yet; `KeyAdministration` gives each its key.
 *
 * @effect Writes the file once, mode 0600, durable. Losing it loses every credential: back it up.
 * @throws {PosternError} `config.invalid` when the file exists or the passphrase is too short.
 */
export async function createKeyFile({ keyFile, passphrase }: KeyFileAccess): Promise<void> {
  if (passphrase) assertStrong(passphrase);
  await withFileKey(passphrase, passphrase && freshParameters(), (fileKey) =>
    createPrivateFile(keyFile, textOf(contentOf(new Map(), fileKey))),
  );
}

/**
 * Reads and checks a key file; wipe the ring when it is not needed any more.
 *
 * @throws {PosternError} `config.invalid` when it is missing, readable by others, damaged, or does not open with
 *   this passphrase: at start, not at the first lease.
 * @internal
 */
export async function readKeyRing({ keyFile, passphrase }: KeyFileAccess): Promise<KeyRing> {
  const content = await readContent({ keyFile, passphrase });
  return await withFileKey(passphrase, content.argon2id, async (fileKey) => ringOf(keyFile, content, fileKey));
}

/**
 * Replaces the keys in one step by what `change` makes of them; undefined changes nothing.
 *
 * @effect Readers see the old file or the new. Not for two at once: take turns.
 * @throws {PosternError} `config.invalid` as {@link readKeyRing}.
 * @internal
 */
export async function changeKeyFile(
  { keyFile, passphrase }: KeyFileAccess,
  change: (ring: KeyRing) => ReadonlyMap<string, VersionedKeys> | undefined,
): Promise<void> {
  const content = await readContent({ keyFile, passphrase });
  await withFileKey(passphrase, content.argon2id, async (fileKey) => {
    const ring = ringOf(keyFile, content, fileKey);
    try {
      const tenants = change(ring);
      if (tenants === undefined) return;
      await replacePrivateFile(keyFile, textOf(contentOf(tenants, fileKey)));
      new TenantKeyRing(tenants).wipe();
    } finally {
      ring.wipe();
    }
  });
}

async function readContent({ keyFile, passphrase }: KeyFileAccess): Promise<KeyFileContent> {
  const content = parseKeyFile(keyFile, await readPrivateFile(keyFile, keyFileBytesMax));
  if (!content.argon2id === !passphrase) return content;
  const needed = content.argon2id ? 'needs its passphrase' : 'was made without a passphrase';
  throw new PosternError('config.invalid', `The key file ${keyFile} ${needed}.`);
}

async function withFileKey<T>(
  passphrase: Secret | undefined,
  argon2id: Argon2Parameters | undefined,
  work: (fileKey: FileKey | undefined) => Promise<T>,
): Promise<T> {
  if (!passphrase || !argon2id) return await work(undefined);
  const key = await deriveKey(passphrase, argon2id);
  try {
    return await work({ key, argon2id });
  } finally {
    zero(key);
  }
}

function ringOf(keyFile: string, content: KeyFileContent, fileKey: FileKey | undefined): KeyRing {
  const open = (text: string, dataOf: DataOf): Buffer => {
    const stored = decodeBase64url(text) ?? Buffer.alloc(0);
    return fileKey ? decrypted(keyFile, fileKey, { sealed: stored, dataOf }) : stored;
  };
  const openKeys = (keys: readonly StoredKey[], dataOf: (version: number) => DataOf): VersionedKeys =>
    new Map(keys.map(({ version, key }) => [version, wholeKey(keyFile, open(key, dataOf(version)))]));
  if (content.formatVersion === 1) return new MasterKeyRing(openKeys(content.keys, masterKeyData));
  if (fileKey) open(content.verifier ?? '', verifierData);
  const tenants = Object.entries(content.tenants).map(([tenantId, keys]): [string, VersionedKeys] => [
    tenantId,
    openKeys(keys, (version) => tenantKeyData(tenantId, version)),
  ]);
  return new TenantKeyRing(new Map(tenants));
}

function contentOf(tenants: ReadonlyMap<string, VersionedKeys>, fileKey: FileKey | undefined): KeyFileContent2 {
  const store = (plaintext: Buffer, dataOf: DataOf): string =>
    (fileKey ? encrypted(fileKey, plaintext, dataOf) : plaintext).toString('base64url');
  const stored = [...tenants].map(([tenantId, keys]): [string, StoredKey[]] => [
    tenantId,
    [...keys].map(([version, key]) => ({ version, key: store(key, tenantKeyData(tenantId, version)) })),
  ]);
  return {
    format: 'postern-key-file',
    formatVersion: 2,
    ...(fileKey && { argon2id: fileKey.argon2id, verifier: store(verified, verifierData) }),
    tenants: Object.fromEntries(stored),
  };
}

function textOf(content: KeyFileContent2): string {
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

function wholeKey(keyFile: string, key: Buffer): Buffer {
  if (key.length === tenantKeyBytes) return key;
  throw damaged(keyFile);
}

function encrypted({ key, argon2id }: FileKey, plaintext: Buffer, dataOf: DataOf): Buffer {
  return encryptAead({ key, plaintext, additionalData: dataOf(argon2id) });
}

function decrypted(
  keyFile: string,
  { key, argon2id }: FileKey,
  { sealed, dataOf }: { sealed: Buffer; dataOf: DataOf },
): Buffer {
  try {
    return decryptAead({ key, sealed, additionalData: dataOf(argon2id) });
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new PosternError('config.invalid', `The passphrase does not open the key file ${keyFile}.`);
  }
}

/** A key opens in its own place only, and with the parameters it was derived with: they cannot be weakened. */
type DataOf = (argon2id: Argon2Parameters) => Buffer;

const partsOf = ({ memoryKiB, passes, lanes, salt }: Argon2Parameters) =>
  [String(memoryKiB), String(passes), String(lanes), salt] as const;

const masterKeyData =
  (version: number): DataOf =>
  (argon2id) =>
    framed('postern master key v1', String(version), ...partsOf(argon2id));

const tenantKeyData =
  (tenantId: string, version: number): DataOf =>
  (argon2id) =>
    framed('postern key file tenant v2', tenantId, String(version), ...partsOf(argon2id));

const verifierData: DataOf = (argon2id) => framed('postern key file verifier v2', ...partsOf(argon2id));
