import { createHash, timingSafeEqual } from 'node:crypto';

import { Injectable } from '@nestjs/common';
import { PosternError, type Signal } from '@postern/contracts';
import type { Registration, Transmitter } from '@postern/domain';
import { loadSecurityEvents, withoutTokens } from '@postern/provider-catalog';
import { Clock, Logger, Metrics, type RawReply, type RawRequest } from '@postern/service';

import { Registrations } from '../registrations.ts';
import { SignalStore } from '../signals/signal-store.ts';
import { UnverifiedLimit } from '../webhooks/unverified-limit.ts';
import { SetRefusal } from './set-refusal.ts';
import { TransmitterKeys } from './transmitter-keys.ts';
import { Transmitters } from './transmitters.ts';
import { verifySet, type VerifiedSet } from './verify-set.ts';

/** Three parts of base64url: what is none of these cannot be a signed token. @source RFC 7515 §7.1 */
const compactForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

const verificationStateCharsMax = 256;

/** What becomes of a security event token between its arrival and the answer to it. */
@Injectable()
export class SetIntake {
  readonly #meanings = loadSecurityEvents();
  readonly #unverified = new UnverifiedLimit();

  constructor(
    private readonly transmitters: Transmitters,
    private readonly keys: TransmitterKeys,
    private readonly registrations: Registrations,
    private readonly store: SignalStore,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Answers `202` only when what was said is stored; an unknown stream, a wrong bearer token and a wrong signature get
   * one and the same answer.
   *
   * @throws {PosternError} `request.rate_limited`; what makes the transmitter come again
   * @source RFC 8935 §2.2, §2.4
   */
  async take({ parameters, headers, body }: RawRequest): Promise<RawReply> {
    const { stream = '' } = parameters;
    try {
      const token = tokenIn(body, headers['content-type']);
      const transmitter = await this.#transmitter(stream, headers['authorization']);
      await this.takeToken(transmitter, token);
      return { status: 202 };
    } catch (error) {
      if (!(error instanceof SetRefusal)) throw error;
      this.#countRefusal(stream, error);
      return { status: 400, contentType: 'application/json', body: JSON.stringify(error.body) };
    }
  }

  /** Counts what was refused before anything was known of it. */
  count(outcome: string): void {
    this.metrics.counter('postern.security_events').add(1, { outcome });
  }

  /**
   * Verifies a token and stores what it says, for each registration about which its transmitter may speak.
   *
   * @param jti under which it was handed over, where it was
   * @effect durable once it resolves; a token that comes again is stored once.
   * @throws {SetRefusal}
   * @throws {PosternError} `signal.keys_unavailable`, and as `SignalStore.store`: it must come again
   */
  async takeToken(transmitter: Transmitter, token: string, jti?: string): Promise<void> {
    if (!compactForm.test(token)) throw new SetRefusal('invalid_request', 'That is no signed token.');
    const verified = await verifySet(token, transmitter, this.keys.of(transmitter));
    if (jti !== undefined && jti !== verified.jti) throw new SetRefusal('invalid_request', 'It has another jti.');
    await this.#store(transmitter, verified);
  }

  async #store(transmitter: Transmitter, verified: VerifiedSet): Promise<void> {
    const types = Object.keys(verified.events).filter((type) => this.#meanings.has(type));
    if (types.length === 0) return this.count('ignored');
    const registrations = await this.#spokenFor(transmitter);
    const signals = registrations.flatMap((registration) =>
      types.map((type) => this.#signalOf({ transmitter, verified, registration, type })),
    );
    const outcomes = await Promise.all(signals.map((signal) => this.store.store(signal))).catch((error: unknown) => {
      this.count('not_stored');
      throw error;
    });
    const outcome = outcomes.includes('stored') ? 'stored' : 'repeated';
    this.count(outcome);
    const { transmitterId } = transmitter;
    const state = this.#verificationState(verified);
    const told = { transmitterId, jti: verified.jti, types, outcome, ...(state !== undefined && { state }) };
    this.logger.info('a security event was taken in', told);
  }

  /**
   * Whether a verification with this state was taken in, whichever process took it.
   *
   * @throws {PosternError} `log.unavailable`, `service.not_ready`
   * @source Shared Signals 1.0 §8.1.4
   */
  async tookVerification(transmitter: Transmitter, state: string): Promise<boolean> {
    const { transmitterId } = transmitter;
    const types = [...this.#meanings].filter(([, means]) => means === 'stream_verified').map(([type]) => type);
    const registrations = await this.#spokenFor(transmitter);
    const places = registrations.flatMap(({ registrationId }) =>
      types.map((type) => ({
        source: 'ssf',
        registrationId,
        deliveryId: verificationIdOf({ transmitterId, type, state }),
      })),
    );
    return await this.store.holdsAny(places);
  }

  /** What whoever asked for a verification gave, to know it again. @source Shared Signals 1.0 §8.1.4 */
  #verificationState({ events }: VerifiedSet): string | undefined {
    return Object.keys(events)
      .map((type) => this.#stateOf(type, events[type]))
      .find((state) => state !== undefined);
  }

  #stateOf(type: string, event: unknown): string | undefined {
    if (this.#meanings.get(type) !== 'stream_verified' || typeof event !== 'object' || event === null) return undefined;
    const { state } = event as { state?: unknown };
    return typeof state === 'string' ? state.slice(0, verificationStateCharsMax) : undefined;
  }

  /** A verification is found again by what was asked for, and not by the `jti` that its sender chose. */
  #deliveryIdOf(transmitterId: string, { jti, events }: VerifiedSet, type: string): string {
    const state = this.#stateOf(type, events[type]);
    return state === undefined ? digestOf(transmitterId, jti, type) : verificationIdOf({ transmitterId, type, state });
  }

  async #transmitter(stream: string, authorization: string | undefined): Promise<Transmitter> {
    const transmitter = await this.transmitters.find(stream);
    if (transmitter !== undefined && !transmitter.disabled && isLetIn(transmitter, authorization)) return transmitter;
    throw new SetRefusal('authentication_failed', 'The token is not authentic.');
  }

  #countRefusal(stream: string, { code }: SetRefusal): void {
    if (code === 'authentication_failed' && !this.#unverified.take(stream, this.clock.monotonicMs())) {
      this.count('rate_limited');
      throw new PosternError('request.rate_limited', 'Too many tokens that are not authentic.');
    }
    this.count(code);
  }

