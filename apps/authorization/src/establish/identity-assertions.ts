import { Injectable } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import type { Connection, Registration } from '@postern/domain';
import {
  renewByIdentity,
  type IdentityRenewal,
  type ProviderClient,
  type Refreshed,
  type Refusal,
} from '@postern/provider-client';

import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { ExchangePartiesReader, type ExchangeParties } from './exchange-parties.ts';
import { ShownTokensReader, type Establishment } from './shown-tokens.ts';

/** A connection that is to be had by the identity of another one's user. */
interface Derived {
  readonly connectionId: string;
  readonly registration: Registration;
}

/**
 * Has the provider at which a user signed in assert that to another authorization server, where we have a second client:
 * what the first one issued is shown to that one alone.
 *
 * @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4
 */
@Injectable()
export class IdentityAssertions {
  readonly #directory: Directory;
  readonly #providers: ProviderClients;
  readonly #parties: ExchangePartiesReader;
  readonly #shown: ShownTokensReader;

  constructor(
    directory: Directory,
    providers: ProviderClients,
    parties: ExchangePartiesReader,
    shown: ShownTokensReader,
  ) {
    this.#directory = directory;
    this.#providers = providers;
    this.#parties = parties;
    this.#shown = shown;
  }

  /**
   * @throws {PosternError} `connection.delegation_ended`, `connection.delegation_refused`; `provider.flow_unsupported`,
   *   `provider.feature_unsupported` where one of the two servers does not do its part
   */
  async require(parties: ExchangeParties, derived: Derived, client: ProviderClient): Promise<void> {
    await this.#parties.requireChain(parties, derived);
    const { subject } = parties;
    const registration = await this.#registrationOf(subject);
    const identityProvider = this.#providers.withoutCredentials(registration, this.#versionOf(subject, registration));
    const [one, other] = await Promise.all([identityProvider, client].map((each) => each.discover()));
    if (one?.issuer === other?.issuer) {
      throw new PosternError(
        'connection.delegation_refused',
        'Both connections are at the same server, which asserts nothing to itself: exchange tokens there.',
      );
    }
    await identityProvider.requireIdentityAssertions('asserts');
    await client.requireIdentityAssertions('takes');
  }

  async obtain(
    client: ProviderClient,
    {
      subject,
      renewal,
      establishment,
    }: { subject: Connection; renewal: IdentityRenewal; establishment: Establishment },
  ): Promise<Refreshed | Refusal> {
    const registration = await this.#registrationOf(subject);
    const identityProvider = await this.#providers.withCredentials(registration, {
      version: this.#versionOf(subject, registration),
      connectionId: subject.connectionId,
    });
    const { idToken } = await this.#shown.identityFor(renewal.subject, establishment);
    return await renewByIdentity({ identityProvider, resourceServer: client, renewal, idToken });
  }

  async #registrationOf({ tenantId, registrationId }: Connection): Promise<Registration> {
    return await this.#directory.activeRegistration({ tenantId, registrationId });
  }

  #versionOf({ connectionId, credential }: Connection, registration: Registration): number {
    return this.#providers.forSession(registration, { connectionId, pinned: credential?.providerVersion ?? null })
      .version;
  }
}
