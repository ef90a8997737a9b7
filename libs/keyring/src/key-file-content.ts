import { isId, PosternError } from '@postern/contracts';
import { areParameters, type Argon2Parameters } from './passphrase.ts';

/** A key as it stands in the file: base64url; under a passphrase encrypted, which makes it the passphrase's verifier. */
export interface StoredKey {
  readonly version: number;
  readonly key: string;
}

interface FileHead {
  readonly format: 'postern-key-file';
  /** Absent: the keys stand in the clear and the file's mode protects them. */
  readonly argon2id?: Argon2Parameters;
}

/** One set of master keys from which every tenant's is derived. Read still, never written. */
export interface KeyFileContent1 extends FileHead {
  readonly formatVersion: 1;
  readonly keys: readonly StoredKey[];
}

/** Each tenant has keys of its own. */
export interface KeyFileContent2 extends FileHead {
  readonly formatVersion: 2;
  /** Shows that a passphrase is the right one while there is no tenant yet. */
  readonly verifier?: string;
  readonly tenants: Readonly<Record<string, readonly StoredKey[]>>;
}

export type KeyFileContent = KeyFileContent1 | KeyFileContent2;

/** Some hundred bytes a key: a hundred thousand tenants. */
export const keyFileBytesMax = 16 * 1024 * 1024;
const keyVersionsMax = 1_000;

/** @throws {PosternError} `config.invalid` when the text is no whole key file. @internal */
export function parseKeyFile(keyFile: string, text: string): KeyFileContent {
  let content: Partial<Record<string, unknown>> | null;
  try {
    content = JSON.parse(text);
  } catch {
    throw damaged(keyFile);
  }
  const { format, formatVersion, argon2id, keys, verifier, tenants } = content ?? {};
  if (format !== 'postern-key-file') throw damaged(keyFile);
  if (argon2id !== undefined && !areParameters(argon2id)) throw damaged(keyFile);
  const head = { format, ...(argon2id && { argon2id }) } as const;
  if (formatVersion === 1 && areStoredKeys(keys)) return { ...head, formatVersion, keys };
  if (formatVersion !== 2 || !areTenants(tenants)) throw damaged(keyFile);
  if (argon2id === undefined) return { ...head, formatVersion, tenants };
  if (typeof verifier !== 'string') throw damaged(keyFile);
  return { ...head, formatVersion, verifier, tenants };
}

/** @internal */
export function damaged(keyFile: string): PosternError {
  return new PosternError('config.invalid', `${keyFile} is not a whole key file.`);
}

function areTenants(value: unknown): value is KeyFileContent2['tenants'] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([tenantId, keys]) => isId('tenant', tenantId) && areStoredKeys(keys));
}

function areStoredKeys(keys: unknown): keys is readonly StoredKey[] {
  if (!Array.isArray(keys) || keys.length < 1 || keys.length > keyVersionsMax) return false;
  return keys.every(isStoredKey) && new Set(keys.map(({ version }) => version)).size === keys.length;
}

function isStoredKey(value: unknown): value is StoredKey {
  if (typeof value !== 'object' || value === null) return false;
  const { version, key }: { version?: unknown; key?: unknown } = value;
  return Number.isSafeInteger(version) && Number(version) > 0 && typeof key === 'string';
}