  async #spokenFor({ transmitterId, speaksFor }: Transmitter): Promise<Registration[]> {
    const found = await Promise.all(
      speaksFor.map(async ({ tenantId, registrationId }) => {
        const registration = await this.registrations.find(registrationId);
        if (registration?.tenantId === tenantId) return registration;
        this.logger.error('a transmitter speaks for no registration', { transmitterId, tenantId, registrationId });
        return undefined;
      }),
    );
    return found.filter((one) => one !== undefined);
  }

  #signalOf(taken: {
    readonly transmitter: Transmitter;
    readonly verified: VerifiedSet;
    readonly registration: Registration;
    readonly type: string;
  }): Signal {
    const { transmitter, verified, registration, type } = taken;
    const { transmitterId } = transmitter;
    return {
      version: 1,
      source: 'ssf',
      tenantId: registration.tenantId,
      registrationId: registration.registrationId,
      deliveryId: this.#deliveryIdOf(transmitterId, verified, type),
      type,
      receivedAtMs: this.clock.nowMs(),
      verified: { transmitterId, keyId: verified.keyId },
      body: withoutTokens(verified.claims),
    };
  }
}

/** @throws {SetRefusal} `invalid_request` */
function tokenIn(body: Uint8Array, contentType: string | undefined): string {
  const [type = ''] = (contentType ?? '').toLowerCase().split(';');
  if (type.trim() !== 'application/secevent+jwt') {
    throw new SetRefusal('invalid_request', 'Send application/secevent+jwt.');
  }
  const token = Buffer.from(body).toString('latin1').trim();
  if (!compactForm.test(token)) throw new SetRefusal('invalid_request', 'The body is no signed token.');
  return token;
}

function isLetIn({ delivery }: Transmitter, authorization: string | undefined): boolean {
  if (delivery.method !== 'push') return false;
  if (delivery.bearerHash === null) return true;
  const [, token = ''] = /^bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
  const given = createHash('sha256').update(token).digest();
  return timingSafeEqual(given, Buffer.from(delivery.bearerHash, 'hex'));
}

/** One token may say several things; a token that comes again says them again. @source RFC 8417 §2.2 (`jti`) */
function digestOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

function verificationIdOf(verification: Readonly<Record<'transmitterId' | 'type' | 'state', string>>): string {
  return digestOf(verification.transmitterId, 'state', verification.type, verification.state);
}
