import { readFileSync } from 'node:fs';

import { newId, operations, type ConnectionEvent, type TokenSet } from '@postern/contracts';
import { pkcePair, randomToken, sealJwe, Secret, type SigningPrivateJwk } from '@postern/crypto';
import * as domain from '@postern/domain';
import { commitSigner, Repository } from '@postern/event-log';
import { callOperation, JetStreamEventLog, type Bus } from '@postern/nats';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { heldClientSecret, ProviderClient } from '@postern/provider-client';
import {
  acmeAccounts,
  acmeLoginAndConsent,
  ScriptedBrowser,
  tokenFingerprint,
  type AcmeProcess,
  type ReuseRule,
} from '@postern/testing';

import { createClientRegistration, storeSecret } from '../admin/registrations.ts';
import { readTrust } from '../data-folder/keys.ts';
import type { Session } from '../session/session.ts';
import { reuseRules } from './crash-table.ts';

const redirectUri = 'http://127.0.0.1:9/oauth/callback/crash-matrix';
const scopes = ['openid', 'offline_access', 'contacts:read'];
const hourMs = 3_600_000;

/** A connection with what Acme knows of it. */
export interface CrashConnection {
  readonly connectionId: string;
  /** The refresh token that the authorization brought. */
  readonly firstToken: string;
  readonly accessTokenExpiresAtMs: number;
}

/** Who plays `authorization`, and where. */
interface Stage {
  readonly session: Session;
  readonly acme: AcmeProcess;
  /** As `authorization`. */
  readonly bus: Bus;
}

/** Ada's connections at Acme, through a client of each reuse rule. The spec plays `authorization`. */
export class CrashConnections {
  readonly #stage: Stage;
  readonly #providers = new Map<ReuseRule, { client: ProviderClient; registrationId: string }>();

  private constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Registers the clients. */
  static async open(stage: Stage): Promise<CrashConnections> {
    const connections = new CrashConnections(stage);
    for (const rule of reuseRules) await connections.#register(rule);
    return connections;
  }

