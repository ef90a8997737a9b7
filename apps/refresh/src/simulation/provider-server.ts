import type { TokenSet } from '@postern/contracts';

import type { ProviderRules } from './providers.ts';

/** Why a refresh token is dead. */
export type DeathCause = 'reuse' | 'idle' | 'absolute' | 'user' | 'revoked_by_us' | 'rotated' | 'unknown';

/** One authorization at the provider: all tokens that follow from one code. */
export interface Grant {
  readonly connectionId: string;
  readonly rules: ProviderRules;
  readonly grantedAtMs: number;
  ended: { readonly cause: DeathCause; readonly atMs: number } | undefined;
}

interface RefreshToken {
  readonly grant: Grant;
  lastUsedAtMs: number;
  rotatedAtMs: number | undefined;
}

/** What the server noted of a call: the truth by which losses are judged. */
export interface CallRecord {
  readonly claimId: string;
  readonly token: string;
  readonly atMs: number;
  readonly grant: Grant | undefined;
  /** What was issued, whether or not anybody heard of it. */
  readonly issued: TokenSet | undefined;
  readonly refused: DeathCause | undefined;
  /** When a token that was refused for resting had been used last. */
  readonly lastUsedAtMs: number;
  /** Whoever called was still there when it was worked on. */
  readonly isAwaited: boolean;
}

const scopes = ['contacts:read'];

/** An authorization server with its own log. Its clock is the true one. */
export class ProviderServer {
  readonly calls: CallRecord[] = [];
  readonly #refreshTokens = new Map<string, RefreshToken>();
  readonly #accessTokens = new Map<string, Grant>();
  readonly #nowMs: () => number;
  #count = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  grantOf(refreshToken: string): Grant | undefined {
    return this.#refreshTokens.get(refreshToken)?.grant;
  }

  authorize(connectionId: string, rules: ProviderRules): TokenSet {
    const grant: Grant = { connectionId, rules, grantedAtMs: this.#nowMs(), ended: undefined };
    return this.#issue(grant, rules.hasRefreshToken ? this.#newRefreshToken(grant) : null);
  }

  /** @source RFC 6749 §6, RFC 9700 §4.14.2 */
  refresh({ claimId, token, isAwaited }: Pick<CallRecord, 'claimId' | 'token' | 'isAwaited'>): CallRecord {
    const lastUsedAtMs = this.#refreshTokens.get(token)?.lastUsedAtMs ?? 0;
    const { issued, refused } = this.#refresh(token);
    const grant = this.grantOf(token);
    const record = { claimId, token, atMs: this.#nowMs(), grant, issued, refused, lastUsedAtMs, isAwaited };
    this.calls.push(record);
    return record;
  }

  /** @source RFC 7009 §2.1 */
  revoke(token: string): void {
    const grant = this.grantOf(token) ?? this.#accessTokens.get(token);
    if (grant !== undefined) this.end(grant, 'revoked_by_us');
  }

  end(grant: Grant, cause: DeathCause): void {
    grant.ended ??= { cause, atMs: this.#nowMs() };
  }

  /** Why this one would be refused now; undefined when it would not. */
  deathOf(token: string): DeathCause | undefined {
    const known = this.#refreshTokens.get(token);
    if (known === undefined) return 'unknown';
    const { grant, lastUsedAtMs, rotatedAtMs } = known;
    const { idleTtlS, absoluteTtlS, rule, graceMs } = grant.rules;
    const nowMs = this.#nowMs();
    if (grant.ended !== undefined) return grant.ended.cause;
    if (absoluteTtlS !== null && nowMs - grant.grantedAtMs > absoluteTtlS * 1_000) return 'absolute';
    if (idleTtlS !== null && nowMs - lastUsedAtMs > idleTtlS * 1_000) return 'idle';
    if (rotatedAtMs === undefined) return undefined;
    return rule === 'grace' && nowMs - rotatedAtMs <= graceMs ? undefined : 'rotated';
  }

  #refresh(token: string): Pick<CallRecord, 'issued' | 'refused'> {
    const refused = this.deathOf(token);
    const known = this.#refreshTokens.get(token);
    if (refused !== undefined || known === undefined) {
      if (refused !== 'rotated' || known === undefined) return { issued: undefined, refused };
      this.end(known.grant, 'reuse');
      return { issued: undefined, refused: 'reuse' };
    }
    const { grant } = known;
    known.lastUsedAtMs = this.#nowMs();
    if (grant.rules.rule === 'stable') return { issued: this.#issue(grant, null), refused };
    known.rotatedAtMs ??= this.#nowMs();
    return { issued: this.#issue(grant, this.#newRefreshToken(grant)), refused };
  }

  #newRefreshToken(grant: Grant): string {
    this.#count += 1;
    const token = `rt-${this.#count}`;
    this.#refreshTokens.set(token, { grant, lastUsedAtMs: this.#nowMs(), rotatedAtMs: undefined });
    return token;
  }

  #issue(grant: Grant, refreshToken: string | null): TokenSet {
    this.#count += 1;
    const accessToken = `at-${this.#count}`;
    const { accessTtlMs } = grant.rules;
    this.#accessTokens.set(accessToken, grant);
    return {
      accessToken,
      tokenType: 'Bearer',
      refreshToken,
      accessTokenExpiresAtMs: accessTtlMs === null ? null : this.#nowMs() + accessTtlMs,
      grantedScopes: scopes,
    };
  }
}
