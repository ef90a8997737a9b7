import { hash, sign, verify } from 'node:crypto';

import { InputInvalidError } from './errors.ts';
import { assertKeyName, isKeyName, noteParts, rawKey } from './note.ts';
import { importPrivate, importPublic } from './jwk.ts';
import type { SigningPrivateJwk, SigningPublicJwk } from './signing.ts';

/** A witness whose cosignatures are believed: it cosigns what continues all it has seen of a log, and nothing else. */
export interface Witness {
  /** Its name, as it stands in its signature lines. */
  readonly name: string;
  readonly key: SigningPublicJwk;
}

/** That a witness saw a checkpoint as the newest of a log that only grows. */
export interface Cosignature {
  readonly witness: string;
  /** Seconds since 1970, by the witness's clock. */
  readonly timeS: number;
}

const keyIdBytes = 4;
const timeBytes = 8;
const signatureBytes = 64;
const cosignatureType = 4;
const rawKeyBytes = 32;

/**
 * A witness's signature line under a checkpoint.
 *
 * @param note the checkpoint as its log signed it; other signatures under it are no part of what is said.
 * @throws {InputInvalidError} when the note is none, or the name is no key's.
 * @source C2SP tlog-cosignature, "Ed25519 signed message"
 */
export function cosignCheckpoint(
  note: string,
  { name, key, timeS }: { readonly name: string; readonly key: SigningPrivateJwk; readonly timeS: number },
): string {
  assertKeyName(name);
  const parts = noteParts(note);
  if (parts === undefined) throw new InputInvalidError('no signed note');
  const time = Buffer.alloc(timeBytes);
  time.writeBigUInt64BE(BigInt(timeS));
  const signature = sign(null, signedWords(parts.text, `${timeS}`), importPrivate(key, 'Ed25519'));
  return `— ${name} ${Buffer.concat([cosignatureKeyId(name, key), time, signature]).toString('base64')}\n`;
}

/**
 * Which of the witnesses have cosigned a note, once each; lines of others, and of a name with another key, are stepped
 * over.
 *
 * @returns none for what is no note, also where a known witness's line does not hold: that was tampered with.
 * @source C2SP tlog-cosignature
 */
export function cosignaturesOf(note: string, witnesses: readonly Witness[]): Cosignature[] {
  const parts = noteParts(note);
  if (parts === undefined) return [];
  const found = new Map<string, Cosignature>();
  for (const { name, bytes } of parts.signatures) {
    const witness = witnesses.find(
      (one) => one.name === name && cosignatureKeyId(one.name, one.key).equals(bytes.subarray(0, keyIdBytes)),
    );
    if (witness === undefined) continue;
    const timeS = timeOf(parts.text, bytes, witness.key);
    if (timeS === undefined) return [];
    const { x } = witness.key;
    // By its key, whatever it is called: one witness under two names is one.
    if (!found.has(x)) found.set(x, { witness: name, timeS });
  }
  return [...found.values()];
}

/** Whose cosignatures are wanted under a checkpoint, and how many of them. */
export interface WitnessPolicy {
  readonly witnesses: readonly Witness[];
  /** From 1 to the number of the witnesses. */
  readonly quorum: number;
}

/** Have as many witnesses cosigned the note as are wanted? @throws {InputInvalidError} for a quorum of none, or of more. */
export function isWitnessed(note: string, { witnesses, quorum }: WitnessPolicy): boolean {
  const known = new Set(witnesses.map(({ key }) => key.x)).size;
  if (!Number.isInteger(quorum) || quorum < 1 || quorum > known) {
    throw new InputInvalidError(`a quorum of ${quorum} cannot be had of ${known} witnesses`);
  }
  return cosignaturesOf(note, witnesses).length >= quorum;
}

/** A witness's public key as other tools take it. @source C2SP signed-note, "Verifier keys" */
export function witnessVerifierKey({ name, key }: Witness): string {
  assertKeyName(name);
  const typed = Buffer.concat([Buffer.of(cosignatureType), rawKey(key)]).toString('base64');
  return `${name}+${cosignatureKeyId(name, key).toString('hex')}+${typed}`;
}

/** @throws {InputInvalidError} for a text that is no verifier key of a witness. @source C2SP signed-note */
export function parseWitness(verifierKey: string): Witness {
  const [, name = '', keyId = '', encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(verifierKey.trim()) ?? [];
  const typed = Buffer.from(encoded, 'base64');
  const isOne = typed.length === 1 + rawKeyBytes && typed[0] === cosignatureType && isKeyName(name);
  if (!isOne) throw new InputInvalidError('no verifier key of a witness: <name>+<key id>+<base64 of 0x04 and the key>');
  const witness: Witness = { name, key: { kty: 'OKP', crv: 'Ed25519', x: typed.subarray(1).toString('base64url') } };
  if (cosignatureKeyId(name, witness.key).toString('hex') === keyId) return witness;
  throw new InputInvalidError('the key id of the verifier key is not that of its name and key');
}

function timeOf(text: string, bytes: Buffer, key: SigningPublicJwk): number | undefined {
  if (bytes.length !== keyIdBytes + timeBytes + signatureBytes) return undefined;
  const time = bytes.readBigUInt64BE(keyIdBytes);
  const signature = bytes.subarray(keyIdBytes + timeBytes);
  const holds = verify(null, signedWords(text, `${time}`), importPublic(key), signature);
  return holds && time <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(time) : undefined;
}

const signedWords = (text: string, time: string) => Buffer.from(`cosignature/v1\ntime ${time}\n${text}`);

function cosignatureKeyId(name: string, key: Pick<SigningPublicJwk, 'x'>): Buffer {
  const named = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(cosignatureType), rawKey(key)]);
  return hash('sha256', named, 'buffer').subarray(0, keyIdBytes);
}
