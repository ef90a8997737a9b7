import { Injectable } from '@nestjs/common';
import {
  operations,
  PosternError,
  type Actor,
  type AuthorizationDetails,
  type ReplyOf,
  type RequestOf,
} from '@postern/contracts';
import {
  freshnessOf,
  hasReauthorizePage,
  isUnattended,
  pinnedOf,
  requireOwnedBy,
  type Connection,
  type Registration,
} from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingOwner, Clock, Serves } from '@postern/service';

import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';
import { askedScopes, type WantedAccess } from './asked-scopes.ts';
import { SessionStarter } from './session-starter.ts';

interface Again extends WantedAccess {
  readonly actor: Actor;
  readonly returnUrl?: string | undefined;
  readonly authorizationDetails?: AuthorizationDetails | undefined;
}

/** Begins sessions that authorize an existing connection anew, in place, for the same end user. */
@Injectable()
export class Reauthorization {
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #providers: ProviderClients;
  readonly #starter: SessionStarter;
  readonly #clock: Clock;

  constructor(
    connections: Connections,
    directory: Directory,
    providers: ProviderClients,
    starter: SessionStarter,
    clock: Clock,
  ) {
    this.#connections = connections;
    this.#directory = directory;
    this.#providers = providers;
    this.#starter = starter;
    this.#clock = clock;
  }

  /** `connections.reauthorize`: a platform, or an administrator for any platform of the tenant. */
  @Serves(operations.reauthorize)
  async reauthorize(
    request: RequestOf<typeof operations.reauthorize>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.reauthorize>> {
    const { tenantId, platformId, actor } = callingOwner(call);
    const { state } = await this.#connections.load({ tenantId, id: request.connection_id }, { fromLeader: true });
    requireOwnedBy(state, { tenantId, platformId });
    const { return_url: returnUrl, scopes, capabilities, authorization_details: authorizationDetails } = request;
    return await this.begin(state, { actor, returnUrl, scopes, capabilities, authorizationDetails });
  }

  /**
   * Begins one for a connection that was found to be the caller's.
   *
   * @effect appends `AuthorizationStarted`.
   * @throws {PosternError} `connection.deleted`, `connection.unattended`, `registration.disabled`, `session.return_url_unknown`, …
   */
  async begin(
    connection: Connection,
    { actor, returnUrl, ...wanted }: Again,
  ): Promise<ReplyOf<typeof operations.reauthorize>> {
    const { tenantId, connectionId, platformId, endUserDigest } = connection;
    if (isUnattended(connection)) {
      throw new PosternError('connection.unattended', 'No end user authorized the connection; establish it anew.');
    }
    const platform = await this.#directory.activePlatform({ tenantId, platformId });
    const registration = await this.#registrationOf(connection);
    const provider = this.#providers.forSession(registration, pinnedOf(connection));
    const offered = this.#offeredTo(connection, registration);
    return await this.#starter.start({
      tenantId,
      connectionId,
      purpose: 'reauthorize',
      platform,
      registration,
      provider,
      endUserDigest,
      scopes: askedScopes(wanted, { registration, provider }) ?? scopesOfBefore(connection, offered),
      capabilities: wanted.capabilities,
      authorizationDetails: wanted.authorizationDetails,
      offered,
      returnUrl: returnUrl ?? connection.returnUrl,
      ...grantOf(connection),
      actor,
    });
  }

  /** What {@link begin} would ask for, to be shown before it does. */
  async intended(
    connection: Connection,
  ): Promise<{ registrationId: string; scopes: string[]; providerVersion: number; grant?: 'device_code' }> {
    const registration = await this.#registrationOf(connection);
    const { version: providerVersion } = this.#providers.forSession(registration, pinnedOf(connection));
    const scopes = scopesOfBefore(connection, this.#offeredTo(connection, registration));
    return { registrationId: registration.registrationId, scopes, providerVersion, ...grantOf(connection) };
  }

  /**
   * The connection that a re-authorization link names, if only its end user can help it.
   *
   * @throws {PosternError} `session.not_found` for every other: a link tells a stranger nothing.
   */
  async needed(connectionId: string): Promise<Connection> {
    const tenantId = await this.#connections.tenantOf(connectionId);
    if (tenantId === undefined) throw nothingHere();
    const { state } = await this.#connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    const { authorization } = state;
    const { health } = freshnessOf(state, { nowMs: this.#clock.nowMs() });
    const needed = [authorization, health].some((word) => word === 'revoked' || word === 'reauthorization_required');
    if (!needed || authorization === 'deleted' || !hasReauthorizePage(state)) throw nothingHere();
    return state;
  }

  /**
   * Which scopes an MCP server has, only its challenges say: what one named is asked for though nobody knew of it when
   * the server was registered.
   *
   * @source MCP 2026-07-28, scope selection strategy
   */
  #offeredTo(connection: Connection, registration: Registration): string[] {
    const { namesResource } = this.#providers.forSession(registration, pinnedOf(connection));
    const challenged = namesResource ? (connection.credential?.missingScopes ?? []) : [];
    return [...new Set([...registration.scopes, ...challenged])];
  }

  async #registrationOf({ tenantId, registrationId }: Connection): Promise<Registration> {
    return await this.#directory.activeRegistration({ tenantId, registrationId });
  }
}

/** In the way in which it was authorized. */
function grantOf({ credential }: Connection): { grant?: 'device_code' } {
  return credential?.grant === 'device_code' ? { grant: 'device_code' } : {};
}

/** What an unknown, a foreign and an untouchable id have in common. */
export function nothingHere(): PosternError {
  return new PosternError('session.not_found', 'There is nothing to connect here.');
}

/**
 * What was granted before and what the provider's API wanted besides, as far as it is still offered. Providers often leave these two out of what they grant, and
 * without them there would be no account or no refresh token afterwards.
 */
function scopesOfBefore({ credential }: Connection, scopes: string[]): string[] {
  const { grantedScopes = [], missingScopes = [] } = credential ?? {};
  const before = new Set([...grantedScopes, ...missingScopes, 'openid', 'offline_access']);
  const again = credential === null ? [] : scopes.filter((scope) => before.has(scope));
  return again.length > 0 ? again : scopes;
}
