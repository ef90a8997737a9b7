import { createHash } from 'node:crypto';

/** What Acme itself has counted since it started. */
export interface AcmeCounts {
  /** By `grant_type`, then by outcome: `ok`, an OAuth `error`, or `fault_<status>` where a fault answered. */
  readonly tokenRequests: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly tokenRequestsTotal: number;
  /** Calls at the revocation endpoint (RFC 7009), whatever their answer. */
  readonly revocations: number;
  /** Calls at the introspection endpoint (RFC 7662), whatever their answer. */
  readonly introspections: number;
  /** Calls of the contacts API by HTTP status. */
  readonly apiCalls: Readonly<Record<string, number>>;
}

/** One call at the token endpoint. Tokens stand as fingerprints: enough to see a rotation, useless to spend. */
export interface AcmeTokenCall {
  readonly at: string;
  readonly grantType: string;
  readonly outcome: string;
  readonly status: number;
  readonly ms: number;
  readonly clientId?: string;
  readonly scope?: string;
  readonly presentedRefreshToken?: string;
  readonly issuedRefreshToken?: string;
  /** The refresh token was spent before, and all tokens of its grant have ended for that. */
  readonly familyEnded?: true;
  /** The call was processed and its answer thrown away by a fault. */
  readonly answerDropped?: true;
}

/** The counters behind `counts()` and `GET /_counts`. */
export class AcmeMeter {
  readonly #tokenCalls: AcmeTokenCall[] = [];
  readonly #apiCalls: Record<string, number> = {};
  readonly #pushedRequests: Record<string, string | undefined>[] = [];
  #revocations = 0;
  #introspections = 0;

  recordTokenCall(call: AcmeTokenCall): void {
    this.#tokenCalls.push(call);
  }

  recordPushedRequest(parameters: Readonly<Record<string, string | undefined>>): void {
    this.#pushedRequests.push({ ...parameters });
  }

  recordApiCall(status: number): void {
    this.#apiCalls[status] = (this.#apiCalls[status] ?? 0) + 1;
  }

  recordRevocation(): void {
    this.#revocations += 1;
  }

  recordIntrospection(): void {
    this.#introspections += 1;
  }

  /** What authorization requests said that were pushed and taken, oldest first. @source RFC 9126 */
  pushedRequests(): Readonly<Record<string, string | undefined>>[] {
    return [...this.#pushedRequests];
  }

  tokenCalls(): AcmeTokenCall[] {
    return [...this.#tokenCalls];
  }

  counts(): AcmeCounts {
    const tokenRequests: Record<string, Record<string, number>> = {};
    for (const { grantType, outcome } of this.#tokenCalls) {
      const outcomes = (tokenRequests[grantType] ??= {});
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    return {
      tokenRequests,
      tokenRequestsTotal: this.#tokenCalls.length,
      revocations: this.#revocations,
      introspections: this.#introspections,
      apiCalls: { ...this.#apiCalls },
    };
  }
}

/** Twelve hex digits that tell two tokens apart without giving either away. */
export function tokenFingerprint(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 12);
}
