import { Injectable } from '@nestjs/common';
import { isId } from '@postern/contracts';
import { requireUnused, type Connection, type OpenSession } from '@postern/domain';
import { Clock } from '@postern/service';

import { Directory } from '../directory/directory.ts';
import type { ConnectPage } from '../pages/connect-page.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';
import { SessionIndex } from '../sessions/session-index.ts';
import { nothingHere, Reauthorization } from '../start-session/reauthorization.ts';

/** A session whose browser may be sent to the provider. */
export interface StartedSession {
  readonly connection: Connection;
  readonly session: OpenSession;
}

type ShownSession = Pick<
  OpenSession,
  'purpose' | 'registrationId' | 'requestedScopes' | 'providerVersion' | 'grant' | 'authorizationDetails'
>;

/** What a page's id stands for: an open session, or a connection that only its end user can help. */
@Injectable()
export class PageSubjects {
  readonly #index: SessionIndex;
  readonly #connections: Connections;
  readonly #reauthorization: Reauthorization;
  readonly #directory: Directory;
  readonly #providers: ProviderClients;
  readonly #clock: Clock;

  constructor(
    index: SessionIndex,
    connections: Connections,
    reauthorization: Reauthorization,
    directory: Directory,
    providers: ProviderClients,
    clock: Clock,
  ) {
    this.#index = index;
    this.#connections = connections;
    this.#reauthorization = reauthorization;
    this.#directory = directory;
    this.#providers = providers;
    this.#clock = clock;
  }

  /** @throws {PosternError} `session.*`, `platform.*`, `registration.*`, `provider.*` */
  async viewOf(id: string): Promise<Omit<ConnectPage, 'formToken'>> {
    if (isId('connection', id)) {
      const connection = await this.#reauthorization.needed(id);
      const { scopes, ...intended } = await this.#reauthorization.intended(connection);
      return await this.#view(connection, { purpose: 'reauthorize', requestedScopes: scopes, ...intended });
    }
    const { connection, session } = await this.#openSession(id);
    return await this.#view(connection, session);
  }

  /**
   * The session that the page's button goes on with.
   *
   * @effect for a connection it begins one, with the return_url and for the end user of before.
   * @throws {PosternError} as {@link viewOf}
   */
  async sessionFor(id: string): Promise<StartedSession> {
    if (!isId('connection', id)) return await this.#openSession(id);
    const connection = await this.#reauthorization.needed(id);
    const { session_id: sessionId } = await this.#reauthorization.begin(connection, { actor: { type: 'end_user' } });
    return await this.#openSessionOf({ ...connection, sessionId });
  }

  async #openSession(sessionId: string): Promise<StartedSession> {
    const place = await this.#index.find(sessionId);
    if (place === undefined) throw nothingHere();
    return await this.#openSessionOf({ ...place, sessionId });
  }

  async #openSessionOf(place: { tenantId: string; connectionId: string; sessionId: string }): Promise<StartedSession> {
    const { sessionId } = place;
    const { state } = await this.#connections.load(
      { tenantId: place.tenantId, id: place.connectionId },
      { fromLeader: true },
    );
    // Whoever could not spend a code in it need not be sent to fetch one.
    const session = requireUnused({ sessionId, nowMs: this.#clock.nowMs() }, state);
    return { connection: state, session };
  }

  async #view(
    { tenantId, platformId }: Connection,
    { purpose, registrationId, requestedScopes, providerVersion, grant, authorizationDetails }: ShownSession,
  ): Promise<Omit<ConnectPage, 'formToken'>> {
    const platform = await this.#directory.activePlatform({ tenantId, platformId });
    const registration = await this.#directory.activeRegistration({ tenantId, registrationId });
    const { endpoints } = await this.#providers.withoutCredentials(registration, providerVersion).discover();
    return {
      purpose,
      platformName: platform.name,
      providerName: registration.displayName,
      providerHost: new URL(endpoints.authorizationEndpoint ?? endpoints.tokenEndpoint).host,
      scopes: requestedScopes,
      detailTypes: authorizationDetails?.types ?? [],
      showsUserCode: grant === 'device_code',
    };
  }
}
