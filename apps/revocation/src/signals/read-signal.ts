import { Injectable } from '@nestjs/common';
import type { Signal, SignalMeaning } from '@postern/contracts';
import { instantAt, loadSecurityEvents, namedAccounts, subjectOfEvent, timeOfEvent } from '@postern/provider-catalog';
import { accountKeyDigest } from '@postern/provider-client';

import { ProviderFiles } from '../provider/provider-files.ts';
import { RevocationConfig } from '../revocation-config.ts';
import { Registrations } from '../registrations.ts';

/** What a stored signal says. */
export interface ReadSignalResult {
  readonly means: SignalMeaning;
  /** Of the accounts that it names, by which the index finds their connections. */
  readonly digests: readonly string[];
  /** When it happened, as its sender vouches for; null where it does not. */
  readonly occurredAtMs: number | null;
}

/**
 * Reads signals by the data of the catalog: a provider's webhook by its file, a security event by the standards, what a
 * bridge says as either of them.
 */
@Injectable()
export class ReadSignal {
  readonly #meanings = loadSecurityEvents();

  constructor(
    private readonly config: RevocationConfig,
    private readonly registrations: Registrations,
    private readonly files: ProviderFiles,
  ) {}

  /**
   * @returns undefined when the catalog does not know any more what such a signal means.
   * @throws {PosternError} `service.not_ready`
   */
  async read(signal: Signal): Promise<ReadSignalResult | undefined> {
    const { verified, type } = signal;
    const isSecurityEvent = 'transmitterId' in verified || ('bridgeId' in verified && this.#meanings.has(type));
    return isSecurityEvent ? await this.#securityEvent(signal) : await this.#webhook(signal);
  }

  /** By the version of the registration, as when it was taken in: one text says the same of whomever it names. */
  async #webhook({ tenantId, registrationId, type, body }: Signal): Promise<ReadSignalResult | undefined> {
    const registration = await this.registrations.find(registrationId);
    if (registration === undefined) return undefined;
    const event = this.files.ofRegistration(registration)?.webhook?.events.find((row) => row.type === type);
    if (event === undefined) return undefined;
    const { providerId } = registration;
    return {
      means: event.means,
      digests: this.#digests({ tenantId, providerId }, namedAccounts(event.names, body)),
      occurredAtMs: instantAt(event.occurredAt, body),
    };
  }

  async #securityEvent({ tenantId, registrationId, type, body }: Signal): Promise<ReadSignalResult | undefined> {
    const means = this.#meanings.get(type);
    const registration = await this.registrations.find(registrationId);
    const event = eventIn(body, type);
    if (means === undefined || registration === undefined || event === undefined) return undefined;
    const { accounts, isNarrow } = subjectOfEvent(body as object, event);
    return {
      // About one session or device: the grant may stand as before.
      means: isNarrow && means === 'grant_ended' ? 'hint' : means,
      digests: this.#digests({ tenantId, providerId: registration.providerId }, accounts),
      occurredAtMs: timeOfEvent(body as object, event),
    };
  }

  #digests(
    scope: Parameters<typeof accountKeyDigest>[1],
    accounts: readonly Parameters<typeof accountKeyDigest>[2][],
  ): string[] {
    const key = this.config.digestKey.reveal();
    return accounts.map((account) => accountKeyDigest(key, scope, account));
  }
}

function eventIn(body: unknown, type: string): unknown {
  if (typeof body !== 'object' || body === null || !('events' in body)) return undefined;
  const { events } = body;
  return typeof events === 'object' && events !== null && Object.hasOwn(events, type)
    ? (Reflect.get(events, type) as unknown)
    : undefined;
}
