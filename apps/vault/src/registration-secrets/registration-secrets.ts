import { Injectable } from '@nestjs/common';
import { PosternError, type RegistrationSecretKind } from '@postern/contracts';
import { secretsInUse, type Registration } from '@postern/domain';
import { Clock } from '@postern/service';

import { OwnedSecrets, type SecretPlace } from '../owned-secrets.ts';

/** A secret, opened. Zero it after use. */
export interface OpenedSecret {
  readonly secret: Buffer;
  readonly version: number;
}

/** The secrets of client registrations, in the versions that the log names as usable. */
@Injectable()
export class RegistrationSecrets {
  constructor(
    private readonly secrets: OwnedSecrets,
    private readonly clock: Clock,
  ) {}

  /** Stores a secret as the next version; it counts once the log names it. @throws {PosternError} `log.conflict` */
  async store(registration: Registration, kind: RegistrationSecretKind, secret: Uint8Array): Promise<number> {
    return await this.secrets.insertNext(placeOf(registration, kind), secret);
  }

  /**
   * The secret in use; or, when the provider has refused that one, another that it may still or already take.
   *
   * During a rotation nobody knows which of two the provider takes at this instant. Where there is no other, the answer
   * is the refused one again, by whose number the caller sees that trying once more is useless.
   *
   * @throws {PosternError} `vault.credential_missing`
   */
  async open(
    registration: Registration,
    { kind, refusedVersion }: { kind: RegistrationSecretKind; refusedVersion?: number | undefined },
  ): Promise<OpenedSecret> {
    const usable = this.#usable(registration, kind);
    const version = usable.find((one) => one !== refusedVersion) ?? usable[0];
    if (version === undefined) {
      throw new PosternError('vault.credential_missing', `The registration has no ${kind} in use.`);
    }
    return { secret: await this.secrets.open(placeOf(registration, kind), version), version };
  }

  /** Every secret of a kind that may be used now, the newest first; there may be none. */
  async openAll(registration: Registration, kind: RegistrationSecretKind): Promise<OpenedSecret[]> {
    const place = placeOf(registration, kind);
    const opened: OpenedSecret[] = [];
    for (const version of this.#usable(registration, kind)) {
      opened.push({ secret: await this.secrets.open(place, version), version });
    }
    return opened;
  }

  /** Deletes what is older than the newest one and not usable any more. @returns how many versions there were. */
  async deleteEnded(registration: Registration, kind: RegistrationSecretKind): Promise<number> {
    const usable = this.#usable(registration, kind);
    const newest = registration.secrets.find((one) => one.kind === kind)?.version ?? 0;
    return await this.secrets.removeOlder(placeOf(registration, kind), { than: newest, but: usable });
  }

  #usable(registration: Registration, kind: RegistrationSecretKind): number[] {
    const nowMs = this.clock.nowMs();
    return secretsInUse(registration, { kind, nowMs }).map(({ version }) => version);
  }
}

function placeOf({ tenantId, providerId, registrationId }: Registration, kind: RegistrationSecretKind): SecretPlace {
  return { tenantId, providerId, ownerId: registrationId, kind };
}
