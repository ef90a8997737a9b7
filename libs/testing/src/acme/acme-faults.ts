/** How an endpoint misbehaves. Without `times` it does so until it is told otherwise. */
export interface AcmeFault {
  /** Waits this long before it does anything. */
  readonly delayMs?: number;
  /** Waits before it does anything, until `release()`: for races that a test wants to decide itself. */
  readonly hold?: boolean;
  /** Answers with this status instead of processing the call. */
  readonly status?: number;
  /** The OAuth `error` that goes with `status`; `temporarily_unavailable` when absent. */
  readonly error?: string;
  /** The `Retry-After` that goes with `status`. */
  readonly retryAfterS?: number;
  /** Processes the call, then cuts the connection instead of answering. */
  readonly dropAfterProcessing?: boolean;
  /** How many calls are to suffer, the next ones first. */
  readonly times?: number;
}

export type AcmeEndpoint = 'tokenEndpoint' | 'revocationEndpoint' | 'introspectionEndpoint' | 'contactsApi';

/** The faults of each endpoint; an endpoint that is not named keeps what it had, `null` heals it. */
export type AcmeFaultPlan = { readonly [endpoint in AcmeEndpoint]?: AcmeFault | null };

/** Makes one Acme misbehave on request. */
export class AcmeFaults {
  readonly #planned = new Map<AcmeEndpoint, { fault: AcmeFault; left: number }>();
  #gate = Promise.withResolvers<void>();
  #held = 0;

  /** @effect applies from the next call on; calls that are already held stay held. */
  set(plan: AcmeFaultPlan): void {
    for (const [endpoint, fault] of Object.entries(plan) as [AcmeEndpoint, AcmeFault | null | undefined][]) {
      if (fault) this.#planned.set(endpoint, { fault, left: fault.times ?? Infinity });
      else this.#planned.delete(endpoint);
    }
  }

  /** @effect heals every endpoint and lets held calls go on. */
  clear(): void {
    this.#planned.clear();
    this.release();
  }

  /** @effect lets the calls that are held now go on; later ones are held again while the fault stands. */
  release(): void {
    this.#gate.resolve();
    this.#gate = Promise.withResolvers<void>();
  }

  /** How many calls are held at this moment: what a test waits for before it moves on. */
  held(): number {
    return this.#held;
  }

  /** The fault that the call at hand suffers; counts it against `times`. */
  take(endpoint: AcmeEndpoint): AcmeFault | undefined {
    const planned = this.#planned.get(endpoint);
    if (!planned) return undefined;
    planned.left -= 1;
    if (planned.left <= 0) this.#planned.delete(endpoint);
    return planned.fault;
  }

  /** Resolves at the next `release()`. */
  async waitForRelease(): Promise<void> {
    this.#held += 1;
    try {
      await this.#gate.promise;
    } finally {
      this.#held -= 1;
    }
  }
}
