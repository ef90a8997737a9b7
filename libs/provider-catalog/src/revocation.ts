import { itemsAt, textAt } from './member-path.ts';
import type { RevocationFile } from './revocation-file.ts';

/** How a provider is told that an authorization is over, and what that ends. */
export interface ProviderRevocation {
  readonly ends: RevocationEnds;
  /** Null: RFC 7009. */
  readonly call: RevocationCall | null;
  readonly gone: readonly GoneAnswer[];
}

/** What is over at the provider once it was told, as its file has it. */
export interface RevocationEnds {
  readonly what: 'token' | 'grant' | 'account' | 'installation';
  /** By which keys of the account one finds whom else it ends. */
  readonly keys: readonly string[];
}

/** A call of the provider's own; braces stand for what is put in. */
export interface RevocationCall {
  readonly method: 'POST' | 'DELETE';
  readonly url: string;
  readonly find: { readonly url: string; readonly member: string } | null;
  readonly authentication: 'client_basic' | 'client_secret' | 'access_token';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly format: 'form' | 'json'; readonly members: Readonly<Record<string, string>> } | null;
  readonly done: readonly number[];
  readonly refusedMember: string | null;
}

interface GoneAnswer {
  readonly httpStatus: number;
  readonly member: string | null;
  readonly words: readonly string[];
  readonly match: 'exact' | 'contains';
}

/** Nothing is known of what else may end: no more than was named is believed to be over. */
const unknown: ProviderRevocation = { ends: { what: 'token', keys: [] }, call: null, gone: [] };

/** @internal */
export function revocationFrom(file: RevocationFile | undefined): ProviderRevocation {
  if (file === undefined) return unknown;
  return {
    ends: file.ends.value,
    call: file.call === undefined ? null : callFrom(file.call.value),
    gone: (file.gone?.value ?? []).map(({ http_status: httpStatus, member, words, match }) => ({
      httpStatus,
      member: member ?? null,
      words: words ?? [],
      match,
    })),
  };
}

function callFrom(call: NonNullable<RevocationFile['call']>['value']): RevocationCall {
  const { method, url, authentication, headers, done } = call;
  return {
    ...{ method, url, authentication, headers, done },
    find: call.find ?? null,
    body: call.body ?? null,
    refusedMember: call.refused_member ?? null,
  };
}

interface RevocationAnswer {
  readonly httpStatus: number;
  /** Parsed JSON; undefined when it was none. */
  readonly body: unknown;
}

/** Does the provider say that there is nothing left to end? */
export function saysGone({ gone }: ProviderRevocation, { httpStatus, body }: RevocationAnswer): boolean {
  return gone.some((row) => {
    if (row.httpStatus !== httpStatus) return false;
    if (row.member === null) return true;
    const fits = (text: string) =>
      row.words.some((word) => (row.match === 'exact' ? text === word : text.includes(word)));
    return itemsAt(body, row.member).some(fits);
  });
}

/** Does the provider say that it is done? Some refuse with a status of success. */
export function saysDone({ done, refusedMember }: RevocationCall, { httpStatus, body }: RevocationAnswer): boolean {
  return done.includes(httpStatus) && (refusedMember === null || textAt(body, refusedMember) === undefined);
}
