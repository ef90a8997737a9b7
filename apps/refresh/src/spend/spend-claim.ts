import { Injectable } from '@nestjs/common';
import { isPosternError, PosternError } from '@postern/contracts';
import type { WorkMessage } from '@postern/nats';
import { renewByIdentity, type Refreshed, type Refusal } from '@postern/provider-client';
import { annotate, Clock, crashPoint, Logger, Metrics, withCall, type Counter, type Histogram } from '@postern/service';

import type { ReadyClaim } from '../claim/claim-with-token.ts';
import type { HeldClaim } from '../claim/held-claim.ts';
import type { Claimed } from '../claim/take-claim.ts';
import { TakeOver } from '../claim/take-over.ts';
import { Pace } from '../pace/pace.ts';
import { RefreshConfig } from '../refresh-config.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { insist } from './insist.ts';
import { KeepBought } from './keep-bought.ts';
import { OutcomeLog } from './outcome-log.ts';
import { ProviderClients, type RefreshingClient } from './provider-clients.ts';
import { ReleasedTokens, type ReleasedToken } from './released-tokens.ts';
import type { Failure } from './retry-plan.ts';

type Message = Pick<WorkMessage, 'working'>;

/**
 * How a claim ended. `superseded`: the provider refused its refresh token, and the vault turned out to hold what an
 * interrupted claim had bought with the same one. That stands now as the current version, and whether the provider still
 * honors it is not known: it may have taken the refused use for a theft.
 */
export type Spent = 'settled' | 'superseded';

/** What the token endpoint said, or why it was not asked. */
type Attempt = Answered | { readonly kind: 'not_spent'; readonly error: PosternError };

interface Answered {
  readonly kind: 'answered';
  readonly client: RefreshingClient;
  readonly answer: Refreshed | Refusal;
  /** Was a refresh token spent for it? Otherwise a lost answer costs nothing. */
  readonly spent: boolean;
}

/**
 * Spends the refresh token of a claim, once, and writes down what came of it.
 *
 * The token is asked for last, when everything else that a call needs is at hand, and is not spent when the claim has
 * too little time left for the provider to answer: by then another worker may take it for ours to have been lost.
 */
@Injectable()
export class SpendClaim {
  readonly #inHand = new Set<string>();
  readonly #outcomes: Counter;
  readonly #providerSeconds: Histogram;

  constructor(
    private readonly config: RefreshConfig,
    private readonly clock: Clock,
    private readonly providers: ProviderClients,
    private readonly tokens: ReleasedTokens,
    private readonly bought: KeepBought,
    private readonly outcomes: OutcomeLog,
    private readonly takeOver: TakeOver,
    private readonly pace: Pace,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.#outcomes = metrics.counter('postern.refresh.outcomes');
    this.#providerSeconds = metrics.histogram('postern.refresh.provider.duration');
  }

  /** Is this process working on that claim right now? */
  isInHand(claimId: string): boolean {
    return this.#inHand.has(claimId);
  }

  /** @throws {PosternError} only when no outcome could be written: then the claim is left to be taken over. */
  async spend({ held, ready }: Pick<Claimed, 'held' | 'ready'>, message: Message): Promise<Spent> {
    this.#inHand.add(held.claimId);
    try {
      return await this.#settle(held, await this.#attempt(held, ready), () => message.working());
    } finally {
      this.#inHand.delete(held.claimId);
    }
  }