  async #register(rule: ReuseRule): Promise<void> {
    const { session, acme } = this.#stage;
    const tenantId = session.defaultTenantId;
    const registered = { redirectUris: [redirectUri], clientName: rule, reuseRule: rule };
    const { clientId, clientSecret = '' } = await acme.registerClient(registered);
    const secret = Secret.from(clientSecret);
    const client = {
      ...{ clientId, tokenEndpointAuthMethod: 'client_secret_basic' as const },
      parameters: { issuer: acme.issuer },
    };
    const registration = { ...client, tenantId, providerId: 'openid-connect', displayName: rule, scopes };
    const { registrationId } = await createClientRegistration(session, registration);
    await storeSecret(session, { tenantId, registrationId, kind: 'client_secret', secret });
    const provider = providerOf(loadCatalog(), 'openid-connect');
    const credentials = heldClientSecret(secret);
    const acmeClient = new ProviderClient({ provider, registration: client, credentials, allowLoopback: true });
    this.#providers.set(rule, { client: acmeClient, registrationId });
  }

  /** The client registration of a rule. */
  registrationOf(rule: ReuseRule): string {
    return this.#providers.get(rule)?.registrationId ?? '';
  }

  /** Ada authorizes, and the vault keeps what she brings. */
  async connect(
    rule: ReuseRule,
    { livesMs, revokedAtAcme = false }: { livesMs: number; revokedAtAcme?: boolean },
  ): Promise<CrashConnection> {
    const { session, bus } = this.#stage;
    const found = this.#providers.get(rule);
    if (found === undefined) throw new Error(rule);
    const accessTokenExpiresAtMs = Date.now() + livesMs;
    const tokenSet = { ...(await authorize(found.client)), accessTokenExpiresAtMs };
    const [connectionId, sessionId] = [newId('connection'), newId('session')];
    const ids = { tenant_id: session.defaultTenantId, connection_id: connectionId };
    await this.#decide(connectionId, (state, nowMs) =>
      domain.startAuthorization(
        {
          ...{ sessionId, purpose: 'connect', platformId: newId('platform'), providerId: 'openid-connect' },
          ...{ registrationId: found.registrationId, endUserDigest: 'digest', requestedScopes: scopes },
          ...{ returnUrl: 'https://platform.example/back', expiresAtMs: nowMs + hourMs, nowMs },
        },
        state,
      ),
    );
    await this.#decide(connectionId, (state, nowMs) => domain.startCodeExchange({ sessionId, nowMs }, state));
    const app = { app: 'authorization' } as const;
    const sealed = { bought_by: sessionId, sealed_token_set: this.#sealedToVault(tokenSet) };
    await callOperation(bus, operations.storeCredential, app, { ...ids, ...sealed });
    const promoted = await callOperation(bus, operations.promoteCredential, app, { ...ids, session_id: sessionId });
    await this.#decide(connectionId, (state, nowMs) =>
      domain.completeAuthorization(
        {
          ...{ sessionId, endUserDigest: 'digest', accountDigest: null, nowMs },
          credentialVersion: promoted.credential_version,
          grantedScopes: promoted.granted_scopes,
          accessTokenExpiresAtMs: promoted.access_token_expires_at_ms,
          hasRefreshToken: promoted.has_refresh_token,
        },
        state,
      ),
    );
    const token = Secret.from(tokenSet.refreshToken ?? '');
    if (revokedAtAcme) await found.client.revoke({ token, hint: 'refresh_token' });
    return { connectionId, firstToken: tokenFingerprint(tokenSet.refreshToken ?? ''), accessTokenExpiresAtMs };
  }

  async #decide(
    connectionId: string,
    decide: (state: domain.Connection, nowMs: number) => ConnectionEvent[],
  ): Promise<void> {
    const { session, bus } = this.#stage;
    const key = JSON.parse(readFileSync(session.folder.signingKeyFile('authorization'), 'utf8')) as SigningPrivateJwk;
    const repository = new Repository<domain.Connection, ConnectionEvent>({
      log: new JetStreamEventLog({ bus, stream: 'connections' }),
      evolver: domain.connectionEvolver,
      reader: session.reader,
      upcast: domain.upcast,
      signer: commitSigner('authorization', key),
      source: '/postern/authorization',
    });
    const origin = { actor: { type: 'service', id: 'authorization' } as const, correlationId: newId('correlation') };
    const ref = { tenantId: session.defaultTenantId, id: connectionId };
    await repository.execute(ref, (state, { nowMs }) => decide(state, nowMs), { ...origin, fromLeader: true });
  }

  #sealedToVault(tokenSet: TokenSet): string {
    const recipient = readTrust(this.#stage.session.folder).recipients.vault;
    if (recipient === undefined) throw new Error('the trust bundle has no vault');
    return sealJwe({ recipient, plaintext: Buffer.from(JSON.stringify(tokenSet), 'utf8') });
  }
}

/** Goes through Acme's pages as Ada, with a browser of its own, so that each connection has its own family of tokens. */
export async function authorize(provider: ProviderClient, backTo = redirectUri): Promise<TokenSet> {
  const [state, nonce] = [randomToken(), randomToken()];
  const { codeVerifier, codeChallenge } = pkcePair();
  const url = await provider.authorizationUrl({ redirectUri: backTo, state, codeChallenge, scopes, nonce });
  const { email: user, password } = acmeAccounts.ada;
  const journey = { user, password, decision: 'allow' as const, returnUrl: backTo };
  const arrival = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
  const callback = await provider.readCallback({ parameters: arrival.searchParams, expectedState: state });
  if (callback.kind !== 'code') throw new Error('Acme denied');
  const exchange = { callback, redirectUri: backTo, codeVerifier, nonce, requestedScopes: scopes };
  const outcome = await provider.exchangeCode(exchange);
  if (outcome.kind !== 'exchanged') throw new Error(`not exchanged: ${outcome.error}`);
  return outcome.tokenSet;
}
