import type { ReuseRule } from './acme-clients.ts';

/** How long the rule `grace` forgives: longer than any test, so that no test's outcome hangs on time. */
const graceMs = 3_600_000;

type Payload = Record<string, unknown> & {
  grantId?: string;
  uid?: string;
  userCode?: string;
  accountId?: string;
  clientId?: string;
};

interface StoredRecord {
  readonly model: string;
  readonly id: string;
  readonly payload: Payload;
  readonly expiresAtMs: number;
}

/** A grant as the end user sees it among the connected apps. */
export interface StoredGrant {
  readonly grantId: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
}

/**
 * Everything one Acme remembers, in memory.
 *
 * Our own instead of oidc-provider's default, because that one keeps at most a thousand records and cannot be asked
 * which grants an account has given.
 */
export class AcmeStore {
  readonly #records = new Map<string, StoredRecord>();
  readonly #reuseRules = new Map<string, ReuseRule>();
  readonly #invalidGrant: new (detail: string) => Error;

  constructor(invalidGrant: new (detail: string) => Error) {
    this.#invalidGrant = invalidGrant;
  }

  /** The storage of one of oidc-provider's models, in the shape it asks for. */
  adapter(model: string) {
    return {
      upsert: async (id: string, payload: Payload, expiresInS?: number) => this.#put(model, id, payload, expiresInS),
      find: async (id: string) => this.#forgiven(model, this.#get(model, id)),
      findByUid: async (uid: string) => this.#first((record) => record.model === model && record.payload.uid === uid),
      findByUserCode: async (userCode: string) =>
        this.#first((record) => record.model === model && record.payload.userCode === userCode),
      destroy: async (id: string) => void this.#records.delete(keyOf(model, id)),
      consume: async (id: string) => this.#consume(model, id),
      revokeByGrantId: async (grantId: string) =>
        this.#deleteWhere((record) => record.model === model && record.payload.grantId === grantId),
    };
  }

  /** The live grants of one account, oldest first. */
  grantsOf(accountId: string): StoredGrant[] {
    this.#prune();
    return [...this.#records.values()]
      .filter(({ model, payload }) => model === 'Grant' && payload.accountId === accountId)
      .map(({ id, payload }) => {
        const openid = payload['openid'] as { scope?: string } | undefined;
        return { grantId: id, clientId: String(payload.clientId), scopes: openid?.scope?.split(' ') ?? [] };
      });
  }

  setReuseRule(clientId: string, rule: ReuseRule): void {
    this.#reuseRules.set(clientId, rule);
  }

  /** What this client's refresh tokens suffer. */
  reuseRuleOf(clientId: string | undefined): ReuseRule {
    return this.#reuseRules.get(clientId ?? '') ?? 'family';
  }

  /** Does the grant still live? */
  hasGrant(grantId: string): boolean {
    return this.#get('Grant', grantId) !== undefined;
  }

  /** @effect forgets the grant with every code, access token and refresh token under it. */
  destroyGrant(grantId: string): void {
    this.#deleteWhere((record) => record.payload.grantId === grantId);
    this.#records.delete(keyOf('Grant', grantId));
  }

  /**
   * Spends a code or a refresh token, once: oidc-provider looks before it spends, and two requests may look at the
   * same time. The second one is reuse like any later one, so it ends the grant.
   */
  #consume(model: string, id: string): void {
    const payload = this.#get(model, id);
    if (!payload || this.#forgiven(model, payload)?.['consumed']) {
      if (payload?.grantId) this.destroyGrant(payload.grantId);
      throw new this.#invalidGrant('already used');
    }
    payload['consumed'] ??= Math.floor(Date.now() / 1000);
  }

  /** A refresh token that was spent a moment ago looks unspent where the client's rule is `grace`. */
  #forgiven(model: string, payload: Payload | undefined): Payload | undefined {
    if (model !== 'RefreshToken' || this.reuseRuleOf(payload?.clientId) !== 'grace') return payload;
    const { consumed, ...unspent } = payload ?? {};
    return Number(consumed) * 1000 + graceMs > Date.now() ? unspent : payload;
  }

  #put(model: string, id: string, payload: Payload, expiresInS?: number): void {
    const expiresAtMs = expiresInS === undefined ? Infinity : Date.now() + expiresInS * 1000;
    this.#records.set(keyOf(model, id), { model, id, payload, expiresAtMs });
  }

  #get(model: string, id: string): Payload | undefined {
    const record = this.#records.get(keyOf(model, id));
    return record && record.expiresAtMs > Date.now() ? record.payload : undefined;
  }

  #first(matches: (record: StoredRecord) => boolean): Payload | undefined {
    this.#prune();
    for (const record of this.#records.values()) if (matches(record)) return record.payload;
    return undefined;
  }

  #prune(): void {
    const nowMs = Date.now();
    this.#deleteWhere((record) => record.expiresAtMs <= nowMs);
  }

  #deleteWhere(matches: (record: StoredRecord) => boolean): void {
    for (const [key, record] of this.#records) if (matches(record)) this.#records.delete(key);
  }
}

function keyOf(model: string, id: string): string {
  return `${model}:${id}`;
}
