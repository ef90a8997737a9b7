import { Injectable } from '@nestjs/common';
import { pkcePair, randomToken } from '@postern/crypto';
import { Clock, ServiceConfig } from '@postern/service';

import { AuthorizationConfig } from '../authorization-config.ts';
import { callbackPath, sentCookie } from '../browser/browser-state.ts';
import { setCookieHeader } from '../browser/cookies.ts';
import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import type { StartedSession } from './page-subjects.ts';

/** Sends a browser to the provider, and with it all that its answer will be checked against. */
@Injectable()
export class Departure {
  readonly #config: AuthorizationConfig;
  readonly #secure: boolean;
  readonly #clock: Clock;
  readonly #directory: Directory;
  readonly #providers: ProviderClients;

  constructor(
    config: AuthorizationConfig,
    service: ServiceConfig,
    clock: Clock,
    directory: Directory,
    providers: ProviderClients,
  ) {
    this.#config = config;
    this.#secure = service.publicUrl.startsWith('https:');
    this.#clock = clock;
    this.#directory = directory;
    this.#providers = providers;
  }

  /**
   * Makes fresh state, PKCE pair and nonce, which nobody but this browser will have.
   *
   * @throws {PosternError} `registration.*`, `provider.*`
   * @source RFC 9700 §2.1.1, §4.7
   */
  async from({ connection, session }: StartedSession): Promise<{ url: URL; setCookie: string }> {
    const { tenantId, connectionId } = connection;
    const { sessionId, registrationId, requestedScopes: scopes, expiresAtMs, providerVersion } = session;
    const registration = await this.#directory.activeRegistration({ tenantId, registrationId });
    const state = randomToken();
    const { codeVerifier, codeChallenge } = pkcePair();
    const nonce = scopes.includes('openid') ? randomToken() : null;
    const client = this.#providers.departing(registration, providerVersion);
    await client.assertIssuerNamed();
    await client.requireFeatures();
    const url = await client.authorizationUrl({
      redirectUri: this.#providers.redirectUri(registration),
      state,
      codeChallenge,
      scopes,
      ...(nonce !== null && { nonce }),
      claims: claimsFor({ connection, session }),
      dpopJkt: await this.#providers.dpopJkt(registration, { version: providerVersion, connectionId }),
    });
    const sent = { sessionId, tenantId, connectionId, registrationId, state, nonce, expiresAtMs };
    const setCookie = setCookieHeader({
      cookie: sentCookie,
      key: this.#config.cookieKey,
      value: { ...sent, codeVerifier: codeVerifier.reveal() },
      path: callbackPath(registrationId),
      maxAgeMs: expiresAtMs - this.#clock.nowMs(),
      secure: this.#secure,
    });
    return { url, setCookie };
  }
}

/** What the provider wanted, where it is asked again through the registration that heard so. */
function claimsFor({ connection, session }: StartedSession): string | undefined {
  return session.registrationId === connection.registrationId ? connection.credential?.requiredClaims : undefined;
}
