import { timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';

import { ensureTls } from '@postern/servers';

import { readText } from '../acme/http-body.ts';
import type { AssertionProfile } from './assertion-profile.ts';
import type { InstalledApp } from './github-installations.ts';
import type { KeyProfile, MadeSecret } from './key-profile.ts';
import type { ProfileRequest, ProviderProfile } from './profile.ts';
import type { GrantReport } from './profile-book.ts';
import { ProfileServer, type ProfileComplaint } from './profile-server.ts';

/** A client of ours as a simulated provider has registered it. */
export interface ProfileRegistration {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** What may be asked of simulated providers beside what the real ones offer. */
export interface ProviderControl {
  registerClient(profileId: string, redirectUri: string): Promise<ProfileRegistration>;
  /** Somebody makes a credential by hand. */
  makeSecret(keyProfileId: string): Promise<MadeSecret>;
  /** Somebody deletes it at the provider. */
  endSecret(keyProfileId: string, made: MadeSecret): Promise<void>;
  /** Somebody installs an app whose key this is. */
  installApp(publicJwk: object): Promise<InstalledApp>;
  /** Somebody removes it. */
  uninstallApp(installationId: string): Promise<void>;
  /** Somebody gives a key to the provider, which an administrator approves. @returns the client id */
  registerKey(assertionProfileId: string, publicJwk: object): Promise<string>;
  /** The administrator takes that back. */
  withdrawApproval(clientId: string): Promise<void>;
  /** Where the provider sends its notices for this client, and what it signs them with. */
  setWebhook(clientId: string, webhook: { url: string; secret: string }): Promise<void>;
  /** Who authorized this client last. */
  latestGrant(clientId: string): Promise<GrantReport>;
  grant(number: number): Promise<GrantReport>;
  /**
   * A person takes the app's access away; `silently`, and no notice is sent.
   *
   * @returns the status that the receiver of the notice answered with; null when none was sent.
   */
  takeAway(number: number, how: { silently: boolean }): Promise<number | null>;
  /** Why requests were refused, oldest first. */
  complaints(): Promise<readonly ProfileComplaint[]>;
}

export type ProviderOrder = {
  [Name in keyof ProviderControl]: { readonly do: Name; readonly with: Parameters<ProviderControl[Name]> };
}[keyof ProviderControl];

/** The providers of this machine and the way to them. */
export interface ProviderInternet extends ProviderControl {
  /** An HTTP proxy (`CONNECT`) that leads to the simulated providers and nowhere else. */
  readonly proxyUrl: string;
  /** Who signed their certificates. */
  readonly caPath: string;
  close(): Promise<void>;
}

export interface ProviderInternetOptions {
  readonly profiles: readonly ProviderProfile[];
  /** None when absent. */
  readonly keyProfiles?: readonly KeyProfile[];
  /** None when absent. */
  readonly assertionProfiles?: readonly AssertionProfile[];
  /** For certificates. */
  readonly dataDir: string;
  /** Lets the holder give orders at `POST /_control` of the proxy; nobody may when absent. */
  readonly controlToken?: string;
}

/**
 * Plays a part of the Internet: providers under their own names, over TLS, behind an HTTP proxy.
 *
 * Whoever goes through the proxy and trusts its authority meets the addresses that stand in the catalog, and no line of the
 * catalog has to be changed for it. A host that no profile has is refused and complained about.
 */
export async function startProviderInternet(options: ProviderInternetOptions): Promise<ProviderInternet> {
  const { profiles, keyProfiles = [], assertionProfiles = [], dataDir, controlToken } = options;
  const places = [
    ...[...keyProfiles, ...assertionProfiles].map(({ api }) => api.at),
    ...assertionProfiles.map(({ token }) => token.at),
  ];
  const hosts = new Set([...profiles.flatMap(hostsOf), ...places.map((at) => new URL(at).hostname)]);
  const { caPath, certPath, keyPath } = await ensureTls(
    dataDir,
    [...hosts].map((host) => `DNS:${host}`),
  );
  const server = new ProfileServer(profiles, keyProfiles, assertionProfiles);
  const secure = createTlsServer({ cert: readFileSync(certPath), key: readFileSync(keyPath) }, (request, response) => {
    void reply(server, request, response);
  });
  const control = controlOf(server, { profiles, keyProfiles, assertionProfiles });
  const proxy = createServer((request, response) => void obey(request, response, { control, controlToken }));
  await Promise.all([listening(secure), listening(proxy)]);
  const { port } = secure.address() as AddressInfo;
  const sockets = new Set<Socket>();
  proxy.on('connection', (socket: Socket) => sockets.add(socket));
  proxy.on('connect', ({ url = '' }: IncomingMessage, client: Socket, head: Buffer) => {
    client.on('error', () => client.destroy());
    if (!url.endsWith(':443') || !hosts.has(url.slice(0, -':443'.length))) {
      server.complain(null, url, 'no provider has this address');
      client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    const inner = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      inner.write(head);
      inner.pipe(client).pipe(inner);
    });
    inner.on('error', () => client.destroy());
  });
  return {
    proxyUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    caPath,
    ...control,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([closed(secure), closed(proxy)]);
    },
  };
}

/** Every host on which a profile has something. */
function hostsOf({ authorization, token, api, routes }: ProviderProfile): string[] {
  return [authorization.at, token.at, api.at, ...routes.map(({ at }) => at)].map((at) => new URL(at).hostname);
}

