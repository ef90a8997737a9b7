import { createHash, randomBytes } from 'node:crypto';

import type { ProfileDesk, ProfileGrant, ProviderProfile } from './profile.ts';

/** A client as a provider has it registered. */
export interface ProfileClient {
  readonly profile: ProviderProfile;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
  webhook: { readonly url: string; readonly secret: string } | null;
}

interface Code {
  readonly grant: KeptGrant;
  readonly client: ProfileClient;
  readonly challenge: string | null;
  spent: boolean;
}

interface KeptGrant extends ProfileGrant {
  ended: boolean;
  hasRefreshToken: boolean;
  refreshes: number;
}

interface KeptToken {
  readonly grant: KeptGrant;
  readonly kind: 'access' | 'refresh';
  /** Infinity: no end is known. */
  endsAtMs: number;
  spentAtMs: number | null;
}

/** What is known of a grant from outside. */
export interface GrantReport {
  readonly number: number;
  readonly account: number;
  readonly scopes: readonly string[];
  /** Nothing can be had by it any more: neither its refresh token nor its newest access token lives. */
  readonly ended: boolean;
  /** Access tokens from before a refresh that still live. */
  readonly oldTokens: number;
  readonly refreshes: number;
}

/** Who may do what at all simulated providers: clients, codes, grants, tokens. */
export class ProfileBook implements ProfileDesk {
  readonly #clients = new Map<string, ProfileClient>();
  readonly #codes = new Map<string, Code>();
  readonly #grants: KeptGrant[] = [];
  readonly #tokens = new Map<string, KeptToken>();

  register(profile: ProviderProfile, redirectUri: string): ProfileClient {
    const client = {
      ...{ profile, redirectUri, webhook: null },
      clientId: `client-${profile.id}-${this.#clients.size + 1}`,
      clientSecret: randomBytes(24).toString('base64url'),
    };
    this.#clients.set(client.clientId, client);
    return client;
  }

  client(clientId: string | null | undefined): ProfileClient | undefined {
    return clientId === null || clientId === undefined ? undefined : this.#clients.get(clientId);
  }

