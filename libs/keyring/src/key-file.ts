import { randomBytes } from 'node:crypto';
import { PosternError } from '@postern/contracts';
import { CryptoError, decodeBase64url, decryptAead, encryptAead, framed, zero, type Secret } from '@postern/crypto';
import { areParameters, assertStrong, deriveKey, freshParameters, type Argon2Parameters } from './passphrase.ts';
import { createPrivateFile, readPrivateFile, replacePrivateFile } from './private-file.ts';

/** Where the master keys are and what opens them. */
export interface KeyFileAccess {
  /** Mode 0600; refused when group or others may use it. */
  readonly keyFile: string;
  /** Present exactly when the file was made with one. */
  readonly passphrase?: Secret | undefined;
}

/** Master keys by version, at least one. */
export type MasterKeys = ReadonlyMap<number, Buffer>;

interface KeyFileContent {
  readonly format: 'postern-key-file';
  readonly formatVersion: 1;
  /** Absent: the keys stand in the clear and the file's mode protects them. */
  readonly argon2id?: Argon2Parameters;
  /** base64url; under a passphrase encrypted, which makes each key the verifier of the passphrase. */
  readonly keys: readonly { readonly version: number; readonly key: string }[];
}

const masterKeyBytes = 32;
const keyFileBytesMax = 65_536;
const keyVersionsMax = 1_000;

/**
 * Makes a key file with one fresh master key.
 *
 * @effect Writes the file once, mode 0600, durable. Losing it loses every credential: back it up.
 * @throws {PosternError} `config.invalid` when the file exists or the passphrase is too short.
 */
export async function createKeyFile({ keyFile, passphrase }: KeyFileAccess): Promise<void> {
  if (passphrase) assertStrong(passphrase);
  const argon2id = passphrase && freshParameters();
  const keys = new Map([[1, randomBytes(masterKeyBytes)]]);
  await createPrivateFile(keyFile, await contentOf(keys, passphrase, argon2id));
  wipe(keys);
}

/**
 * Adds a master key version; data keys wrapped from then on use it, the older ones open as before. Services read
 * the file when they start.
 *
 * @effect Replaces the file in one step. Not for two people at once: the later write wins.
 * @returns the new version.
 * @throws {PosternError} `config.invalid` as {@link readMasterKeys}.
 */
export async function rotateKeyFile(access: KeyFileAccess): Promise<number> {
  const { content, keys } = await read(access);
  const version = Math.max(...keys.keys()) + 1;
  const next = new Map([...keys, [version, randomBytes(masterKeyBytes)]]);
  await replacePrivateFile(access.keyFile, await contentOf(next, access.passphrase, content.argon2id));
  wipe(next);
  return version;
}

/**
 * Reads and checks a key file.
 *
 * @throws {PosternError} `config.invalid` when it is missing, readable by others, damaged, or does not open with
 *   this passphrase: at start, not at the first lease.
 * @internal
 */
export async function readMasterKeys(access: KeyFileAccess): Promise<MasterKeys> {
  return (await read(access)).keys;
}

/** @internal */
export function wipe(keys: MasterKeys): void {
  for (const key of keys.values()) zero(key);
}

async function read({ keyFile, passphrase }: KeyFileAccess): Promise<{ content: KeyFileContent; keys: MasterKeys }> {
  const content = parse(keyFile, await readPrivateFile(keyFile, keyFileBytesMax));
  if (!content.argon2id !== !passphrase) {
    const needed = content.argon2id ? 'needs its passphrase' : 'was made without a passphrase';
    throw new PosternError('config.invalid', `The key file ${keyFile} ${needed}.`);
  }
  return { content, keys: await openKeys(keyFile, content, passphrase) };
}

async function openKeys(keyFile: string, content: KeyFileContent, passphrase: Secret | undefined): Promise<MasterKeys> {
  const { argon2id } = content;
  const derived = passphrase && argon2id && (await deriveKey(passphrase, argon2id));
  const keys = content.keys.map(({ version, key }) => {
    const stored = decodeBase64url(key) ?? Buffer.alloc(0);
    const opened = derived && argon2id ? openKey(keyFile, derived, stored, masterKeyData(version, argon2id)) : stored;
    if (opened.length !== masterKeyBytes) throw damaged(keyFile);
    return [version, opened] as const;
  });
  if (derived) zero(derived);
  return new Map(keys);
}

function openKey(keyFile: string, key: Buffer, sealed: Buffer, additionalData: Buffer): Buffer {
  try {
    return decryptAead({ key, sealed, additionalData });
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new PosternError('config.invalid', `The passphrase does not open the key file ${keyFile}.`);
  }
}

async function contentOf(keys: MasterKeys, passphrase: Secret | undefined, argon2id: Argon2Parameters | undefined) {
  const key = passphrase && argon2id && (await deriveKey(passphrase, argon2id));
  const stored = [...keys].map(([version, plaintext]) => ({
    version,
    key: (key && argon2id
      ? encryptAead({ key, plaintext, additionalData: masterKeyData(version, argon2id) })
      : plaintext
    ).toString('base64url'),
  }));
  if (key) zero(key);
  const content: KeyFileContent = {
    format: 'postern-key-file',
    formatVersion: 1,
    ...(argon2id && { argon2id }),
    keys: stored,
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

function masterKeyData(version: number, { memoryKiB, passes, lanes, salt }: Argon2Parameters): Buffer {
  return framed('postern master key v1', String(version), String(memoryKiB), String(passes), String(lanes), salt);
}

function parse(keyFile: string, text: string): KeyFileContent {
  let content: Partial<Record<keyof KeyFileContent, unknown>> | null;
  try {
    content = JSON.parse(text);
  } catch {
    throw damaged(keyFile);
  }
  const { format, formatVersion, argon2id, keys } = content ?? {};
  if (format !== 'postern-key-file' || formatVersion !== 1 || !areStoredKeys(keys)) throw damaged(keyFile);
  if (argon2id === undefined) return { format, formatVersion, keys };
  if (!areParameters(argon2id)) throw damaged(keyFile);
  return { format, formatVersion, argon2id, keys };
}

function areStoredKeys(keys: unknown): keys is KeyFileContent['keys'] {
  if (!Array.isArray(keys) || keys.length < 1 || keys.length > keyVersionsMax) return false;
  return keys.every(isStoredKey) && new Set(keys.map(({ version }) => version)).size === keys.length;
}

function isStoredKey(value: unknown): value is KeyFileContent['keys'][number] {
  if (typeof value !== 'object' || value === null) return false;
  const { version, key }: { version?: unknown; key?: unknown } = value;
  return Number.isSafeInteger(version) && Number(version) > 0 && typeof key === 'string';
}

function damaged(keyFile: string): PosternError {
  return new PosternError('config.invalid', `${keyFile} is not a whole key file.`);
}
