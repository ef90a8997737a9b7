import { Injectable } from '@nestjs/common';
import {
  limits,
  newId,
  PosternError,
  timestampOf,
  type Actor,
  type AuthorizationDetails,
  type SessionReply,
} from '@postern/contracts';
import { startAuthorization, type Connection, type Platform, type Registration } from '@postern/domain';
import { requireGrantType, type Provider } from '@postern/provider-catalog';
import { commitOrigin, ServiceConfig } from '@postern/service';
import type { z } from 'zod';

import { AuthorizationConfig } from '../authorization-config.ts';
import { detailsParameter, sealAskedDetails } from '../browser/asked-details.ts';
import { BeginDevice } from '../device/begin-device.ts';
import { Digests } from '../digests.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';
import { MayUse } from './may-use.ts';

type Reply = z.infer<typeof SessionReply>;

/** Everything that a new session is decided on. */
export interface NewSession {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly purpose: 'connect' | 'reauthorize';
  readonly platform: Platform;
  readonly registration: Registration;
  /** In the version that the session is pinned to. */
  readonly provider: Provider;
  readonly endUserDigest: string;
  readonly scopes: readonly string[];
  /** What the scopes followed from, where capabilities were asked for. */
  readonly capabilities?: readonly string[] | undefined;
  /** Of what may be asked for; of the registration's scopes when absent. */
  readonly offered?: readonly string[];
  /** Empty where the platform shows the user code itself. */
  readonly returnUrl: string;
  /** An authorization code when absent. */
  readonly grant?: 'device_code' | undefined;
  /** What exactly is asked for. @source RFC 9396 §2 */
  readonly authorizationDetails?: AuthorizationDetails | undefined;
  readonly actor: Actor;
}

/** Appends the beginning of a session, after everything about it was found to be in order. */
@Injectable()
export class SessionStarter {
  readonly #connections: Connections;
  readonly #providers: ProviderClients;
  readonly #device: BeginDevice;
  readonly #mayUse: MayUse;
  readonly #publicUrl: string;
  readonly #config: AuthorizationConfig;
  readonly #digests: Digests;

  constructor(
    connections: Connections,
    providers: ProviderClients,
    device: BeginDevice,
    mayUse: MayUse,
    service: ServiceConfig,
    config: AuthorizationConfig,
    digests: Digests,
  ) {
    this.#device = device;
    this.#connections = connections;
    this.#providers = providers;
    this.#mayUse = mayUse;
    this.#publicUrl = service.publicUrl;
    this.#config = config;
    this.#digests = digests;
  }

  /**
   * @effect appends `AuthorizationStarted`; where the platform shows the user code itself, the provider is asked for one.
   * @throws {PosternError} `session.return_url_unknown`, `session.scope_unknown`, `provider.not_found`,
   *   `registration.insecure_endpoint`, `approval.required`, and what `startAuthorization` throws
   */
  async start(session: NewSession): Promise<Reply> {
    const { tenantId, connectionId, platform, registration, actor, returnUrl } = session;
    const hasBrowser = session.grant === undefined || returnUrl !== '';
    if (hasBrowser && !platform.returnUrls.includes(returnUrl)) {
      throw new PosternError('session.return_url_unknown', 'The return_url is none of the registered ones.');
    }
    if (session.grant !== undefined && session.authorizationDetails !== undefined) throw detailsWithUserCode();
    assertScopes(session.scopes, session.offered ?? registration.scopes);
    const { authorizationDetails: details } = session;
    const providerVersion = session.provider.version;
    this.#providers.withoutCredentials(registration, providerVersion);
    requireGrantType(session.provider, session.grant ?? 'authorization_code');
    await this.#mayUse.require(session);
    const highRiskScopes = this.#mayUse.keptApart(tenantId, session.provider);
    const sessionId = newId('session');
    const { state } = await this.#connections.execute(
      { tenantId, id: connectionId },
      (connection, { nowMs }) =>
        startAuthorization(
          {
            sessionId,
            purpose: session.purpose,
            platformId: platform.platformId,
            providerId: registration.providerId,
            registrationId: registration.registrationId,
            endUserDigest: session.endUserDigest,
            requestedScopes: [...session.scopes],
            ...(session.capabilities !== undefined && { requestedCapabilities: [...session.capabilities] }),
            returnUrl,
            expiresAtMs: nowMs + limits.sessionTtlMs,
            providerVersion,
            ...(session.grant !== undefined && { grant: session.grant }),
            ...(session.provider.withoutPkce && session.grant === undefined && { withoutPkce: true }),
            ...(details && { authorizationDetails: this.#digests.authorizationDetails(tenantId, details) }),
            highRiskScopes,
            nowMs,
          },
          connection,
        ),
      { actor, ...commitOrigin() },
    );
    const expiresAt = timestampOf(state.session?.expiresAtMs ?? 0);
    const begun = { session_id: sessionId, expires_at: expiresAt };
    if (hasBrowser) return { ...begun, connect_url: this.#pageOf(sessionId, details) };
    return { ...begun, device_authorization: await this.#userCode(state, sessionId) };
  }

  #pageOf(sessionId: string, details: AuthorizationDetails | undefined): string {
    const page = `${this.#publicUrl}/connect/${sessionId}`;
    if (details === undefined) return page;
    return `${page}?${detailsParameter}=${sealAskedDetails(this.#config.cookieKey, { sessionId, details })}`;
  }

  async #userCode(state: Connection, sessionId: string): Promise<Reply['device_authorization']> {
    const { session } = state;
    if (session?.sessionId !== sessionId)
      throw new PosternError('session.superseded', 'A newer session took its place.');
    const shown = await this.#device.begin({ connection: state, session });
    const expiresAtMs = Math.min(shown.expiresAtMs, session.expiresAtMs);
    return {
      user_code: shown.userCode,
      verification_uri: shown.verificationUri,
      expires_at: timestampOf(expiresAtMs),
    };
  }
}

function detailsWithUserCode(): PosternError {
  const reason = 'does not go with a user code';
  return new PosternError('request.malformed', `The member authorization_details ${reason}.`, {
    details: { fields: [{ path: 'authorization_details', reason }] },
  });
}

/** @throws {PosternError} `session.scope_unknown` for one that the registration does not offer */
export function assertScopes(asked: readonly string[], offered: readonly string[]): void {
  const unknown = asked.filter((scope) => !offered.includes(scope));
  if (unknown.length === 0) return;
  const fields = unknown.map((scope) => ({ path: 'scopes', reason: `${scope} is not offered` }));
  throw new PosternError('session.scope_unknown', 'Not every scope is one of the registration.', {
    details: { fields },
  });
}