  clientWith(secret: string): ProfileClient | undefined {
    return [...this.#clients.values()].find(({ clientSecret }) => clientSecret === secret);
  }

  /** Somebody who was not here before authorizes this client. */
  authorize(
    client: ProfileClient,
    given: { scopes: readonly string[]; challenge: string | null; nonce: string | null },
  ): string {
    const number = this.#grants.length + 1;
    const { scopes, challenge, nonce } = given;
    const { profile, clientId } = client;
    const wanted = profile.refresh?.wantsScope;
    const grant: KeptGrant = {
      ...{ number, account: number, profileId: profile.id, clientId, scopes, nonce, ended: false, refreshes: 0 },
      hasRefreshToken: profile.refresh !== null && (wanted === undefined || scopes.includes(wanted)),
    };
    this.#grants.push(grant);
    const code = randomBytes(16).toString('base64url');
    this.#codes.set(code, { grant, client, challenge, spent: false });
    return code;
  }

  /** @returns why not, or the grant. */
  spendCode(client: ProfileClient, members: Readonly<Record<string, string>>): KeptGrant | 'code' | 'code_verifier' {
    const code = this.#codes.get(members['code'] ?? '');
    if (code === undefined || code.client !== client) return 'code';
    if (code.spent) {
      this.endGrant(code.grant);
      return 'code';
    }
    const { code_verifier: verifier } = members;
    if (client.profile.pkce === 'checked' && code.challenge !== null) {
      const digest = createHash('sha256')
        .update(verifier ?? '')
        .digest('base64url');
      if (digest !== code.challenge) return 'code_verifier';
    }
    code.spent = true;
    return code.grant;
  }

  /** @returns undefined when it is not taken. */
  spendRefreshToken(client: ProfileClient, token: string | undefined): KeptGrant | undefined {
    const { refresh } = client.profile;
    const kept = this.#tokens.get(token ?? '');
    if (kept === undefined || refresh === null || kept.kind !== 'refresh') return undefined;
    if (kept.grant.ended || kept.grant.clientId !== client.clientId || kept.endsAtMs <= Date.now()) return undefined;
    if (kept.spentAtMs !== null && Date.now() >= kept.spentAtMs + refresh.graceS * 1_000) {
      if (refresh.reuseEndsGrant === true) this.endGrant(kept.grant);
      return undefined;
    }
    if (refresh.rotates) kept.spentAtMs ??= Date.now();
    kept.grant.refreshes += 1;
    if (refresh.oldAccessTokenLivesS !== undefined) {
      const endsAtMs = Date.now() + refresh.oldAccessTokenLivesS * 1_000;
      for (const one of this.#tokensOf(kept.grant, 'access')) one.endsAtMs = Math.min(one.endsAtMs, endsAtMs);
    }
    return kept.grant;
  }

  /** Hands out new tokens for a grant. */
  issue(
    profile: ProviderProfile,
    grant: KeptGrant,
    isRefresh: boolean,
  ): { accessToken: string; refreshToken: string | null } {
    const token = (kind: KeptToken['kind'], ttlS: number | null) => {
      const text = `${kind}-${randomBytes(24).toString('base64url')}`;
      const endsAtMs = ttlS === null ? Infinity : Date.now() + ttlS * 1_000;
      this.#tokens.set(text, { grant, kind, endsAtMs, spentAtMs: null });
      return text;
    };
    const isNew = grant.hasRefreshToken && (!isRefresh || profile.refresh?.rotates === true);
    return {
      accessToken: token('access', profile.accessTokenTtlS),
      refreshToken: isNew ? token('refresh', null) : null,
    };
  }

  grantOf(accessToken: string | null): KeptGrant | undefined {
    const kept = accessToken === null ? undefined : this.#tokens.get(accessToken);
    return kept !== undefined && kept.kind === 'access' && this.#lives(kept) ? kept.grant : undefined;
  }

  ownerOf(token: string): KeptGrant | undefined {
    return this.#tokens.get(token)?.grant;
  }

  grantsOf(clientId: string): readonly KeptGrant[] {
    return this.#grants.filter((grant) => grant.clientId === clientId && !grant.ended);
  }

  isAlive(token: string): boolean {
    const kept = this.#tokens.get(token);
    return kept !== undefined && this.#lives(kept) && kept.spentAtMs === null;
  }

  endGrant({ number }: ProfileGrant): void {
    const grant = this.#grants[number - 1];
    if (grant !== undefined) grant.ended = true;
  }

  endToken(token: string): void {
    const kept = this.#tokens.get(token);
    if (kept !== undefined) kept.endsAtMs = 0;
  }

  grant(number: number): KeptGrant | undefined {
    return this.#grants[number - 1];
  }

  /** Who authorized this client last. */
  latest(clientId: string): KeptGrant | undefined {
    return this.#grants.findLast((grant) => grant.clientId === clientId);
  }

  /** Over is a grant by which nothing can be had any more. */
  report(number: number): GrantReport | undefined {
    const grant = this.#grants[number - 1];
    if (grant === undefined) return undefined;
    const accessTokens = this.#tokensOf(grant, 'access');
    const newest = accessTokens.at(-1);
    const renewable = this.#tokensOf(grant, 'refresh').some((one) => this.#lives(one) && one.spentAtMs === null);
    const { account, scopes, refreshes } = grant;
    return {
      ...{ number, account, scopes, refreshes },
      ended: !renewable && (newest === undefined || !this.#lives(newest)),
      oldTokens: accessTokens.slice(0, -1).filter((one) => this.#lives(one)).length,
    };
  }

  #tokensOf(grant: KeptGrant, kind: KeptToken['kind']): KeptToken[] {
    return [...this.#tokens.values()].filter((one) => one.grant === grant && one.kind === kind);
  }

  #lives({ grant, endsAtMs }: KeptToken): boolean {
    return !grant.ended && endsAtMs > Date.now();
  }
}
