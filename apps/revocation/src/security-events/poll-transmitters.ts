import { setTimeout as delay } from 'node:timers/promises';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isPosternError, limits } from '@postern/contracts';
import type { Transmitter } from '@postern/domain';
import { guardedFetch, type GuardedFetch } from '@postern/provider-client';
import { Logger, type OnServiceReady } from '@postern/service';

import { RevocationConfig } from '../revocation-config.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { pollOnce, type PollAnswers, type Polled, type PollReply } from './poll-once.ts';
import { SetIntake } from './set-intake.ts';
import { SetRefusal } from './set-refusal.ts';
import { TransmitterBearers } from './transmitter-bearers.ts';
import { Transmitters } from './transmitters.ts';

const { pollLookIntervalMs, pollIntervalMs, pollTimeoutMs, pollEventsMax } = revocationLimits;
const { pollHoldMs, pollHoldPauseMs } = revocationLimits;
const { pollRetryDelayMsMin, pollRetryDelayMsMax, pollRetryAfterMsMax } = revocationLimits;

/** What a poll leaves for the next one. Nothing of it is needed: what was not acknowledged comes again. */
interface Progress {
  answers: PollAnswers;
  maxEvents: number;
  failures: number;
  /** From when on it may be let wait with its answer; monotonic. */
  holdsFromMs: number;
}

/** One transmitter that is being polled. */
interface Polling {
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

const nothing: PollAnswers = { ack: [], setErrs: {} };

/**
 * Fetches security events from the transmitters that do not push them.
 *
 * A token is acknowledged after it stands on SIGNALS, and never before. Several processes that poll one stream get the
 * same tokens, which are stored once: it costs calls, and no event. A transmitter with nothing to say may keep its answer
 * back until it has something; whether it does shows when it answers at once, or hangs up.
 *
 * @source RFC 8936
 */
@Injectable()
export class PollTransmitters implements OnServiceReady, OnApplicationShutdown {
  readonly #stopping = new AbortController();
  readonly #polling = new Map<string, Polling>();
  readonly #fetch: GuardedFetch;
  readonly #fetchHeld: GuardedFetch;
  #looking: Promise<void> | undefined;

  constructor(
    config: RevocationConfig,
    private readonly transmitters: Transmitters,
    private readonly bearers: TransmitterBearers,
    private readonly intake: SetIntake,
    private readonly logger: Logger,
  ) {
    const { allowLoopbackProviders: allowLoopback } = config;
    this.#fetch = guardedFetch({ allowLoopback, timeoutMs: pollTimeoutMs });
    this.#fetchHeld = guardedFetch({ allowLoopback, timeoutMs: pollHoldMs });
  }

  async onServiceReady(): Promise<void> {
    this.#looking = this.#look();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#looking, ...[...this.#polling.values()].map(({ done }) => done)]);
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      for (const { transmitterId, delivery, disabled } of this.transmitters.all()) {
        const polling = this.#polling.get(transmitterId);
        if (disabled) polling?.stop.abort();
        else if (delivery.method === 'poll' && polling === undefined) this.#begin(transmitterId);
      }
      await pause(pollLookIntervalMs, this.#stopping.signal);
    }
  }

  #begin(transmitterId: string): void {
    const stop = new AbortController();
    const signal = AbortSignal.any([this.#stopping.signal, stop.signal]);
    const done = this.#poll(transmitterId, signal).finally(() => this.#polling.delete(transmitterId));
    this.#polling.set(transmitterId, { stop, done });
  }

  /** As long as it is to be polled. Never rejects. */
  async #poll(transmitterId: string, signal: AbortSignal): Promise<void> {
    const progress: Progress = { answers: nothing, maxEvents: pollEventsMax, failures: 0, holdsFromMs: 0 };
    while (!signal.aborted) {
      let waitMs: number;
      try {
        const transmitter = await this.transmitters.find(transmitterId);
        if (transmitter === undefined || transmitter.disabled) return;
        waitMs = await this.#next(transmitter, progress, signal);
      } catch (error) {
        if (!isPosternError(error)) this.logger.error('polling a transmitter failed', { transmitterId, err: error });
        waitMs = this.#failed(transmitterId, progress, isPosternError(error) ? error.code : 'error');
      }
      await pause(waitMs, signal);
    }
  }

