import { Injectable } from '@nestjs/common';
import {
  PosternError,
  StaticSecret,
  type Delegation,
  type EstablishedGrant,
  type Grant,
  type Renewal,
} from '@postern/contracts';
import { CryptoError, zero } from '@postern/crypto';
import type { Registration } from '@postern/domain';
import type { Provider } from '@postern/provider-catalog';
import type { IdentityRenewal, ProviderClient, Refreshed, Refusal } from '@postern/provider-client';
import { ServiceKeys } from '@postern/service';

import { GrantAssertions } from './grant-assertions.ts';
import { askedScopes, type WantedAccess } from '../start-session/asked-scopes.ts';
import { assertScopes } from '../start-session/session-starter.ts';
import { delegationBy, ExchangePartiesReader, partyOf, type ExchangeParties } from './exchange-parties.ts';
import { IdentityAssertions } from './identity-assertions.ts';
import { ShownTokensReader, type Establishment } from './shown-tokens.ts';

/** In which way a credential is had without a browser. */
export interface Way {
  readonly grant: Grant;
  readonly scopes: readonly string[];
  /** Only where it is derived from others. */
  readonly delegation?: Delegation;
  /** After how long somebody should be reminded to replace it; null: never. */
  readonly rotateAfterS: number | null;
  /** Refuses what cannot be had so, before anything is written down. @throws {PosternError} */
  readonly require: (client: ProviderClient) => Promise<void> | void;
  /** Asks the provider, once it stands in the log what for. */
  readonly obtain: (client: ProviderClient, establishment: Establishment) => Promise<Refreshed | Refusal>;
}

type JwtBearerGrant = Extract<EstablishedGrant, { readonly type: 'jwt_bearer' }>;
type IdentityGrant = Extract<EstablishedGrant, { readonly type: 'identity_assertion' }>;
type ExchangeGrant = Extract<EstablishedGrant, { readonly type: 'token_exchange' }>;

/** For whom it is wanted. */
interface Wanted extends WantedAccess {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly registration: Registration;
  readonly provider: Provider;
  /** Of what is derived from others. */
  readonly parties: ExchangeParties | undefined;
}

/** Makes of a grant that somebody asks for what has to be done for it. */
@Injectable()
export class Ways {
  readonly #keys: ServiceKeys;
  readonly #parties: ExchangePartiesReader;
  readonly #shown: ShownTokensReader;
  readonly #assertions: GrantAssertions;
  readonly #identities: IdentityAssertions;

  constructor(
    keys: ServiceKeys,
    parties: ExchangePartiesReader,
    shown: ShownTokensReader,
    assertions: GrantAssertions,
    identities: IdentityAssertions,
  ) {
    this.#keys = keys;
    this.#parties = parties;
    this.#shown = shown;
    this.#assertions = assertions;
    this.#identities = identities;
  }

  /** @throws {PosternError} `request.malformed`, `session.scope_unknown`, `provider.capability_unknown` */
  of(grant: EstablishedGrant, wanted: Wanted): Way {
    switch (grant.type) {
      case 'client_credentials':
        return renewed({ grant: grant.type, scopes: scopesOf(wanted), parameters: grant.parameters ?? {} });
      case 'token_exchange':
        return this.#exchanged(grant, wanted);
      case 'identity_assertion':
        return this.#ofIdentity(grant, wanted);
      case 'jwt_bearer':
        return this.#asserted(assertedBy(grant, wanted));
      case 'installation': {
        const { type, ...installation } = grant;
        refuseScopes(wanted, 'What an installation is asked for is named by repositories and permissions.');
        return this.#asserted({ grant: type, scopes: [], ...installation });
      }
      case 'static':
        return this.#made(grant, wanted);
    }
  }

