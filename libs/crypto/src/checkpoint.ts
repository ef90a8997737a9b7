import { hash } from 'node:crypto';

import { emptyTreeHash, type TreeHash } from './merkle-tree.ts';
import { assertKeyName, isKeyName, noteParts, rawKey } from './note.ts';
import { signer, verifier, type SigningPrivateJwk, type SigningPublicJwk, type Verifier } from './signing.ts';

/** The head of a log at a size, as its owner signs it. */
export interface Checkpoint {
  /** The log's name, and the name of the keys that sign it. */
  readonly origin: string;
  readonly size: number;
  readonly root: TreeHash;
}

/** A checkpoint of which a key that is trusted said so. */
export interface OpenedCheckpoint extends Checkpoint {
  /** The note's text, which is what is signed. */
  readonly text: string;
  /** Whose signatures held, as key ids of `signed-note`. */
  readonly keyIds: readonly string[];
}

const keyIdBytes = 4;
const ed25519Type = 1;
const signatureBytes = 64;
const sizePattern = /^(?:0|[1-9]\d{0,15})$/;

/**
 * Signs a head, with each of the keys: while one takes over from another, both sign, and whoever trusts either reads it.
 *
 * @returns the whole note, a signature a line.
 * @throws {InputInvalidError} when the origin is no name of a key.
 * @source C2SP signed-note, tlog-checkpoint
 */
export function signCheckpoint({ origin, size, root }: Checkpoint, keys: readonly SigningPrivateJwk[]): string {
  assertKeyName(origin);
  const text = `${origin}\n${size}\n${root.toString('base64')}\n`;
  const lines = keys.map((key) => {
    const signature = Buffer.from(signer(key).sign(Buffer.from(text)), 'base64url');
    return `— ${origin} ${Buffer.concat([noteKeyId(origin, key), signature]).toString('base64')}\n`;
  });
  return `${text}\n${lines.join('')}`;
}

/**
 * Reads a note whose origin is known and that one of the keys signed; signatures of others (witnesses, keys not known
 * here) are stepped over.
 *
 * @returns undefined for anything else, also where a known key's signature does not hold.
 * @source C2SP signed-note, tlog-checkpoint
 */
export function openCheckpoint(
  note: string,
  { origin, keys }: { readonly origin: string; readonly keys: readonly SigningPublicJwk[] },
): OpenedCheckpoint | undefined {
  const parts = noteParts(note);
  if (parts === undefined) return undefined;
  const { text } = parts;
  const head = parseHead(text);
  if (head?.origin !== origin) return undefined;
  const known = new Map<string, Verifier>();
  for (const key of keys) known.set(noteKeyId(origin, key).toString('hex'), verifier(key));
  const keyIds: string[] = [];
  for (const { name, bytes } of parts.signatures) {
    const keyId = bytes.subarray(0, keyIdBytes).toString('hex');
    const key = name === origin ? known.get(keyId) : undefined;
    if (key === undefined) continue;
    const signature = bytes.subarray(keyIdBytes);
    if (signature.length !== signatureBytes) return undefined;
    if (!key.verify(Buffer.from(text), signature.toString('base64url'))) return undefined;
    keyIds.push(keyId);
  }
  return keyIds.length === 0 ? undefined : { ...head, text, keyIds };
}

/**
 * A public key as other tools of transparency logs take it.
 *
 * @throws {InputInvalidError} when the name is none.
 * @source C2SP signed-note, "Verifier keys"
 */
export function noteVerifierKey(name: string, key: SigningPublicJwk): string {
  assertKeyName(name);
  const typed = Buffer.concat([Buffer.of(ed25519Type), rawKey(key)]).toString('base64');
  return `${name}+${noteKeyId(name, key).toString('hex')}+${typed}`;
}

function parseHead(text: string): Checkpoint | undefined {
  const [origin = '', size = '', encoded = '', ...extensions] = text.slice(0, -1).split('\n');
  const root = Buffer.from(encoded, 'base64');
  if (!isKeyName(origin) || !sizePattern.test(size) || !Number.isSafeInteger(Number(size))) return undefined;
  if (root.length !== emptyTreeHash.length || root.toString('base64') !== encoded) return undefined;
  return extensions.includes('') ? undefined : { origin, size: Number(size), root };
}

/** @source C2SP signed-note, "Ed25519 signatures" */
function noteKeyId(name: string, key: Pick<SigningPublicJwk, 'x'>): Buffer {
  const named = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ed25519Type), rawKey(key)]);
  return hash('sha256', named, 'buffer').subarray(0, keyIdBytes);
}