  /** @returns how long to wait before the next poll. */
  async #next(transmitter: Transmitter, progress: Progress, signal: AbortSignal): Promise<number> {
    const { transmitterId } = transmitter;
    const startedMs = performance.now();
    const holds = progress.answers === nothing && startedMs >= progress.holdsFromMs;
    const polled = await this.#asked(transmitter, progress, { holds, signal });
    if (signal.aborted) return 0;
    // It had nothing to say for as long as we listen at a time.
    if (holds && polled.kind === 'failed' && polled.reason === 'timeout') return 0;
    if (holds && polled.kind === 'failed') progress.holdsFromMs = performance.now() + pollHoldPauseMs;
    if (polled.kind === 'too_large' && progress.maxEvents > 1) {
      progress.maxEvents = Math.floor(progress.maxEvents / 2);
      return 0;
    }
    if (polled.kind !== 'reply') {
      const { reason, retryAfterMs } = { reason: polled.kind, retryAfterMs: null, ...polled };
      return this.#failed(transmitterId, progress, reason, retryAfterMs);
    }
    // Heard: what was said with it is done with.
    progress.answers = nothing;
    const { answers, failure } = await this.#taken(transmitter, polled.reply);
    progress.answers = answers;
    if (failure !== undefined) return this.#failed(transmitterId, progress, failure);
    progress.failures = 0;
    progress.maxEvents = Math.min(pollEventsMax, progress.maxEvents * 2);
    const isMore = polled.reply.moreAvailable || answers !== nothing;
    const nowMs = performance.now();
    // One that is let wait next time needs no pause, unless it just did not use it.
    if (isMore || (!holds && nowMs >= progress.holdsFromMs)) return 0;
    return Math.max(0, pollIntervalMs - (nowMs - startedMs));
  }

  /** With each of the tokens in use, the newest first. */
  async #asked(
    { delivery }: Transmitter,
    { answers, maxEvents }: Progress,
    { holds, signal }: { holds: boolean; signal: AbortSignal },
  ): Promise<Polled> {
    if (delivery.method !== 'poll') return { kind: 'failed', reason: 'not to be polled', retryAfterMs: null };
    const { endpoint, bearerOf } = delivery;
    const fetch = holds ? this.#fetchHeld : this.#fetch;
    const poll = { endpoint, answers, maxEvents, holds, fetch, signal };
    for (const bearer of await this.bearers.of(bearerOf)) {
      const polled = await pollOnce({ ...poll, bearer });
      if (polled.kind !== 'not_let_in') return polled;
    }
    return { kind: 'not_let_in' };
  }

  /** What is to be said of each token, and why some of them must come again. */
  async #taken(
    transmitter: Transmitter,
    { sets }: PollReply,
  ): Promise<{ answers: PollAnswers; failure: string | undefined }> {
    const ack: string[] = [];
    const setErrs: Record<string, SetRefusal['body']> = {};
    let failure: string | undefined;
    for (const [jti, token] of Object.entries(sets).slice(0, pollEventsMax)) {
      try {
        if (token.length > limits.securityEventBytesMax) throw new SetRefusal('invalid_request', 'Too long.');
        await this.intake.takeToken(transmitter, token, jti);
        ack.push(jti);
      } catch (error) {
        if (error instanceof SetRefusal) setErrs[jti] = error.body;
        else if (isPosternError(error)) failure = error.code;
        else throw error;
      }
    }
    const isNothing = ack.length === 0 && Object.keys(setErrs).length === 0;
    return { answers: isNothing ? nothing : { ack, setErrs }, failure };
  }

  #failed(transmitterId: string, progress: Progress, reason: string, retryAfterMs: number | null = null): number {
    progress.failures += 1;
    this.intake.count('poll_failed');
    const doubledMs = Math.min(pollRetryDelayMsMax, pollRetryDelayMsMin * 2 ** Math.min(progress.failures - 1, 20));
    const askedMs = Math.min(Math.max(retryAfterMs ?? 0, 0), pollRetryAfterMsMax);
    const waitMs = Math.max(Math.round((doubledMs * (1 + Math.random())) / 2), askedMs);
    this.logger.warn('a transmitter could not be polled', { transmitterId, reason, waitMs });
    return waitMs;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
