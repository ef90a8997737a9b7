import { Injectable } from '@nestjs/common';
import { PosternError, type AuthorizationDetails } from '@postern/contracts';
import { pkcePair, randomToken } from '@postern/crypto';
import { Clock, ServiceConfig } from '@postern/service';

import { AuthorizationConfig } from '../authorization-config.ts';
import { openAskedDetails } from '../browser/asked-details.ts';
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
   * @param sealedDetails what came with the page: the session's authorization details, where it has some
   * @throws {PosternError} `registration.*`, `provider.*`; `request.malformed` without the session's authorization details
   * @source RFC 9700 §2.1.1, §4.7
   */
  async from(
    { connection, session }: StartedSession,
    sealedDetails: unknown,
  ): Promise<{ url: URL; setCookie: string }> {
    const { tenantId, connectionId } = connection;
    const { sessionId, registrationId, requestedScopes: scopes, expiresAtMs, providerVersion } = session;
    const registration = await this.#directory.activeRegistration({ tenantId, registrationId });
    const state = randomToken();
    const { codeVerifier, codeChallenge } = pkcePair();
    const nonce = scopes.includes('openid') ? randomToken() : null;
    const client = this.#providers.departing(registration, providerVersion);
    await client.assertIssuerNamed();
    const authorizationDetails = this.#detailsOf(session, sealedDetails);
    await client.requireFeatures({ detailTypes: session.authorizationDetails?.types });
    const url = await client.authorizationUrl({
      redirectUri: this.#providers.redirectUri(registration),
      state,
      codeChallenge,
      scopes,
      ...(nonce !== null && { nonce }),
      authorizationDetails,
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

  /** Without them the end user would authorize something else than the platform asked for. */
  #detailsOf({ sessionId, authorizationDetails }: StartedSession['session'], sealed: unknown) {
    if (authorizationDetails === undefined) return undefined;
    const details: AuthorizationDetails | undefined = openAskedDetails(this.#config.cookieKey, { sessionId, sealed });
    if (details !== undefined) return details;
    throw new PosternError('request.malformed', 'The link is not whole: it must be opened as the platform gave it.');
  }
}

/** What the provider wanted, where it is asked again through the registration that heard so. */
function claimsFor({ connection, session }: StartedSession): string | undefined {
  return session.registrationId === connection.registrationId ? connection.credential?.requiredClaims : undefined;
}
