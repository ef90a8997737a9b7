import { InputInvalidError } from './errors.ts';
import type { SigningPublicJwk } from './signing.ts';

/** A note in its parts; nothing of it is believed yet. @internal */
export interface NoteParts {
  /** What is signed, with its last line feed. */
  readonly text: string;
  readonly signatures: readonly { readonly name: string; readonly bytes: Buffer }[];
}

const keyIdBytes = 4;
const rawKeyBytes = 32;
/** A note is small; what is larger is none. */
const noteCharsMax = 16 * 1024;
const signaturesMax = 16;
const signatureLine = /^— (\S+) ([A-Za-z0-9+/]+=*)$/;

/** @returns undefined for what is no signed note. @source C2SP signed-note @internal */
export function noteParts(note: string): NoteParts | undefined {
  if (note.length > noteCharsMax || !note.endsWith('\n')) return undefined;
  const split = note.lastIndexOf('\n\n');
  const lines = note.slice(split + 2, -1).split('\n');
  if (split < 0 || lines.length > signaturesMax) return undefined;
  const signatures: { name: string; bytes: Buffer }[] = [];
  for (const line of lines) {
    const [, name, encoded = ''] = signatureLine.exec(line) ?? [];
    const bytes = Buffer.from(encoded, 'base64');
    if (name === undefined || bytes.length <= keyIdBytes || bytes.toString('base64') !== encoded) return undefined;
    signatures.push({ name, bytes });
  }
  return { text: note.slice(0, split + 1), signatures };
}

/** The 32 bytes of a public key. @throws {InputInvalidError} @internal */
export function rawKey({ x }: Pick<SigningPublicJwk, 'x'>): Buffer {
  const raw = Buffer.from(x, 'base64url');
  if (raw.length !== rawKeyBytes) throw new InputInvalidError('no Ed25519 key');
  return raw;
}

/** @source C2SP signed-note, "Signatures" @internal */
export const isKeyName = (name: string) => /^[^\s+]+$/u.test(name) && name.isWellFormed();

/** @throws {InputInvalidError} @internal */
export function assertKeyName(name: string): void {
  if (!isKeyName(name)) throw new InputInvalidError('a key’s name holds no space and no plus');
}
