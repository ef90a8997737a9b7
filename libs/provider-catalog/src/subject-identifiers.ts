import type { NamedAccount } from './webhook.ts';

/** Of one security event: about whom it is, and whether about all of what they granted. */
export interface EventSubject {
  /** One of these keys, or several, under which an authorization may be recorded. */
  readonly accounts: readonly NamedAccount[];
  /** It names a session, a device or the like as well: what it says is about that, not about a grant. */
  readonly isNarrow: boolean;
}

const nobody: EventSubject = Object.freeze({ accounts: [], isNarrow: false });
const textCharsMax = 2_048;
const aliasesMax = 16;

/** The members of a complex subject that say whose it is; all others narrow it down. @source Shared Signals 1.0 §3.2 */
const complexMembers = ['user', 'tenant', 'org_unit', 'group', 'session', 'device', 'application'];
const wideMembers: ReadonlySet<string> = new Set(['user', 'tenant']);

/**
 * About whom a security event is: `sub_id` of the token, the `subject` of the event as drafts and Google have it, or
 * the token's own `sub`.
 *
 * @param claims of a verified token
 * @param event what stands under its type
 * @source RFC 8417 §2.2, RFC 9493 §4, Shared Signals 1.0 §3
 */
export function subjectOfEvent(claims: object, event: unknown): EventSubject {
  const subject = memberOf(claims, 'sub_id') ?? memberOf(event, 'subject') ?? memberOf(event, 'sub_id');
  if (isObject(subject)) return subjectOf(subject);
  const [iss, sub] = [textOf(claims, 'iss'), textOf(claims, 'sub')];
  return iss === undefined || sub === undefined ? nobody : { accounts: issuerAndSubject(iss, sub), isNarrow: false };
}

function subjectOf(subject: object): EventSubject {
  const parts = complexMembers.filter((name) => isObject(memberOf(subject, name)));
  if (formatOf(subject) !== 'complex' && parts.length === 0) {
    return { accounts: simpleAccounts(subject), isNarrow: false };
  }
  // All of its members hold at once. Of a tenant or a session alone we know nobody.
  const user = memberOf(subject, 'user');
  return {
    accounts: isObject(user) ? simpleAccounts(user) : [],
    isNarrow: parts.some((name) => !wideMembers.has(name)),
  };
}

/** Drafts, and Google with them, write `subject_type: iss-sub` where the standard has `format: iss_sub`. */
function formatOf(subject: object): string | undefined {
  return (textOf(subject, 'format') ?? textOf(subject, 'subject_type'))?.replaceAll('-', '_');
}

function simpleAccounts(subject: object): NamedAccount[] {
  if (formatOf(subject) !== 'aliases') return accountsOf(subject);
  const identifiers = memberOf(subject, 'identifiers');
  const known = Array.isArray(identifiers) ? identifiers.slice(0, aliasesMax).filter(isObject) : [];
  return known.flatMap(accountsOf);
}

/** @source RFC 9493 §3.2; Google's `id_token_claims` and `oauth_token` */
function accountsOf(subject: object): NamedAccount[] {
  const one = (key: string, member: string): NamedAccount[] => {
    const value = textOf(subject, member);
    return value === undefined ? [] : [{ key, values: [value] }];
  };
  const [iss, sub] = [textOf(subject, 'iss'), textOf(subject, 'sub')];
  const bySubject = iss === undefined || sub === undefined ? [] : issuerAndSubject(iss, sub);
  switch (formatOf(subject) ?? '') {
    case 'iss_sub':
      return bySubject;
    case 'id_token_claims':
      return [...bySubject, ...one('email', 'email')];
    case 'email':
      return one('email', 'email');
    case 'phone_number':
      return one('phone_number', 'phone_number');
    case 'opaque':
      return one('subject', 'id');
    case 'account':
    case 'uri':
      return one('subject', 'uri');
    case 'did':
      return one('subject', 'url');
    case 'oauth_token':
      return tokenFingerprint(subject);
    default:
      return [];
  }
}

/** Google writes its issuer with a slash at the end in events, and without one in ID tokens. */
function issuerAndSubject(iss: string, sub: string): NamedAccount[] {
  const bare = iss.replace(/\/$/, '');
  return [bare, `${bare}/`].map((issuer) => ({ key: 'iss_sub', values: [issuer, sub] }));
}

function tokenFingerprint(subject: object): NamedAccount[] {
  const known = tokenFingerprints.find((name) => name === textOf(subject, 'token_identifier_alg'));
  const token = textOf(subject, 'token');
  if (known === undefined || token === undefined || textOf(subject, 'token_type') !== 'refresh_token') return [];
  return [{ key: fingerprintKey(known), values: [token.slice(0, fingerprintChars[known])] }];
}

/**
 * The claims as they may be kept: where a subject is a token, nothing of it stays but a fingerprint, even if a sender
 * put the token itself there.
 */
export function withoutTokens(claims: object): object {
  const copy = structuredClone(claims);
  const events = memberOf(copy, 'events');
  const holders = [copy, ...(isObject(events) ? (Object.values(events) as unknown[]) : [])];
  for (const holder of holders) {
    for (const name of ['sub_id', 'subject']) {
      const subject = memberOf(holder, name);
      if (isObject(subject) && Object.hasOwn(subject, 'token')) keepFingerprint(subject);
    }
  }
  return copy;
}

function keepFingerprint(subject: object): void {
  const [only] = formatOf(subject) === 'oauth_token' ? tokenFingerprint(subject) : [];
  if (only === undefined) Reflect.deleteProperty(subject, 'token');
  else Reflect.set(subject, 'token', only.values[0]);
}

/** How a signal may name a refresh token without telling it. @source https://developers.google.com/identity/protocols/risc */
export const tokenFingerprints = ['prefix', 'hash_base64_sha512_sha512'] as const;
export type TokenFingerprint = (typeof tokenFingerprints)[number];

/** What is longer is no fingerprint. */
const fingerprintChars: Readonly<Record<TokenFingerprint, number>> = { prefix: 16, hash_base64_sha512_sha512: 88 };

/** The account key under which such a fingerprint is recorded. */
export function fingerprintKey(fingerprint: TokenFingerprint): string {
  return fingerprint === 'prefix' ? 'refresh_token_prefix' : 'refresh_token_hash';
}

/**
 * When it happened: `toe` of the token, `event_timestamp` of the event, at the latest when the token was issued.
 *
 * @returns null without a time that could be one.
 * @source RFC 8417 §2.2, CAEP 1.0 §2
 */
export function timeOfEvent(claims: object, event: unknown): number | null {
  const issuedAtMs = instantOf(claims, 'iat');
  if (issuedAtMs === null) return null;
  return Math.min(issuedAtMs, instantOf(claims, 'toe') ?? instantOf(event, 'event_timestamp') ?? issuedAtMs);
}

/** Drafts of CAEP count milliseconds; as seconds those would be in a far future. */
const secondsMax = 100_000_000_000;

function instantOf(value: unknown, name: string): number | null {
  const time = memberOf(value, name);
  if (typeof time !== 'number' || !Number.isFinite(time) || time < 0) return null;
  return Math.floor(time > secondsMax ? time : time * 1000);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function memberOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
}

function textOf(value: unknown, name: string): string | undefined {
  const text = memberOf(value, name);
  return typeof text === 'string' && text !== '' && text.length <= textCharsMax && text.isWellFormed()
    ? text
    : undefined;
}