  async #attempt(held: HeldClaim, ready: ReadyClaim | undefined): Promise<Attempt> {
    try {
      const { client, released } = ready ?? (await this.#ready(held));
      crashPoint('after the release', held.connectionId);
      this.#requireTimeLeft(held);
      const startedMs = this.clock.monotonicMs();
      const attributes = { 'postern.provider.id': held.providerId };
      const refresh = () => this.#ask(held, client, released);
      const answer = await withCall('postern.provider.refresh', refresh, { attributes });
      crashPoint('after the provider answered', held.connectionId);
      this.#providerSeconds.observe((this.clock.monotonicMs() - startedMs) / 1000, {
        provider: held.providerId,
        outcome: answer.kind,
      });
      return {
        kind: 'answered',
        client,
        answer: this.pace.heard(held.registrationId, answer),
        spent: 'refreshToken' in released,
      };
    } catch (error) {
      if (!isPosternError(error)) throw error;
      return { kind: 'not_spent', error };
    }
  }

  async #ready(held: HeldClaim): Promise<ReadyClaim> {
    const client = await this.providers.of(held);
    this.#requireTimeLeft(held);
    return { held, client, released: await this.tokens.release(held) };
  }

  async #ask(held: HeldClaim, { client }: RefreshingClient, released: ReleasedToken): Promise<Refreshed | Refusal> {
    if (!('renewal' in released)) return await client.refresh(released);
    if (!('identity' in released)) return await client.renew(released.renewal, released.shown);
    const { renewal, identity } = released;
    const { providerVersion, idToken } = identity;
    const subject = { tenantId: held.tenantId, ...renewal.subject, providerVersion, isBound: false };
    const { client: identityProvider } = await this.providers.of(subject);
    // Where the other server is was asked first, so that one call is left.
    const between = () => this.#requireTimeLeft(held, 1);
    return await renewByIdentity({ identityProvider, resourceServer: client, renewal, idToken, between });
  }

  #requireTimeLeft({ sinceMs }: HeldClaim, callsMax: number = refreshLimits.providerCallsPerRefreshMax): void {
    const { claimTimeoutMs, providerTimeoutMs } = this.config;
    const leftMs = claimTimeoutMs - (this.clock.monotonicMs() - sinceMs);
    if (leftMs >= providerTimeoutMs * callsMax) return;
    throw new PosternError('refresh.claim_lost', 'The claim has too little time left to be spent.');
  }

  async #settle(held: HeldClaim, attempt: Attempt, stillWorking: () => void): Promise<Spent> {
    if (attempt.kind === 'not_spent') {
      await this.#notSpent(held, attempt.error, stillWorking);
      return 'settled';
    }
    const isRejected = attempt.answer.kind === 'rejected';
    // From an interrupted claim something may have come in since this one looked for it: that would be why.
    const cameIn = () => insist(() => this.takeOver.recover(held), { clock: this.clock, onRetry: stillWorking });
    if (isRejected && (await cameIn())) return 'superseded';
    await this.#answered(held, attempt, stillWorking);
    // Until the rejection stood, more could come in; what comes now finds a dead grant in the log.
    return isRejected && (await cameIn()) ? 'superseded' : 'settled';
  }

  async #answered(held: HeldClaim, { answer, client, spent }: Answered, stillWorking: () => void): Promise<void> {
    this.#outcomes.add(1, { provider: held.providerId, outcome: answer.kind });
    annotate(() => ({ 'postern.refresh.outcome': answer.kind }));
    switch (answer.kind) {
      case 'refreshed': {
        const { tokenSet, rotated } = answer;
        return await this.bought.keep({ held, client: client.client, tokenSet, rotated }, stillWorking);
      }
      case 'rejected': {
        const proven = await this.outcomes.rejected(held, answer, stillWorking);
        const { error, httpStatus } = answer;
        return this.logger.info('the provider rejected a refresh token', { ...idsOf(held), error, httpStatus, proven });
      }
      case 'client_rejected': {
        const { error, errorDescription, httpStatus } = answer;
        const words = { ...idsOf(held), registrationId: held.registrationId, error, errorDescription, httpStatus };
        this.logger.error('the provider refuses our client: correct the client registration', words);
        // By the next refresh it may have been corrected.
        client.forget?.();
        return await this.outcomes.failed(held, { ...nothingSpent, error, errorDescription, httpStatus }, stillWorking);
      }
      case 'failed': {
        const mayHaveBeenProcessed = answer.mayHaveBeenProcessed && client.mayRotate && spent;
        this.logger.warn('a refresh failed', { ...idsOf(held), error: answer.error, httpStatus: answer.httpStatus });
        return await this.outcomes.failed(held, { ...answer, mayHaveBeenProcessed }, stillWorking);
      }
    }
  }

  async #notSpent(held: HeldClaim, error: PosternError, stillWorking: () => void): Promise<void> {
    // The vault found what an interrupted claim had bought a moment ago: nobody has failed.
    if (error.code === 'vault.version_stale' && (await this.takeOver.recover(held))) return;
    // Of a derived connection nothing is given while the others may not be used: nobody's failure.
    const isWithheld = error.code === 'connection.delegation_ended';
    const outcome = isWithheld ? 'withheld' : 'not_spent';
    this.#outcomes.add(1, { provider: held.providerId, outcome });
    annotate(() => ({ 'postern.refresh.outcome': outcome, 'error.type': error.code }));
    const level = isWithheld ? 'info' : error.row.retry === 'never' ? 'error' : 'warn';
    this.logger[level]('a refresh token was not spent', { ...idsOf(held), code: error.code, err: error });
    const pauseMsMin = isOurs(error) ? refreshLimits.ownRetryDelayMsMin : undefined;
    const failure = { ...nothingSpent, pauseMsMin, error: error.code, errorDescription: null, httpStatus: null };
    await this.outcomes.failed(held, failure, stillWorking);
  }
}

/** Codes of our own services and servers; a provider that cannot be reached is left in peace for longer. */
const isOurs = ({ code, row }: PosternError) => row.retry !== 'never' && !code.startsWith('provider.');

const nothingSpent: Pick<Failure, 'retryAfterMs' | 'mayHaveBeenProcessed'> = Object.freeze({
  retryAfterMs: null,
  mayHaveBeenProcessed: false,
});

function idsOf({ tenantId, connectionId, claimId }: HeldClaim) {
  return { tenantId, connectionId, claimId };
}
