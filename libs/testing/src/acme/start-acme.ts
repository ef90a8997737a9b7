import { generateKeyPair, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { RequestListener, Server, ServerResponse } from 'node:http';
import { promisify } from 'node:util';

import type { Provider } from 'oidc-provider';

import { closeServer, listenOnLoopback } from '../loopback.ts';
import { AccountBook, acmeAccounts } from './acme-accounts.ts';
import type { AcmeAccount } from './acme-accounts.ts';
import { acmeApi } from './acme-api.ts';
import { addClient } from './acme-clients.ts';
import type { AcmeClient, AcmeClientRegistration } from './acme-clients.ts';
import { acmeConfiguration, type AcmeDetailTypes, type MeetsClients } from './acme-configuration.ts';
import { acmeConnectedApps } from './acme-connected-apps.ts';
import { acmeControl } from './acme-control.ts';
import { AcmeFaults } from './acme-faults.ts';
import { AcmeIdentities } from './acme-identities.ts';
import { acmeInteractions } from './acme-interactions.ts';
import { AcmeMeter } from './acme-meter.ts';
import { MtlsDoor, silently, type AcmeMtls } from './acme-mtls.ts';
import type { AcmeCounts, AcmeTokenCall } from './acme-meter.ts';
import { AcmeSecurityEvents } from './acme-security-events.ts';
import { AcmeStore } from './acme-store.ts';
import { addTokenExchange } from './acme-token-exchange.ts';
import { acmeWatch } from './acme-watch.ts';
import { loadProvider } from './load-provider.ts';

const accessTokenTtlSDefault = 10;
const refreshTokenTtlSDefault = 14 * 24 * 3600;

export interface AcmeOptions {
  /** A free one when absent. */
  readonly port?: number;
  /** Whole seconds, at least 1; 10 when absent. */
  readonly accessTokenTtlS?: number;
  /** Whole seconds; 14 days when absent. */
  readonly refreshTokenTtlS?: number;
  /** Wants a nonce of its own in each proof of a key; takes proofs without one when absent. @source RFC 9449 §8 */
  readonly dpopNonces?: boolean;
  /** Ada and Grace (`acmeAccounts`) when absent. */
  readonly accounts?: readonly AcmeAccount[];
  /** Lets whoever knows it steer this Acme over `POST /_control`; without it there is no such endpoint. */
  readonly controlToken?: string;
  /** It takes clients that it meets for the first time; absent: only those that a developer registered. */
  readonly meetsClients?: MeetsClients;
  /** The issuer whose users it takes for its own when that asserts their identity to it; nobody's when absent. */
  readonly trustsIdentitiesOf?: string;
  /** Which authorization details it takes; none when absent. @source RFC 9396 */
  readonly detailTypes?: AcmeDetailTypes;
  /** It is reached over TLS alone, and knows clients by their certificates. @source RFC 8705 */
  readonly mtls?: AcmeMtls;
}

/** A running Acme CRM: authorization server, contacts API and account pages behind one origin. */
export interface Acme {
  /** The issuer identifier, which is also the origin; metadata stands under `/.well-known/`. */
  readonly issuer: string;
  readonly port: number;
  readonly endpoints: AcmeEndpoints;
  readonly accounts: readonly AcmeAccount[];
  readonly faults: AcmeFaults;
  readonly securityEvents: AcmeSecurityEvents;
  /** Registers an app, as its developer would. @throws when oidc-provider refuses the metadata. */
  registerClient(registration: AcmeClientRegistration): Promise<AcmeClient>;
  /** @effect holds for access tokens issued from now on. */
  setAccessTokenTtl(seconds: number): void;
  /** What this server itself has counted. */
  counts(): AcmeCounts;
  /** Every call at the token endpoint, oldest first, without secrets. */
  tokenCalls(): AcmeTokenCall[];
  /** What authorization requests said that were pushed and taken, oldest first. */
  pushedRequests(): Readonly<Record<string, string | undefined>>[];
  /** What another server of its own house may know of a token; undefined where it is not alive. */
  tokenOf(value: string): Promise<AcmeToken | undefined>;
  /** What was asked for where certificates are asked for, oldest first. */
  mtlsPaths(): string[];
  /** A place there. */
  mtlsUrl(path: string): string;
  close(): Promise<void>;
}

/** An access token that lives. */
export interface AcmeToken {
  readonly clientId: string;
  readonly scopes: readonly string[];
  /** Absent where it is for Acme itself. @source RFC 8707 §2 */
  readonly audience: string | undefined;
  readonly expiresAtS: number;
}

/** Where the parts of an Acme are found, for configuration that does not use discovery. */
export interface AcmeEndpoints {
  readonly authorization: string;
  readonly token: string;
  readonly revocation: string;
  readonly introspection: string;
  readonly userinfo: string;
  readonly contacts: string;
  /** A service further down, for which only tokens of its own are good. */
  readonly invoices: string;
  readonly connectedApps: string;
  /** The keys of its security events. */
  readonly securityEventKeys: string;
}

/**
 * Starts Acme CRM on the loopback: the third party of the demo and of tests, with a real authorization server in it.
 *
 * PKCE (S256) is required, access tokens are opaque and short-lived, refresh tokens rotate at each use, and one
 * that comes a second time ends its whole family, unless the client was registered under another rule. State lives in
 * memory and belongs to this Acme alone.
 *
 * @source RFC 6749, RFC 7636, RFC 7009, RFC 7662, RFC 9207
 */
export async function startAcme(options: AcmeOptions = {}): Promise<Acme> {
  let handle: RequestListener = notYet;
  const answer: RequestListener = (request, response) => handle(request, response);
  const { mtls } = options;
  const server =
    mtls === undefined
      ? createServer(answer)
      : createTlsServer({ cert: mtls.server.certificate, key: mtls.server.privateKey }, answer);
  const door = mtls && new MtlsDoor(mtls, answer);
  await door?.open();
  const port = await listenOnLoopback(server, options.port);
  try {
    const issuer = `${mtls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
    const { acme, provider } = await assemble(issuer, { server, door }, options);
    handle = provider.callback();
    return acme;
  } catch (error) {
    await Promise.all([closeServer(server), door?.close()]);
    throw error;
  }
}

async function assemble(
  issuer: string,
  { server, door }: { readonly server: Server; readonly door: MtlsDoor | undefined },
  options: AcmeOptions,
) {
  const { Provider, errors } = await loadProvider();
  const accounts = options.accounts ?? Object.values(acmeAccounts);
  const book = new AccountBook(accounts);
  const store = new AcmeStore(errors.InvalidGrant);
  const meter = new AcmeMeter();
  const faults = new AcmeFaults();
  const securityEvents = await AcmeSecurityEvents.make(issuer);
  const cookieKey = randomBytes(32).toString('base64url');
  let accessTokenTtlS = checkedTtl(options.accessTokenTtlS ?? accessTokenTtlSDefault);

  const { privateKey: signingKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  const { trustsIdentitiesOf: trusts } = options;

  const configuration = acmeConfiguration({
    store,
    accounts: book,
    cookieKey,
    refreshTokenTtlS: checkedTtl(options.refreshTokenTtlS ?? refreshTokenTtlSDefault),
    accessTokenTtlS: () => accessTokenTtlS,
    meetsClients: options.meetsClients,
    invalidTarget: errors.InvalidTarget,
    dpopNonces: options.dpopNonces ?? false,
    invalidRequest: errors.InvalidRequest,
    mtls: options.mtls && door && { options: options.mtls, door },
    signingKey,
    metadata: AcmeIdentities.metadata(trusts),
    detailTypes: options.detailTypes,
  });
  const provider: Provider = new Provider(issuer, configuration);
  const identities = new AcmeIdentities({ issuer, signingKey, accounts: book, errors, trusts });
  identities.addGrant(provider);
  addTokenExchange(provider, { errors, identities });

  const acme: Acme = {
    issuer,
    port: Number(new URL(issuer).port),
    endpoints: endpointsOf(issuer),
    accounts,
    faults,
    securityEvents,
    registerClient: async (registration) => {
      const client = await addClient(provider, store, registration);
      identities.know(client.clientId, registration.clientsElsewhere ?? {});
      return client;
    },
    setAccessTokenTtl: (seconds) => void (accessTokenTtlS = checkedTtl(seconds)),
    counts: () => meter.counts(),
    tokenCalls: () => meter.tokenCalls(),
    pushedRequests: () => meter.pushedRequests(),
    tokenOf: (value) => tokenOf(provider, value),
    mtlsPaths: () => [...(door?.paths ?? [])],
    mtlsUrl: (path) => `${door?.origin ?? ''}${path}`,
    close: async () => {
      faults.clear();
      await Promise.all([closeServer(server), door?.close()]);
    },
  };

  if (options.mtls?.silent === true) provider.use(silently);
  provider.use(acmeWatch(meter, faults, store));
  provider.use(securityEvents.keysAt(acme.endpoints.securityEventKeys));
  provider.use(acmeControl(() => acme, options.controlToken));
  provider.use(acmeInteractions(provider, book));
  provider.use(acmeConnectedApps({ provider, accounts: book, store, cookieKey }));
  provider.use(acmeApi(provider, book));
  provider.on('server_error', (ctx, error) => console.error(`Acme failed at ${ctx.method} ${ctx.path}:`, error));
  return { acme, provider };
}

async function tokenOf(provider: Provider, value: string): Promise<AcmeToken | undefined> {
  const token = (await ofUser(provider, value)) ?? (await provider.ClientCredentials.find(value));
  if (token === undefined) return undefined;
  const { clientId, scopes, aud, exp } = token;
  return { clientId, scopes: [...scopes], audience: typeof aud === 'string' ? aud : aud?.[0], expiresAtS: exp };
}

async function ofUser(provider: Provider, value: string) {
  const token = await provider.AccessToken.find(value);
  return token && (await provider.Grant.find(token.grantId)) ? token : undefined;
}

function notYet(_request: unknown, response: ServerResponse): void {
  response.writeHead(503).end();
}

function endpointsOf(issuer: string): AcmeEndpoints {
  return {
    authorization: `${issuer}/auth`,
    token: `${issuer}/token`,
    revocation: `${issuer}/token/revocation`,
    introspection: `${issuer}/token/introspection`,
    userinfo: `${issuer}/me`,
    contacts: `${issuer}/api/contacts`,
    invoices: `${issuer}/api/invoices`,
    connectedApps: `${issuer}/account/apps`,
    securityEventKeys: `${issuer}/security-events/jwks`,
  };
}

function checkedTtl(seconds: number): number {
  if (!Number.isSafeInteger(seconds) || seconds < 1)
    throw new RangeError(`a lifetime is whole seconds ≥ 1: ${seconds}`);
  return seconds;
}
