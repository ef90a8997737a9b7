import { newId, type TokenSet } from '@postern/contracts';
import { pkcePair, randomToken, Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { heldClientSecret, ProviderClient } from '@postern/provider-client';
import { acmeAccounts, acmeLoginAndConsent, ScriptedBrowser, type Acme } from '@postern/testing';

import type { VaultDouble } from './vault-double.ts';
import type { World } from './world.ts';

const redirectUri = 'http://127.0.0.1:9/oauth/callback/reg';
export const acmeScopes = ['openid', 'offline_access', 'contacts:read'];
const hourMs = 3_600_000;

/** A client of ours at Acme, and connections of Ada through it. */
export class AcmeConnections {
  readonly provider: ProviderClient;
  readonly #world: World;
  readonly #vault: VaultDouble;
  readonly registrationId: string;

  private constructor(world: World, vault: VaultDouble, provider: ProviderClient, registrationId: string) {
    this.provider = provider;
    this.#world = world;
    this.#vault = vault;
    this.registrationId = registrationId;
  }

  static async register(world: World, vault: VaultDouble, acme: Acme): Promise<AcmeConnections> {
    const { clientId, clientSecret = '' } = await acme.registerClient({
      redirectUris: [redirectUri],
      clientCredentials: true,
    });
    const client = {
      clientId,
      tokenEndpointAuthMethod: 'client_secret_basic',
      parameters: { issuer: acme.issuer },
    } as const;
    const data = { ...client, providerId: 'openid-connect', displayName: 'Acme CRM', scopes: acmeScopes };
    const registrationId = await world.register([{ type: 'RegistrationCreated', version: 1, data }]);
    vault.clientSecret = clientSecret;
    const provider = new ProviderClient({
      provider: providerOf(loadCatalog(), 'openid-connect'),
      registration: client,
      credentials: heldClientSecret(Secret.from(clientSecret)),
      allowLoopback: true,
    });
    return new AcmeConnections(world, vault, provider, registrationId);
  }

  /** Goes through Acme's pages as Ada, and brings home a token set. */
  async authorize(): Promise<TokenSet> {
    const state = randomToken();
    const nonce = randomToken();
    const { codeVerifier, codeChallenge } = pkcePair();
    const asked = { redirectUri, state, codeChallenge, scopes: acmeScopes, nonce };
    const url = await this.provider.authorizationUrl(asked);
    const { email: user, password } = acmeAccounts.ada;
    const journey = { user, password, decision: 'allow' as const, returnUrl: redirectUri };
    const arrival = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
    const callback = await this.provider.readCallback({ parameters: arrival.searchParams, expectedState: state });
    if (callback.kind !== 'code') throw new Error('Acme denied');
    const exchange = { callback, redirectUri, codeVerifier, nonce, requestedScopes: acmeScopes };
    const outcome = await this.provider.exchangeCode(exchange);
    if (outcome.kind !== 'exchanged') throw new Error(`not exchanged: ${outcome.error}`);
    return outcome.tokenSet;
  }

  /** A connection whose access token ends after so long; already, when that is negative. */
  async connect({
    livesMs,
    providerId = 'openid-connect',
    ...more
  }: {
    livesMs: number | null;
    providerId?: string;
    hasRefreshToken?: boolean;
    endedByRefresh?: { leadMs: number; graceMs: number };
  }): Promise<string> {
    const tokenSet = await this.authorize();
    const connectionId = newId('connection');
    const sessionId = newId('session');
    const grant = {
      sessionId,
      credentialVersion: this.#vault.insert(connectionId, sessionId, tokenSet).version,
      grantedScopes: tokenSet.grantedScopes,
      accessTokenExpiresAtMs: livesMs === null ? null : Date.now() + livesMs,
      hasRefreshToken: true,
      accountDigest: null,
      ...more,
    };
    const started = {
      ...{ sessionId, purpose: 'connect' as const, platformId: this.#world.platformId, providerId },
      ...{ registrationId: this.registrationId, endUserDigest: 'digest', requestedScopes: acmeScopes },
      ...{ expiresAtMs: Date.now() + hourMs, returnUrl: 'https://platform.example/return' },
    };
    await this.#world.append(
      'authorization',
      connectionId,
      { type: 'AuthorizationStarted', version: 1, data: started },
      { type: 'CodeExchangeStarted', version: 1, data: { sessionId } },
      { type: 'ConnectionAuthorized', version: 1, data: grant },
    );
    return connectionId;
  }

  /** A connection of our own, had by client credentials, whose access token ends after so long. */
  async establish({ livesMs }: { livesMs: number }): Promise<string> {
    const renewal = { grant: 'client_credentials' as const, scopes: ['contacts:read'], parameters: {} };
    const outcome = await this.provider.renew(renewal);
    if (outcome.kind !== 'refreshed') throw new Error(`no token: ${outcome.error}`);
    const connectionId = newId('connection');
    const sessionId = newId('session');
    const started = {
      ...{ sessionId, purpose: 'connect' as const, grant: renewal.grant, platformId: this.#world.platformId },
      ...{ providerId: 'openid-connect', registrationId: this.registrationId, endUserDigest: null },
      ...{ requestedScopes: renewal.scopes, expiresAtMs: Date.now() + hourMs, providerVersion: 5 },
    };
    const granted = {
      ...{ sessionId, grant: renewal.grant, hasRefreshToken: false, accountDigest: null },
      credentialVersion: this.#vault.insert(connectionId, sessionId, outcome.tokenSet).version,
      grantedScopes: outcome.tokenSet.grantedScopes,
      accessTokenExpiresAtMs: Date.now() + livesMs,
    };
    await this.#world.append(
      'authorization',
      connectionId,
      { type: 'EstablishmentStarted', version: 1, data: started },
      { type: 'ConnectionAuthorized', version: 1, data: granted },
    );
    return connectionId;
  }
}
