import { z } from 'zod';

import { PosternError } from './errors.ts';

/** The prefix of each kind of id; ids sort by the time they were made (TypeID over UUIDv7). */
export const idPrefixes = Object.freeze({
  tenant: 'ten',
  platform: 'plt',
  agent: 'agt',
  administrator: 'adm',
  registration: 'reg',
  transmitter: 'trm',
  bridge: 'brg',
  webhook: 'whk',
  connection: 'con',
  credential: 'crd',
  session: 'ses',
  claim: 'clm',
  lease: 'lse',
  commit: 'cmt',
  correlation: 'cor',
});

export type IdKind = keyof typeof idPrefixes;

const patterns = Object.fromEntries(
  Object.entries(idPrefixes).map(([kind, prefix]) => [kind, new RegExp(`^${prefix}_[0-7][0-9a-hjkmnp-tv-z]{25}$`)]),
) as Readonly<Record<IdKind, RegExp>>;

function idSchema<K extends IdKind>(kind: K) {
  const prefix = idPrefixes[kind];
  return z
    .string()
    .regex(patterns[kind], `must be a ${kind} id (${prefix}_…)`)
    .meta({ examples: [`${prefix}_01jd0000000000000000000000`] });
}

export const TenantId = idSchema('tenant');
export const PlatformId = idSchema('platform');
export const AgentId = idSchema('agent');
export const AdministratorId = idSchema('administrator');
export const RegistrationId = idSchema('registration');
export const TransmitterId = idSchema('transmitter');
export const BridgeId = idSchema('bridge');
export const WebhookId = idSchema('webhook');
export const ConnectionId = idSchema('connection');
export const CredentialId = idSchema('credential');
export const SessionId = idSchema('session');
export const ClaimId = idSchema('claim');
export const LeaseId = idSchema('lease');
export const CommitId = idSchema('commit');
export const CorrelationId = idSchema('correlation');

/**
 * A new id of a kind, unique and sortable by time.
 *
 * Made here and not by a library: every lease makes two, and this is where their time would go.
 *
 * @source TypeID 0.3, RFC 9562 §5.7 (UUIDv7)
 */
export function newId(kind: IdKind): string {
  return idOf(kind, uuidV7(Date.now()));
}

/**
 * The id of a kind that stands for these bytes, always the same one; it tells nothing of a time.
 *
 * @param bytes 16 of them, such as the beginning of a keyed digest
 * @source RFC 9562 §5.8 (UUIDv8)
 */
export function derivedId(kind: IdKind, bytes: Uint8Array): string {
  const own = Uint8Array.from(bytes.subarray(0, uuidBytes));
  own[6] = 0x80 | ((own[6] ?? 0) & 0x0f);
  own[8] = 0x80 | ((own[8] ?? 0) & 0x3f);
  return idOf(kind, own);
}

/** Is this text a well-formed id of that kind? Ids never hold a subject wildcard or separator. */
export function isId(kind: IdKind, text: string): boolean {
  return patterns[kind].test(text);
}

/** @throws {PosternError} `request.malformed` when the text is no id of that kind. */
export function assertId(kind: IdKind, text: string): string {
  if (isId(kind, text)) return text;
  throw new PosternError('request.malformed', `This is no ${kind} id (${idPrefixes[kind]}_…).`);
}

const uuidBytes = 16;
const uuid = new Uint8Array(uuidBytes);
/** Random bytes are asked for many at a time. */
const randomPool = new Uint8Array(256 * uuidBytes);
let randomPoolAt = randomPool.length;

/** @returns bytes that the next call overwrites. */
function uuidV7(nowMs: number): Uint8Array {
  if (randomPoolAt === randomPool.length) {
    crypto.getRandomValues(randomPool);
    randomPoolAt = 0;
  }
  const high = Math.floor(nowMs / 0x1_0000_0000);
  const low = nowMs % 0x1_0000_0000;
  for (let index = 6; index < uuidBytes; index += 1) uuid[index] = randomPool[randomPoolAt + index] ?? 0;
  randomPoolAt += uuidBytes;
  for (let index = 0; index < 2; index += 1) uuid[index] = high >>> (8 - 8 * index);
  for (let index = 2; index < 6; index += 1) uuid[index] = low >>> (40 - 8 * index);
  uuid[6] = 0x70 | ((uuid[6] ?? 0) & 0x0f);
  uuid[8] = 0x80 | ((uuid[8] ?? 0) & 0x3f);
  return uuid;
}

const base32Digits = Buffer.from('0123456789abcdefghjkmnpqrstvwxyz', 'latin1');
const base32Chars = 26;
const spelled = Buffer.alloc(32);

/**
 * 128 bits as 26 digits of five, two zero bits in front, behind the prefix: text in one piece, since JSON takes three times
 * as long to write what was put together.
 *
 * @source TypeID 0.3, Crockford's base32
 */
function idOf(kind: IdKind, bytes: Uint8Array): string {
  let at = spelled.write(`${idPrefixes[kind]}_`, 0, 'latin1');
  const end = at + base32Chars;
  let bits = 2;
  let held = 0;
  for (let index = 0; at < end; at += 1) {
    if (bits < 5) {
      held = ((held << 8) | (bytes[index] ?? 0)) & 0xfff;
      index += 1;
      bits += 8;
    }
    bits -= 5;
    spelled[at] = base32Digits[(held >>> bits) & 31] ?? 0;
  }
  return spelled.toString('latin1', 0, end);
}
