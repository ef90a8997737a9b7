import { typeid, TypeID } from 'typeid-js';
import { z } from 'zod';

import { PosternError } from './errors.ts';

/** The prefix of each kind of id; ids sort by the time they were made (TypeID over UUIDv7). */
export const idPrefixes = Object.freeze({
  tenant: 'ten',
  platform: 'plt',
  agent: 'agt',
  administrator: 'adm',
  registration: 'reg',
  connection: 'con',
  credential: 'crd',
  session: 'ses',
  claim: 'clm',
  lease: 'lse',
  commit: 'cmt',
  correlation: 'cor',
});

export type IdKind = keyof typeof idPrefixes;

function idSchema<K extends IdKind>(kind: K) {
  const prefix = idPrefixes[kind];
  return z
    .string()
    .regex(new RegExp(`^${prefix}_[0-7][0-9a-hjkmnp-tv-z]{25}$`), `must be a ${kind} id (${prefix}_…)`)
    .meta({ examples: [`${prefix}_01jd0000000000000000000000`] });
}

export const TenantId = idSchema('tenant');
export const PlatformId = idSchema('platform');
export const AgentId = idSchema('agent');
export const AdministratorId = idSchema('administrator');
export const RegistrationId = idSchema('registration');
export const ConnectionId = idSchema('connection');
export const CredentialId = idSchema('credential');
export const SessionId = idSchema('session');
export const ClaimId = idSchema('claim');
export const LeaseId = idSchema('lease');
export const CommitId = idSchema('commit');
export const CorrelationId = idSchema('correlation');

/** A new id of a kind, unique and sortable by time. */
export function newId(kind: IdKind): string {
  return typeid(idPrefixes[kind]).toString();
}

/** Is this text a well-formed id of that kind? Ids never hold a subject wildcard or separator. */
export function isId(kind: IdKind, text: string): boolean {
  return text.startsWith(`${idPrefixes[kind]}_`) && parses(text);
}

/** @throws {PosternError} `request.malformed` when the text is no id of that kind. */
export function assertId(kind: IdKind, text: string): string {
  if (isId(kind, text)) return text;
  throw new PosternError('request.malformed', `This is no ${kind} id (${idPrefixes[kind]}_…).`);
}

function parses(text: string): boolean {
  try {
    TypeID.fromString(text);
    return true;
  } catch {
    return false;
  }
}
