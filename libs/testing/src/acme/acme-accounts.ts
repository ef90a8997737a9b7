import { createHash, timingSafeEqual } from 'node:crypto';

/** Somebody with an account at Acme CRM: an end user, in our words. */
export interface AcmeAccount {
  readonly accountId: string;
  readonly email: string;
  readonly name: string;
  readonly password: string;
}

/** The people who have an account at every Acme CRM unless it is told otherwise. */
export const acmeAccounts = {
  ada: { accountId: 'acct_ada', email: 'ada@acme.example', name: 'Ada Byron', password: 'difference-engine' },
  grace: { accountId: 'acct_grace', email: 'grace@acme.example', name: 'Grace Hopper', password: 'nanosecond-wire' },
} as const satisfies Record<string, AcmeAccount>;

/** The accounts of one Acme, by what a person types and by what tokens carry. */
export class AccountBook {
  readonly #accounts: readonly AcmeAccount[];

  constructor(accounts: readonly AcmeAccount[]) {
    this.#accounts = accounts;
  }

  byId(accountId: string): AcmeAccount | undefined {
    return this.#accounts.find((account) => account.accountId === accountId);
  }

  byEmail(email: string): AcmeAccount | undefined {
    return this.#accounts.find((account) => account.email === email);
  }

  /** @returns nobody for an unknown e-mail address as well as for a wrong password. */
  authenticate(email: string, password: string): AcmeAccount | undefined {
    const account = this.byEmail(email.trim().toLowerCase());
    return account && sameText(account.password, password) ? account : undefined;
  }
}

/** Compares two secrets in a time that does not tell where they differ. */
export function sameText(left: string, right: string): boolean {
  return timingSafeEqual(createHash('sha256').update(left).digest(), createHash('sha256').update(right).digest());
}