  #asserted(renewal: Renewal): Way {
    return {
      ...renewed(renewal),
      obtain: async (client, establishment) =>
        await client.renew(renewal, { assertion: await this.#assertions.of(establishment, renewal) }),
    };
  }

  /** @source RFC 8693 §2.1 */
  #exchanged(grant: ExchangeGrant, wanted: Wanted): Way {
    const { parties } = wanted;
    if (parties === undefined) throw new Error('nobody looked whose tokens are exchanged');
    const { audience = [], resource = [], parameters = {} } = grant;
    const shown = { subject: partyOf(parties.subject), actor: parties.actor && partyOf(parties.actor) };
    const renewal: Renewal = {
      ...{ grant: grant.type, scopes: scopesOf(wanted), audience, resource, parameters },
      ...shown,
    };
    const way = renewed(renewal);
    return {
      ...way,
      delegation: delegationBy(parties),
      require: async (client) => {
        await way.require(client);
        await this.#parties.require(parties, { ...wanted, scopes: renewal.scopes });
      },
      obtain: async (client, establishment) => await client.renew(renewal, await this.#shown.for(shown, establishment)),
    };
  }

  /** @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4 */
  #ofIdentity({ type: grant, resource = [], parameters = {} }: IdentityGrant, wanted: Wanted): Way {
    const { parties } = wanted;
    if (parties === undefined) throw new Error('nobody looked whose identity is asserted');
    const { subject } = parties;
    const renewal: IdentityRenewal = {
      ...{ grant, scopes: scopesOf(wanted), resource, subject: partyOf(subject), parameters },
    };
    const way = renewed(renewal);
    return {
      ...way,
      delegation: delegationBy(parties),
      require: async (client) => {
        await way.require(client);
        await this.#identities.require(parties, wanted, client);
      },
      obtain: async (client, establishment) =>
        await this.#identities.obtain(client, { subject, renewal, establishment }),
    };
  }

  /** What it may do was decided where it was made. */
  #made(
    { sealed_secret: sealed, rotate_after_s: rotateAfterS }: EstablishedGrant & { readonly type: 'static' },
    wanted: Wanted,
  ): Way {
    refuseScopes(wanted, 'A credential that was made by hand has no scopes to be asked for.');
    const secret = this.#open(sealed, wanted.tenantId);
    return {
      grant: 'static',
      scopes: [],
      rotateAfterS: rotateAfterS ?? wanted.provider.rotateAfterS,
      require: (client) => client.requireStatic(secret),
      obtain: async (client) => await client.adopt(secret),
    };
  }

  /** The tenant in the seal is authenticated: what was sealed for one is good for no other. */
  #open(sealed: string, tenantId: string): StaticSecret {
    try {
      const { plaintext, protectedHeader } = this.#keys.opener.open(sealed);
      try {
        const parsed = StaticSecret.safeParse(JSON.parse(plaintext.toString('utf8')));
        if (parsed.success && protectedHeader['ten'] === tenantId) return parsed.data;
      } finally {
        zero(plaintext);
      }
    } catch (error) {
      // What a parser says may quote what it parsed.
      if (!(error instanceof CryptoError) && !(error instanceof SyntaxError)) throw error;
    }
    throw new PosternError(
      'request.malformed',
      'The secret is not one that was sealed to authorization for this tenant.',
    );
  }
}

function renewed(renewal: Renewal): Way {
  return {
    grant: renewal.grant,
    scopes: renewal.scopes,
    rotateAfterS: null,
    require: async (client) => {
      client.requireRenewal(renewal);
      await client.requireFeatures();
      await client.assertIssuerNamed();
    },
    obtain: async (client) => await client.renew(renewal),
  };
}

/** By the provider's file: who is named where nobody is, and where the scopes are said. @source RFC 7523 §3 */
function assertedBy({ type: grant, subject, parameters = {} }: JwtBearerGrant, wanted: Wanted): Renewal {
  const { name, assertion } = wanted.provider;
  if (subject === undefined && assertion.subjectOtherwise === 'refused') {
    throw new PosternError('request.malformed', `${name} wants to be told for whom: name a subject.`);
  }
  if (assertion.scopes === 'approval') {
    refuseScopes(wanted, `What a token of ${name} is for is approved there for the app: name no scopes.`);
  }
  const ourselves = assertion.subjectOtherwise === 'client' ? wanted.registration.clientId : null;
  return {
    ...{ grant, parameters, scopes: scopesOf(wanted), subject: subject ?? ourselves },
    scopesInAssertion: assertion.scopes === 'claim',
  };
}

function refuseScopes({ scopes, capabilities }: WantedAccess, why: string): void {
  if (scopes !== undefined || capabilities !== undefined) throw new PosternError('request.malformed', why);
}

/** No scopes unless some are asked for: the registration's are those that users may be asked for. */
function scopesOf(wanted: Wanted): string[] {
  const scopes = [...(askedScopes(wanted, wanted) ?? [])];
  assertScopes(scopes, wanted.registration.scopes);
  return scopes;
}
