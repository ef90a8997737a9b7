import { randomBytes } from 'node:crypto';
import { hashRaw, type Algorithm } from '@node-rs/argon2';
import { PosternError } from '@postern/contracts';
import type { Secret } from '@postern/crypto';

/** Memory of one derivation, in KiB: the second recommendation of RFC 9106 §4, for machines short of memory. */
export const argon2MemoryKiB = 65_536;
/** Passes over that memory. @source RFC 9106 §4 */
export const argon2Passes = 3;
/** Parallel lanes. @source RFC 9106 §4 */
export const argon2Lanes = 4;
/** The shortest passphrase a key file is made with; what is stolen with the file can be guessed at leisure. */
export const passphraseCharactersMin = 12;

// oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- its const enum cannot be read under isolatedModules
const argon2id: Algorithm.Argon2id = 2;
const saltBytes = 16;
const derivedKeyBytes = 32;
const memoryKiBBounds = [19_456, 1_048_576] as const;
const passesBounds = [1, 16] as const;
const lanesBounds = [1, 16] as const;

/** How a key was derived; stored beside what it protects, so that the defaults may grow. @source RFC 9106 §3.1 */
export interface Argon2Parameters {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
  /** base64url */
  readonly salt: string;
}

/** Today's parameters with a fresh salt. */
export function freshParameters(): Argon2Parameters {
  const salt = randomBytes(saltBytes).toString('base64url');
  return { memoryKiB: argon2MemoryKiB, passes: argon2Passes, lanes: argon2Lanes, salt };
}

/** Are these parameters strong enough to trust and small enough to run? */
export function areParameters(value: unknown): value is Argon2Parameters {
  if (typeof value !== 'object' || value === null) return false;
  const { memoryKiB, passes, lanes, salt }: Partial<Record<keyof Argon2Parameters, unknown>> = value;
  return (
    isWithin(memoryKiB, memoryKiBBounds) &&
    isWithin(passes, passesBounds) &&
    isWithin(lanes, lanesBounds) &&
    typeof salt === 'string' &&
    Buffer.from(salt, 'base64url').length === saltBytes
  );
}

/** @throws {PosternError} `config.invalid` when the passphrase is too short to make a key file with. */
export function assertStrong(passphrase: Secret): void {
  if (passphrase.reveal().length >= passphraseCharactersMin) return;
  throw new PosternError('config.invalid', `A passphrase has at least ${passphraseCharactersMin} characters.`);
}

/** The key that a passphrase stands for. Takes a good part of a second, on purpose, and {@link argon2MemoryKiB}. */
export async function deriveKey(passphrase: Secret, parameters: Argon2Parameters): Promise<Buffer> {
  return hashRaw(passphrase.reveal().normalize('NFC'), {
    algorithm: argon2id,
    memoryCost: parameters.memoryKiB,
    timeCost: parameters.passes,
    parallelism: parameters.lanes,
    outputLen: derivedKeyBytes,
    salt: Buffer.from(parameters.salt, 'base64url'),
  });
}

function isWithin(value: unknown, [min, max]: readonly [number, number]): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}