function controlOf(
  server: ProfileServer,
  {
    profiles,
    keyProfiles,
    assertionProfiles,
  }: Required<Pick<ProviderInternetOptions, 'profiles' | 'keyProfiles' | 'assertionProfiles'>>,
): ProviderControl {
  const { book, asserting } = server;
  const known = <T>(value: T | undefined, what: string): T => {
    if (value === undefined) throw new Error(`there is no such ${what}`);
    return value;
  };
  const keyProfile = (id: string) => keyProfiles.find((one) => one.id === id);
  return {
    registerClient: (profileId, redirectUri) => {
      const profile = known(
        profiles.find(({ id }) => id === profileId),
        'profile',
      );
      const { clientId, clientSecret } = book.register(profile, redirectUri);
      return Promise.resolve({ clientId, clientSecret });
    },
    makeSecret: (id) => Promise.resolve(server.makeSecret(known(keyProfile(id), 'profile of keys'))),
    endSecret: (id, made) => {
      known(server.endSecret(known(keyProfile(id), 'profile of keys'), made) || undefined, 'secret');
      return Promise.resolve();
    },
    installApp: (publicJwk) => Promise.resolve(server.installations.install(publicJwk)),
    uninstallApp: (id) => {
      known(server.installations.uninstall(id) || undefined, 'installation');
      return Promise.resolve();
    },
    registerKey: (id, publicJwk) => {
      const profile = assertionProfiles.find((one) => one.id === id);
      return Promise.resolve(asserting.register(known(profile, 'profile of assertions'), publicJwk));
    },
    withdrawApproval: (clientId) => {
      known(asserting.withdraw(clientId) || undefined, 'client');
      return Promise.resolve();
    },
    setWebhook: (clientId, webhook) => {
      known(book.client(clientId), 'client').webhook = webhook;
      return Promise.resolve();
    },
    latestGrant: (clientId) => {
      const { number } = known(book.latest(clientId), 'grant');
      return Promise.resolve(known(book.report(number), 'grant'));
    },
    grant: (number) => Promise.resolve(known(book.report(number), 'grant')),
    takeAway: async (number, { silently }) => {
      const grant = known(book.grant(number), 'grant');
      const client = known(book.client(grant.clientId), 'client');
      book.endGrant(grant);
      const notice = await client.profile.notice?.(grant);
      if (silently || notice === undefined || client.webhook === null) return null;
      const { url, secret } = client.webhook;
      const body = typeof notice.body === 'string' ? notice.body : JSON.stringify(notice.body);
      const headers = { 'content-type': 'application/json', ...(await notice.headers(body, secret)) };
      const answer = await fetch(url, { method: 'POST', headers, body });
      await answer.body?.cancel();
      return answer.status;
    },
    complaints: () => Promise.resolve([...server.complaints]),
  };
}

async function obey(
  request: IncomingMessage,
  response: ServerResponse,
  { control, controlToken }: { control: ProviderControl; controlToken: string | undefined },
): Promise<void> {
  const say = (status: number, body: object) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  const shown = Buffer.from(request.headers.authorization ?? '');
  const wanted = Buffer.from(`Bearer ${controlToken ?? ''}`);
  const isAllowed =
    controlToken !== undefined && shown.byteLength === wanted.byteLength && timingSafeEqual(shown, wanted);
  if (request.method !== 'POST' || request.url !== '/_control' || !isAllowed) return say(403, { error: 'not allowed' });
  try {
    const { do: name, with: given } = JSON.parse(await readText(request)) as ProviderOrder;
    const act = control[name] as (...given: unknown[]) => Promise<unknown>;
    return say(200, { result: (await act(...given)) ?? null });
  } catch (error) {
    return say(400, { error: error instanceof Error ? error.message : String(error) });
  }
}

async function reply(server: ProfileServer, message: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { status, body, headers } = await server.answer(await requestOf(message));
    const type = body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' };
    response.writeHead(status, { ...type, 'cache-control': 'no-store', ...headers });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  } catch (error) {
    server.complain(null, message.url ?? '', error instanceof Error ? error.message : String(error));
    response.writeHead(500).end();
  }
}

async function requestOf(message: IncomingMessage): Promise<ProfileRequest> {
  const { headers, method = 'GET' } = message;
  const text = await readText(message);
  const type = headers['content-type'] ?? '';
  const format = type.startsWith('application/x-www-form-urlencoded')
    ? 'form'
    : type.startsWith('application/json')
      ? 'json'
      : 'none';
  const { authorization = '' } = headers;
  return {
    ...{ method, format, members: membersOf(text, format) },
    url: new URL(`https://${headers.host ?? ''}${message.url ?? '/'}`),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value?.toString()])),
    bearer: authorization.startsWith('Bearer ') ? authorization.slice('Bearer '.length) : null,
    basic: basicOf(authorization),
  };
}

/** What stands twice is refused by standing for nothing. @source RFC 6749 §3.2 */
function membersOf(text: string, format: ProfileRequest['format']): Record<string, string> {
  if (format === 'json') {
    const body = JSON.parse(text) as Record<string, unknown>;
    return Object.fromEntries(
      Object.entries(body).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
    );
  }
  const form = new URLSearchParams(format === 'form' ? text : '');
  return Object.fromEntries([...form].filter(([name]) => form.getAll(name).length === 1));
}

/** @source RFC 6749 §2.3.1: both are form-encoded first, which those who do not know of it do not undo for what needs none. */
function basicOf(authorization: string): ProfileRequest['basic'] {
  if (!authorization.startsWith('Basic ')) return null;
  const [user = '', ...rest] = Buffer.from(authorization.slice('Basic '.length), 'base64').toString().split(':');
  const decoded = (text: string) => decodeURIComponent(text.replaceAll('+', ' '));
  return { user: decoded(user), password: decoded(rest.join(':')) };
}

async function listening(server: Server): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve());
  });
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
