import { Injectable } from '@nestjs/common';
import type { AuthorizationDetailsDigest, TokenSet } from '@postern/contracts';
import { keyedDigest } from '@postern/crypto';
import type { NamedAccount } from '@postern/provider-catalog';
import { accountDigest, accountKeyDigest, type AccountScope, type ProviderAccount } from '@postern/provider-client';

import { AuthorizationConfig } from './authorization-config.ts';

/** Pseudonyms under which people stand in the log: equal for the same one, and no guess can be tested without the key. */
@Injectable()
export class Digests {
  readonly #config: AuthorizationConfig;

  constructor(config: AuthorizationConfig) {
    this.#config = config;
  }

  /** A platform's own user: the same id at another platform is somebody else. */
  endUser({ tenantId, platformId, endUser }: { tenantId: string; platformId: string; endUser: string }): string {
    return keyedDigest(this.#config.digestKey.reveal(), 'end user', tenantId, platformId, endUser);
  }

  /** What an idempotency key of a platform stands for; nobody can tell from it what the key was. */
  establishment({ tenantId, platformId }: { tenantId: string; platformId: string }, key: string): Uint8Array {
    return Buffer.from(
      keyedDigest(this.#config.digestKey.reveal(), 'establish', tenantId, platformId, key),
      'base64url',
    );
  }

  /** What another broker's name of a connection stands for, among those of one platform; nobody can tell which it was. */
  imported({ tenantId, platformId }: { tenantId: string; platformId: string }, reference: string): Uint8Array {
    return Buffer.from(
      keyedDigest(this.#config.digestKey.reveal(), 'import', tenantId, platformId, reference),
      'base64url',
    );
  }

  /** Authorization details: equal for the same ones in any order, of the objects and of their members. @source RFC 9396 §2 */
  authorizationDetails(
    tenantId: string,
    details: NonNullable<TokenSet['authorizationDetails']>,
  ): AuthorizationDetailsDigest {
    const texts = details.map((detail) => JSON.stringify(detail, inOrder)).toSorted();
    const digest = keyedDigest(this.#config.digestKey.reveal(), 'authorization details', tenantId, ...texts);
    return { types: [...new Set(details.map(({ type }) => type))].toSorted(), digest };
  }

  /** A provider's account; what a revocation signal about it will be looked up by. */
  account(tenantId: string, account: ProviderAccount | null): string | null {
    if (account === null) return null;
    return accountDigest(this.#config.digestKey.reveal(), tenantId, account);
  }

  /** The same account by the names that signals will use; undefined where the provider's file knows none. */
  accountKeys(scope: AccountScope, accounts: readonly NamedAccount[]): Record<string, string> | undefined {
    if (accounts.length === 0) return undefined;
    const key = this.#config.digestKey.reveal();
    return Object.fromEntries(accounts.map((account) => [account.key, accountKeyDigest(key, scope, account)]));
  }
}

/** For `JSON.stringify`: members by their names. */
function inOrder(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
