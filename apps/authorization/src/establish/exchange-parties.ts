import { Injectable } from '@nestjs/common';
import { PosternError, type Delegation, type EstablishedGrant, type ExchangeParty } from '@postern/contracts';
import {
  delegationOf,
  loadDelegationChain,
  requireDelegation,
  requireOwnedBy,
  type Connection,
  type Registration,
} from '@postern/domain';

import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';

type DerivingGrant = Extract<EstablishedGrant, { readonly subject_connection_id: string }>;
type Owner = { readonly tenantId: string; readonly platformId: string };

/** Whom a new connection will be derived from. */
export interface ExchangeParties {
  readonly subject: Connection;
  readonly actor: Connection | null;
}

/** Finds and judges the connections that another one is to be derived from, before anything is written down. */
@Injectable()
export class ExchangePartiesReader {
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #providers: ProviderClients;

  constructor(connections: Connections, directory: Directory, providers: ProviderClients) {
    this.#connections = connections;
    this.#directory = directory;
    this.#providers = providers;
  }

  /** @throws {PosternError} `connection.not_found` also for another platform's */
  async find(owner: Owner, grant: DerivingGrant): Promise<ExchangeParties> {
    const subjectId = grant.subject_connection_id;
    const actorId = grant.type === 'token_exchange' ? grant.actor_connection_id : undefined;
    const subject = await this.#owned(owner, subjectId);
    if (actorId === undefined) return { subject, actor: null };
    const actor = await this.#owned({ ...owner, platformId: subject.platformId }, actorId);
    if (delegationOf(actor) === undefined) return { subject, actor };
    throw refused('An actor acts in its own name: its connection must not be derived from another one.');
  }

  /**
   * May a connection be derived from these at this registration?
   *
   * @throws {PosternError} `connection.delegation_ended`; `connection.delegation_refused` where it would lean on itself,
   *   on too many, or would show a token to another server than its own; `lease.scope_missing` for scopes that the
   *   subject itself does not have
   * @source RFC 8693 §2.1
   */
  async require(
    { subject, actor }: ExchangeParties,
    derived: {
      readonly connectionId: string;
      readonly registration: Registration;
      readonly scopes: readonly string[];
    },
  ): Promise<void> {
    await this.requireChain({ subject, actor }, derived);
    for (const party of actor === null ? [subject] : [subject, actor]) await this.#requireSameServer(party, derived);
    const granted = subject.credential?.grantedScopes ?? [];
    const missing = derived.scopes.filter((scope) => !granted.includes(scope));
    if (missing.length === 0) return;
    throw new PosternError('lease.scope_missing', 'The subject itself was not granted every scope asked for.', {
      details: { missing_scopes: missing },
    });
  }

  /**
   * May a connection lean on these at all?
   *
   * @throws {PosternError} `connection.delegation_ended`; `connection.delegation_refused` where it would lean on itself,
   *   on too many, or on what is bound to a key
   */
  async requireChain({ subject, actor }: ExchangeParties, derived: { readonly connectionId: string }): Promise<void> {
    const { tenantId } = subject;
    const chain = await loadDelegationChain(delegationBy({ subject, actor }), (id) => this.#state(tenantId, id));
    if (chain.parties.some(({ connectionId }) => connectionId === derived.connectionId)) {
      throw refused('A connection cannot be derived from itself.');
    }
    requireDelegation(chain);
    for (const { connectionId, credential } of actor === null ? [subject] : [subject, actor]) {
      if (credential?.senderConstrained === undefined) continue;
      throw refused(`The token of ${connectionId} is bound to a key, and of no use to another connection.`);
    }
  }

  /** What one server issued is shown to no other. */
  async #requireSameServer(party: Connection, { registration }: { readonly registration: Registration }) {
    const { tenantId, registrationId } = party;
    if (registrationId === registration.registrationId) return;
    const own = await this.#directory.activeRegistration({ tenantId, registrationId });
    const [one, other] = await Promise.all([own, registration].map((each) => this.#server(each)));
    if (one === other) return;
    throw refused(`The token of ${party.connectionId} was issued by another server than that of the new connection.`);
  }

  async #server(registration: Registration): Promise<string> {
    const { issuer, endpoints } = await this.#providers.withoutCredentials(registration, undefined).discover();
    return `${issuer} ${endpoints.tokenEndpoint}`;
  }

  async #owned(owner: Owner, id: string): Promise<Connection> {
    const state = await this.#state(owner.tenantId, id);
    requireOwnedBy(state, owner);
    return state;
  }

  async #state(tenantId: string, id: string): Promise<Connection> {
    return (await this.#connections.load({ tenantId, id }, { fromLeader: true })).state;
  }
}

/** As the log will say it. */
export function delegationBy({ subject, actor }: ExchangeParties): Delegation {
  return { subjectConnectionId: subject.connectionId, actorConnectionId: actor?.connectionId ?? null };
}

/** As it will rest sealed. */
export function partyOf({ connectionId, registrationId }: Connection): ExchangeParty {
  return { connectionId, registrationId };
}

function refused(why: string): PosternError {
  return new PosternError('connection.delegation_refused', why);
}
