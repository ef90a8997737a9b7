import type { Connection, Credential } from './state.ts';

type Account = Pick<Credential, 'accountDigest' | 'accountKeys'>;

/**
 * Was a connection authorized before by another account of the provider than this one?
 *
 * Who authorizes it again with another account would have agents act in an account that nobody meant: what is wanted
 * then is a connection of its own. Whether it is another is known where both authorizations name the account in the same
 * way; an ID token's subject counts for more than names that a person can change.
 *
 * @returns false where nobody can tell.
 */
export function isAnotherAccount({ credential }: Pick<Connection, 'credential'>, account: Account): boolean {
  if (credential === null) return false;
  if (credential.accountDigest !== null && account.accountDigest !== null) {
    return credential.accountDigest !== account.accountDigest;
  }
  const before = credential.accountKeys ?? {};
  const common = Object.entries(account.accountKeys ?? {}).filter(([name]) => Object.hasOwn(before, name));
  return common.length > 0 && common.every(([name, digest]) => before[name] !== digest);
}
