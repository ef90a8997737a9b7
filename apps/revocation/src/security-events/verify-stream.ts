import { setTimeout as delay } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import { isHttpsOrLoopback, operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { randomToken } from '@postern/crypto';
import type { SpokenFor, Transmitter } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callErrorReason, guardedFetch, type GuardedFetch } from '@postern/provider-client';
import { callingApp, Clock, Logger, Serves } from '@postern/service';

import { RevocationConfig } from '../revocation-config.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { SetIntake } from './set-intake.ts';
import { TransmitterBearers } from './transmitter-bearers.ts';
import { Transmitters } from './transmitters.ts';

const { verificationWaitMs, verificationLookMs, verificationTimeoutMs } = revocationLimits;

type Request = RequestOf<typeof operations.verifyTransmitter>;
type Reply = ReplyOf<typeof operations.verifyTransmitter>;

/**
 * Answers `transmitters.verify`: has a transmitter send a verification with a state of ours, and tells whether that came
 * in, by whichever process: it is looked for where signals are stored.
 *
 * @source OpenID Shared Signals Framework 1.0 §8.1.4
 */
@Injectable()
export class VerifyStream {
  readonly #fetch: GuardedFetch;

  constructor(
    config: RevocationConfig,
    private readonly transmitters: Transmitters,
    private readonly bearers: TransmitterBearers,
    private readonly intake: SetIntake,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {
    const { allowLoopbackProviders: allowLoopback } = config;
    this.#fetch = guardedFetch({ allowLoopback, timeoutMs: verificationTimeoutMs });
  }

  @Serves(operations.verifyTransmitter)
  async verify(request: Request, call: Call): Promise<Reply> {
    callingApp(call, ['administrator']);
    const transmitter = await this.#transmitter(request.transmitter_id);
    const { transmitterId } = transmitter;
    const endpoint = request.endpoint ?? (await this.#discovered(transmitter));
    const state = randomToken();
    const body = JSON.stringify({ ...(request.stream_id !== undefined && { stream_id: request.stream_id }), state });
    const startedMs = this.clock.monotonicMs();
    await this.#ask(endpoint, body, bearerOf(request, transmitter));
    const verified = await this.#arrives(transmitter, state, startedMs + verificationWaitMs);
    const tookMs = Math.round(this.clock.monotonicMs() - startedMs);
    this.logger.info('a transmitter was asked for a verification', { transmitterId, state, verified, tookMs });
    return { transmitter_id: transmitterId, state, verified, took_ms: tookMs };
  }

  async #transmitter(transmitterId: string): Promise<Transmitter> {
    const transmitter = await this.transmitters.find(transmitterId);
    if (transmitter === undefined) throw new PosternError('transmitter.not_found', 'There is no such transmitter.');
    if (transmitter.disabled) throw new PosternError('transmitter.disabled', 'Nothing it says is taken.');
    return transmitter;
  }

  /** @source Shared Signals 1.0 §7.2: between the issuer's host and its path */
  async #discovered({ issuer }: Transmitter): Promise<string> {
    if (!isHttpsOrLoopback(issuer)) throw notAsked('its issuer is no https URL, so give --endpoint');
    const { origin, pathname } = new URL(issuer);
    const url = `${origin}/.well-known/ssf-configuration${pathname === '/' ? '' : pathname}`;
    const response = await this.#call(url, { method: 'GET', headers: { accept: 'application/json' } });
    const metadata: unknown = response.status === 200 ? await response.json().catch(() => undefined) : undefined;
    const { issuer: named, verification_endpoint: endpoint } = (metadata ?? {}) as Record<string, unknown>;
    if (named === issuer && typeof endpoint === 'string' && isHttpsOrLoopback(endpoint)) return endpoint;
    throw notAsked('its metadata name no verification_endpoint, so give --endpoint');
  }

  /** With each of the tokens in use, the newest first. */
  async #ask(endpoint: string, body: string, bearerOf: SpokenFor | null): Promise<void> {
    let refusal = 'there is no bearer token for it';
    for (const bearer of await this.bearers.of(bearerOf)) {
      const authorization = bearer === null ? {} : { authorization: `Bearer ${bearer}` };
      const headers = { 'content-type': 'application/json', 'user-agent': 'postern', ...authorization };
      const { status } = await this.#call(endpoint, { method: 'POST', headers, body });
      if (status >= 200 && status < 300) return;
      refusal = `it answered ${status}`;
      if (status !== 401 && status !== 403) break;
    }
    throw notAsked(refusal);
  }

  async #call(url: string, init: Parameters<GuardedFetch>[1]): Promise<Response> {
    try {
      return await this.#fetch(url, init);
    } catch (error) {
      const reason = callErrorReason(error);
      if (reason === undefined) throw error;
      throw notAsked(reason, error);
    }
  }

  async #arrives(transmitter: Transmitter, state: string, deadlineMs: number): Promise<boolean> {
    while (!(await this.intake.tookVerification(transmitter, state))) {
      if (this.clock.monotonicMs() >= deadlineMs) return false;
      await delay(verificationLookMs);
    }
    return true;
  }
}

function bearerOf({ bearer_of: named }: Request, { delivery }: Transmitter): SpokenFor | null {
  if (named !== undefined) return { tenantId: named.tenant_id, registrationId: named.registration_id };
  return delivery.method === 'poll' ? delivery.bearerOf : null;
}

function notAsked(reason: string, cause?: unknown): PosternError {
  const message = `The transmitter could not be asked: ${reason}.`;
  return new PosternError('transmitter.not_asked', message, cause === undefined ? {} : { cause });
}
