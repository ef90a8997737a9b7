import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  administratorToken,
  DeviceCode,
  errorTable,
  isPosternError,
  limits,
  newId,
  operations,
  TokenSet,
  type ReplyOf,
  type AdministratorJwk,
  type AdminEvent,
  type ConnectionEvent,
} from '@postern/contracts';
import { generateSealingKey, generateSigningKey, opener, randomToken, sealJwe } from '@postern/crypto';
import {
  addAdministrator,
  approvalEvolver,
  changePolicy,
  completeAuthorization,
  connectionEvolver,
  createPlatform,
  createRegistration,
  createTenant,
  disablePlatform,
  disableRegistration,
  governanceEvolver,
  grantApproval,
  platformEvolver,
  recordRefreshRejected,
  registrationEvolver,
  releaseRefreshToken,
  requestApproval,
  requireClaims,
  revokeConnection,
  startCodeExchange,
  startDeviceAuthorization,
  startRefresh,
  tenantEvolver,
  type Connection,
} from '@postern/domain';
import {
  CommitReader,
  commitSigner,
  commitVerifier,
  Repository,
  signAsAdministrator,
  type Evolver,
} from '@postern/event-log';
import {
  callOperation,
  connectBus,
  createOperator,
  endpoint,
  identityCreds,
  JetStreamEventLog,
  platformCreds,
  provision,
  serveOperations,
  serverOperatorConfig,
  type Bus,
  type OperatorBundle,
  type RequestInput,
} from '@postern/nats';
import { describeWithServer, freePort, startNatsServer, type NatsServer } from '@postern/servers';
import { Clock, startService, type RunningService } from '@postern/service';
import {
  acmeAccounts,
  acmeEnterUserCode,
  acmeLoginAndConsent,
  ScriptedBrowser,
  startAcme,
  startPlatformSite,
  waitFor,
  type Acme,
  type AcmeClient,
  type BrowserPage,
  type PlatformSite,
} from '@postern/testing';

import { authorizationService } from './index.ts';
import { SessionIndex } from './sessions/session-index.ts';

const scopes = ['openid', 'offline_access', 'contacts:read'];
const tenantId = newId('tenant');
const otherTenantId = newId('tenant');
const platformId = newId('platform');
const otherPlatformId = newId('platform');
const registrationId = newId('registration');
/** Servers, keys and streams on a busy machine. */
const startTimeoutMs = 180_000;
const ours = { tenantId, platformId };
const writers = ['authorization', 'administrator', 'revocation', 'refresh', 'vault'] as const;
const keys = new Map(writers.map((name) => [name, { signing: generateSigningKey(), sealing: generateSealingKey() }]));
const keysOf = (name: (typeof writers)[number]) => keys.get(name) ?? fail(`no keys of ${name}`);
const trust = {
  writers: Object.fromEntries(writers.map((name) => [name, [keysOf(name).signing.publicJwk]])),
  recipients: { vault: keysOf('vault').sealing.publicJwk, authorization: keysOf('authorization').sealing.publicJwk },
};

function fail(reason: string): never {
  throw new Error(reason);
}

async function refused(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isPosternError(error)) return error.code;
    throw error;
  }
  return 'not refused';
}

/** What the form of our page must repeat. */
function tokenOf({ forms }: BrowserPage): string {
  return forms[0]?.fields.find(({ name }) => name === 'form_token')?.value ?? '';
}

/** Stands in for apps/vault on its own NATS identity; what it is sent it really opens. */
class VaultInMemory {
  readonly pending = new Map<string, TokenSet>();
  readonly promoted = new Map<string, number>();
  /** By session. */
  readonly deviceCodes = new Map<string, DeviceCode>();
  clientSecret = '';
  refusesToStore = 0;

  endpoints() {
    const { sealing } = keysOf('vault');
    const { open } = opener(sealing.privateJwk);
    return [
      endpoint(operations.storeDeviceCode, ({ session_id: sessionId, sealed_device_code: sealed }) => {
        const deviceCode = DeviceCode.parse(JSON.parse(open(sealed).plaintext.toString('utf8')));
        if (!this.deviceCodes.has(sessionId)) this.deviceCodes.set(sessionId, deviceCode);
        return {};
      }),
      endpoint(operations.releaseDeviceCode, ({ session_id: sessionId }) => ({
        sealed_device_code: sealJwe({
          recipient: trust.recipients.authorization,
          plaintext: Buffer.from(JSON.stringify(this.deviceCodes.get(sessionId) ?? fail('no device code'))),
        }),
      })),
      endpoint(operations.releaseClientSecret, () => ({
        sealed_secret: sealJwe({
          recipient: trust.recipients.authorization,
          plaintext: Buffer.from(this.clientSecret),
        }),
        secret_version: 1,
      })),
      endpoint(operations.storeCredential, ({ bought_by: boughtBy, sealed_token_set: sealed }) => {
        if (this.refusesToStore > 0) {
          this.refusesToStore -= 1;
          throw Object.assign(new Error('the database is away'));
        }
        this.pending.set(boughtBy, TokenSet.parse(JSON.parse(open(sealed).plaintext.toString('utf8'))));
        return { credential_id: newId('credential'), credential_version: null };
      }),
      endpoint(operations.promoteCredential, ({ session_id: sessionId, connection_id: connectionId }) => {
        const tokenSet = this.pending.get(sessionId) ?? fail('nothing is pending');
        const known = [...this.promoted].filter(([key]) => key.startsWith(connectionId)).length;
        const version = this.promoted.get(`${connectionId}/${sessionId}`) ?? known + 1;
        this.promoted.set(`${connectionId}/${sessionId}`, version);
        return {
          credential_id: newId('credential'),
          credential_version: version,
          access_token_expires_at_ms: tokenSet.accessTokenExpiresAtMs,
          granted_scopes: tokenSet.grantedScopes,
          has_refresh_token: tokenSet.refreshToken !== null,
        };
      }),
    ];
  }
}

await describeWithServer('nats-server', 'authorization', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-authorization-'));
  const buses: Bus[] = [];
  const vault = new VaultInMemory();
  const logLines: string[] = [];
  let server: NatsServer;
  let bundle: OperatorBundle;
  let acme: Acme;
  let acmeClient: AcmeClient;
  let site: PlatformSite;
  let service: RunningService;
  let publicUrl: string;
  let platform: Bus;
  let otherPlatform: Bus;
  let administrator: Bus;
  let vaultService: { stop(): Promise<void> };
  let browser: ScriptedBrowser;

  const reader = new CommitReader({ verifier: commitVerifier(trust) });
  const connected = async (identity: string, creds: string) => {
    const bus = await connectBus({ servers: server.url, creds, identity, name: `spec ${identity}` });
    buses.push(bus);
    return bus;
  };
  const identities = new Map<string, Promise<Bus>>();
  const asIdentity = (name: (typeof writers)[number] | 'provisioner') => {
    const bus = identities.get(name) ?? identityCreds(bundle, name).then((creds) => connected(name, creds));
    identities.set(name, bus);
    return bus;
  };

  function repositoryOf<State, Event extends ConnectionEvent | AdminEvent>(
    bus: Bus,
    writer: (typeof writers)[number],
    evolver: Evolver<State, Event>,
  ): Repository<State, Event> {
    const stream = evolver.kind === 'connection' ? 'connections' : 'admin';
    const signer = commitSigner(writer, keysOf(writer).signing.privateJwk);
    return new Repository({ log: new JetStreamEventLog({ bus, stream }), evolver, reader, signer, source: '/spec' });
  }

  const origin = { correlationId: newId('correlation') };

  async function administer<State, Event extends AdminEvent>(
    evolver: Evolver<State, Event>,
    ref: { tenantId: string; id: string },
    decide: (state: State) => readonly Event[],
  ): Promise<void> {
    const repository = repositoryOf(administrator, 'administrator', evolver);
    await repository.execute(ref, decide, { actor: { type: 'administrator' }, ...origin });
  }

  async function createRegistrationAt(
    id: string,
    more: { providerId?: string; tenantId?: string; scopes?: string[]; issuer?: string } = {},
  ) {
    const { providerId = 'openid-connect', tenantId: owner = tenantId, scopes: offered = scopes } = more;
    const { issuer = acme.issuer } = more;
    const data = {
      providerId,
      displayName: 'Acme <CRM>',
      clientId: acmeClient.clientId,
      tokenEndpointAuthMethod: 'client_secret_basic' as const,
      parameters: providerId === 'openid-connect' ? { issuer } : {},
      scopes: offered,
    };
    await administer(registrationEvolver, { tenantId: owner, id }, (state) => createRegistration(data, state));
  }

  beforeAll(async () => {
    bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    await provision(await asIdentity('provisioner'));
    publicUrl = `http://127.0.0.1:${await freePort()}`;
    site = await startPlatformSite();
    acme = await startAcme({
      detailTypes: { payment: (asked) => asked, files: (asked) => ({ type: asked.type, actions: ['read'] }) },
    });
    acmeClient = await acme.registerClient({
      redirectUris: [`${publicUrl}/oauth/callback/${registrationId}`],
      clientCredentials: true,
      deviceFlow: true,
    });
    vault.clientSecret = acmeClient.clientSecret ?? '';
    vaultService = await serveOperations(await asIdentity('vault'), {
      name: 'vault',
      version: '0.1.0',
      endpoints: vault.endpoints(),
    });
    administrator = await asIdentity('administrator');
    for (const id of [tenantId, otherTenantId]) {
      await administer(tenantEvolver, { tenantId: id, id }, (state) => createTenant({ name: 'T' }, state));
    }
    for (const [id, name] of [
      [platformId, 'Agents & Co'],
      [otherPlatformId, 'Others'],
    ] as const) {
      const data = { name, returnUrls: [site.returnUrl, `${site.returnUrl}?keep=me`] };
      await administer(platformEvolver, { tenantId, id }, (state) => createPlatform(data, state));
    }
    await createRegistrationAt(registrationId);
    const credsOf = async (id: string) => (await platformCreds(bundle, { tenantId, platformId: id })).creds;
    platform = await connected(platformId, await credsOf(platformId));
    otherPlatform = await connected(otherPlatformId, await credsOf(otherPlatformId));
    service = await startService(authorizationService, await environment(), {
      logDestination: { write: (line) => void logLines.push(line) },
    });
  }, startTimeoutMs);

  afterAll(async () => {
    await service?.stop();
    await vaultService?.stop();
    await Promise.all(buses.map((bus) => bus.drain()));
    await site?.close();
    await acme?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => {
    browser = new ScriptedBrowser();
  });
  afterEach(() => {
    delete (service.get(Clock) as { nowMs?: unknown }).nowMs;
    acme.faults.clear();
  });

  async function environment(): Promise<Record<string, string>> {
    const secretFile = (name: string, content: string) => {
      const path = join(folder, name);
      writeFileSync(path, content);
      chmodSync(path, 0o600);
      return path;
    };
    mkdirSync(folder, { recursive: true });
    return {
      POSTERN_NATS_URL: server.url,
      POSTERN_NATS_CREDS_FILE: secretFile('creds', await identityCreds(bundle, 'authorization')),
      POSTERN_TRUST_FILE: secretFile('trust.json', JSON.stringify(trust)),
      POSTERN_SIGNING_KEY_FILE: secretFile('signing', JSON.stringify(keysOf('authorization').signing.privateJwk)),
      POSTERN_SEALING_KEY_FILE: secretFile('sealing', JSON.stringify(keysOf('authorization').sealing.privateJwk)),
      POSTERN_COOKIE_KEY_FILE: secretFile('cookie', randomToken(32)),
      POSTERN_DIGEST_KEY_FILE: secretFile('digest', randomToken(32)),
      POSTERN_HTTP_PORT: new URL(publicUrl).port,
      POSTERN_PUBLIC_URL: publicUrl,
      POSTERN_ALLOW_LOOPBACK_PROVIDERS: 'true',
      POSTERN_LOG_LEVEL: 'debug',
    };
  }

  const connect = async (more: Partial<RequestInput<typeof operations.startSession>> = {}) => {
    const reply = await callOperation(platform, operations.startSession, ours, {
      registration_id: registrationId,
      end_user: 'user-1',
      return_url: site.returnUrl,
      ...more,
    });
    return { ...reply, connect_url: reply.connect_url ?? '' };
  };
  const reauthorize = async (
    request: RequestInput<typeof operations.reauthorize>,
    { bus = platform, as = platformId } = {},
  ) => {
    const reply = await callOperation(bus, operations.reauthorize, { tenantId, platformId: as }, request);
    return { ...reply, connect_url: reply.connect_url ?? '' };
  };
  const complete = (
    session: string,
    code: string | undefined,
    { bus = platform, as = platformId, user = 'user-1' } = {},
  ) =>
    callOperation(
      bus,
      operations.completeSession,
      { tenantId, platformId: as },
      { session_id: session, code, end_user: user },
    );

  const journey = { user: acmeAccounts.ada.email, password: acmeAccounts.ada.password };
  async function goThrough(url: string, decision: 'allow' | 'deny' = 'allow') {
    const arrival = await acmeLoginAndConsent(browser, url, { ...journey, decision, returnUrl: site.returnUrl });
    const { session_id: sessionId = '', code = '', error } = Object.fromEntries(arrival.searchParams);
    return { sessionId, code, error, arrival };
  }

  /** Goes to the provider and stops in front of our callback. */
  async function untilCallback(url: string): Promise<URL> {
    const returnUrl = `${publicUrl}/oauth/callback/${registrationId}`;
    return acmeLoginAndConsent(browser, url, { ...journey, decision: 'allow', returnUrl });
  }

  async function eventsOf(connectionId: string): Promise<{ type: string; data: Record<string, unknown> }[]> {
    const repository = repositoryOf(administrator, 'administrator', connectionEvolver);
    const events = [];
    for await (const { commit } of repository.history({ tenantId, id: connectionId })) events.push(...commit.events);
    return events;
  }
  const typesOf = async (connectionId: string) => (await eventsOf(connectionId)).map(({ type }) => type);
  const connectionOf = async (sessionId: string) =>
    (await service.get(SessionIndex).find(sessionId))?.connectionId ?? fail('the session is not known');

  const establish = (
    more: Partial<RequestInput<typeof operations.establish>> = {},
    { bus = platform, as = platformId } = {},
  ) =>
    callOperation(
      bus,
      operations.establish,
      { tenantId, platformId: as },
      { registration_id: registrationId, grant: { type: 'client_credentials' }, ...more },
      { timeoutMs: 30_000 },
    );

  test('a registration that asks for what its provider does not have is refused before it is made', async () => {
    const check = (provider: string, parameters: Record<string, string>) => {
      const registration = { provider, parameters, dpop_bound_access_tokens: true };
      return callOperation(administrator, operations.checkRegistration, { app: 'administrator' }, registration);
    };
    expect(await check('openid-connect', { issuer: acme.issuer })).toEqual({});
    expect(await refused(check('linear', {}))).toBe('provider.feature_unsupported');
    expect(await refused(check('openid-connect', {}))).toBe('request.malformed');
  });

  describe('establishing without a browser', () => {
    test('client credentials bring a token that is stored, promoted and recorded, and no refresh token', async () => {
      const reply = await establish({ scopes: ['contacts:read'] });
      expect(reply).toMatchObject({ scope: ['contacts:read'], freshness: { health: 'ok' } });
      const events = await eventsOf(reply.connection_id);
      expect(events.map(({ type }) => type)).toEqual(['EstablishmentStarted', 'ConnectionAuthorized']);
      expect(events[0]?.data).toMatchObject({ grant: 'client_credentials', endUserDigest: null });
      const { providerVersion } = events[0]?.data ?? {};
      expect(providerVersion).toBeGreaterThan(0);
      expect(events[1]?.data['providerVersion']).toBe(providerVersion);
      expect(events[1]?.data).toMatchObject({
        grant: 'client_credentials',
        hasRefreshToken: false,
        credentialVersion: 1,
      });
      const tokenSet = vault.pending.get(String(events[0]?.data['sessionId']));
      expect(tokenSet).toMatchObject({ renewal: { grant: 'client_credentials', scopes: ['contacts:read'] } });
      expect(logLines.join('')).not.toContain(tokenSet?.accessToken ?? fail('nothing was stored'));
    });

    test('the same key again asks nobody, and answers with the same connection', async () => {
      const first = await establish({ idempotency_key: 'crm-1', end_user: 'user-1' });
      const calls = acme.tokenCalls().length;
      const again = await establish({ idempotency_key: 'crm-1', end_user: 'user-1' });
      expect(again).toMatchObject({ connection_id: first.connection_id, position: first.position });
      expect(acme.tokenCalls()).toHaveLength(calls);
      expect(await refused(establish({ idempotency_key: 'crm-1', end_user: 'user-2' }))).toBe(
        'connection.establish_key_used',
      );
      const theirs = await establish({ idempotency_key: 'crm-1' }, { bus: otherPlatform, as: otherPlatformId });
      expect(theirs.connection_id).not.toBe(first.connection_id);
    });

    test('is made anew in place, and by no other platform', async () => {
      const { connection_id: id } = await establish();
      await revoke(id);
      expect(await refused(establish({ connection_id: id }, { bus: otherPlatform, as: otherPlatformId }))).toBe(
        'connection.not_found',
      );
      expect(await refused(callOperation(platform, operations.reauthorize, ours, { connection_id: id }))).toBe(
        'connection.unattended',
      );
      await refusedPage(`${publicUrl}/connect/${id}`, 'session.not_found');
      expect(await establish({ connection_id: id })).toMatchObject({ connection_id: id, freshness: { health: 'ok' } });
      expect((await typesOf(id)).at(-1)).toBe('ConnectionReauthorized');
    });

    test('what the provider refuses is told in its words, leaves nothing to lease, and may be tried again', async () => {
      const secret = vault.clientSecret;
      vault.clientSecret = 'not-the-secret';
      expect(await refused(establish({ idempotency_key: 'crm-2' }))).toBe('provider.client_rejected');
      vault.clientSecret = secret;
      const { connection_id: id } = await establish({ idempotency_key: 'crm-2' });
      expect(await typesOf(id)).toEqual([
        ...['EstablishmentStarted', 'AuthorizationDenied', 'EstablishmentStarted', 'ConnectionAuthorized'],
      ]);
    });

    test('a secret that was made by hand is read only from a seal for this tenant, and is nowhere else', async () => {
      const gong = newId('registration');
      const data = { providerId: 'gong-api-key', displayName: 'Gong', clientId: 'gong-api-key', parameters: {} };
      await administer(registrationEvolver, { tenantId, id: gong }, (state) =>
        createRegistration({ ...data, tokenEndpointAuthMethod: 'none', scopes: [] }, state),
      );
      const sealed = (secret: unknown, { ten = tenantId, recipient = trust.recipients.authorization } = {}) => ({
        type: 'static' as const,
        sealed_secret: sealJwe({
          ...{ recipient, plaintext: Buffer.from(JSON.stringify(secret)) },
          protectedHeader: { cty: 'application/json', ten },
        }),
      });
      const adopt = (grant: ReturnType<typeof sealed>, more: object = {}) =>
        refused(establish({ registration_id: gong, grant, ...more }));
      const pair = { username: 'KEY', password: 'the-secret-of-gong' };
      expect(await adopt(sealed(pair, { ten: newId('tenant') }))).toBe('request.malformed');
      expect(await adopt(sealed(pair, { recipient: trust.recipients.vault }))).toBe('request.malformed');
      expect(await adopt(sealed({ api_key: 'the-secret-of-gong' }))).toBe('request.malformed');
      expect(await adopt(sealed({ password: 'the-secret-of-gong' }))).toBe('request.malformed');
      expect(await adopt(sealed(pair), { scopes: ['read'] })).toBe('request.malformed');
      expect(await refused(establish({ grant: sealed(pair) }))).toBe('provider.flow_unsupported');
      expect(await refused(connect({ registration_id: gong }))).toBe('provider.flow_unsupported');
      expect(logLines.join('')).not.toContain('the-secret-of-gong');
    });

    test('what is not offered, reserved, or no platform’s is refused before anything is written or asked', async () => {
      const calls = acme.tokenCalls().length;
      expect(await refused(establish({ scopes: ['contacts:write'] }))).toBe('session.scope_unknown');
      const parameters = { client_secret: 'x' };
      expect(await refused(establish({ grant: { type: 'client_credentials', parameters } }))).toBe('request.malformed');
      await createRegistrationAt(newId('registration'), { providerId: 'linear', scopes: ['read'] });
      expect(await refused(establish({ registration_id: undefined, provider: 'linear' }))).toBe(
        'provider.flow_unsupported',
      );
      const asked = { registration_id: registrationId, grant: { type: 'client_credentials' as const } };
      const asAdministrator = callOperation(
        administrator,
        operations.establish,
        { tenantId, platformId: administratorToken },
        asked,
      );
      expect(await refused(asAdministrator)).toBe('request.malformed');
      expect(acme.tokenCalls()).toHaveLength(calls);
    });
  });

  async function revoke(id: string): Promise<void> {
    await repositoryOf(await asIdentity('revocation'), 'revocation', connectionEvolver).execute(
      { tenantId, id },
      (state) => revokeConnection({ cause: 'requested_by_platform', reason: null }, state),
      { actor: { type: 'platform', id: platformId }, ...origin },
    );
  }

  async function refusedPage(url: string | URL, code: keyof typeof errorTable, who = browser): Promise<void> {
    const page = await who.open(url);
    expect(page.text).toContain(`Error code ${code}`);
    expect(page.status).toBe(errorTable[code].status);
    expect(page.headers.get('content-type')).toContain('text/html');
  }

  async function connectedOnce(user = 'user-1') {
    const { connect_url: url } = await connect({ end_user: user });
    const { sessionId, code } = await goThrough(url);
    return { sessionId, code, ...(await complete(sessionId, code, { user })) };
  }

  async function act(
    writer: 'revocation' | 'refresh' | 'vault' | 'authorization',
    id: string,
    decide: (state: Connection) => ConnectionEvent[],
  ) {
    const repository = repositoryOf(await asIdentity(writer), writer, connectionEvolver);
    await repository.execute({ tenantId, id }, decide, { actor: { type: 'service', id: writer }, ...origin });
  }

  async function endedByProvider(id: string): Promise<void> {
    const claimId = newId('claim');
    const nowMs = Date.now();
    const start = { claimId, claimTimeoutMs: 30_000, reason: 'requested', nowMs } as const;
    await act('refresh', id, (state) => startRefresh(start, state));
    await act('vault', id, (state) => releaseRefreshToken({ claimId, nowMs }, state));
    const verdict = { claimId, error: 'invalid_grant', errorDescription: null, httpStatus: 400, nowMs };
    await act('refresh', id, (state) => recordRefreshRejected(verdict, state));
  }

  describe('importing', () => {
    const importing = (
      rows: readonly object[],
      { bus = platform, as = platformId, ...more }: { bus?: Bus; as?: string; dry_run?: boolean } = {},
    ): Promise<ReplyOf<typeof operations.importConnections>> =>
      callOperation(
        bus,
        operations.importConnections,
        { tenantId, platformId: as },
        { rows: rows as RequestInput<typeof operations.importConnections>['rows'], ...more },
        { timeoutMs: 60_000 },
      ).catch((error: unknown) => {
        // A feed that stands still on a busy machine: nothing was begun.
        if (!isPosternError(error) || error.code !== 'service.not_ready') throw error;
        return importing(rows, { bus, as, ...more });
      });
    const sealedTokens = (tokens: object, { ten = tenantId, recipient = trust.recipients.authorization } = {}) =>
      sealJwe({ recipient, plaintext: Buffer.from(JSON.stringify(tokens)), protectedHeader: { ten } });
    const ended = '2020-01-01T00:00:00Z';
    /** Held with a refresh token alone: nobody is asked about it before it counts. */
    const resting = (reference = newId('claim'), more: object = {}) => ({
      ...{ reference, registration_id: registrationId, end_user: 'user-1', scopes: ['contacts:read'] },
      sealed_tokens: sealedTokens({
        access_token: `at ${reference}`,
        refresh_token: `rt ${reference}`,
        expires_at: ended,
      }),
      ...more,
    });
    const idsOf = async (rows: readonly object[]) =>
      (await importing(rows, { dry_run: true })).rows.map(({ connection_id: id }) => id ?? fail('refused'));
    const standing = async (ids: readonly string[]) => await Promise.all(ids.map((id) => typesOf(id)));
    const whole = ['EstablishmentStarted', 'ConnectionAuthorized'];

    test('every row becomes a connection with its tokens, in one batch, and the same again makes nothing', async () => {
      const rows = Array.from({ length: 30 }, () => resting());
      const ids = await idsOf(rows);
      expect(await standing(ids)).toEqual(ids.map(() => []));
      const { rows: taken, position } = await importing(rows);
      expect(taken).toEqual(
        rows.map(({ reference }, index) => ({
          ...{ reference, connection_id: ids[index], outcome: 'imported', code: null, reason: null },
        })),
      );
      expect(await standing(ids)).toEqual(ids.map(() => whole));
      const connections = repositoryOf(administrator, 'administrator', connectionEvolver);
      const loaded = await Promise.all(ids.map((id) => connections.load({ tenantId, id }, { fromLeader: true })));
      const positions = loaded.map((one) => one.position).toSorted((one, other) => one - other);
      expect(positions).toEqual(ids.map((_, index) => (position ?? 0) - ids.length + 1 + index));
      for (const { state } of loaded) {
        expect(state).toMatchObject({
          authorization: 'authorized',
          credential: { grant: 'imported', hasRefreshToken: true, accessTokenExpiresAtMs: Date.parse(ended) },
        });
      }
      const boughtBy = loaded[7]?.state.credential?.boughtBy ?? '';
      expect(vault.pending.get(boughtBy)).toMatchObject({
        refreshToken: `rt ${rows[7]?.reference}`,
        tokenType: 'Bearer',
      });
      const again = await importing([...rows, resting()]);
      expect(again.rows.map(({ outcome }) => outcome)).toEqual([...rows.map(() => 'existing'), 'imported']);
      expect(await standing(ids)).toEqual(ids.map(() => whole));
    });

    test('a living token is tried at the provider, which says whose it is; a dead one refuses the whole import', async () => {
      const { connect_url: url } = await connect();
      const { sessionId, code } = await goThrough(url);
      await complete(sessionId, code);
      const tokens = vault.pending.get(sessionId) ?? fail('nothing was stored');
      const living = resting('living', { sealed_tokens: sealedTokens({ access_token: tokens.accessToken }) });
      const dead = resting('dead', { sealed_tokens: sealedTokens({ access_token: 'nobody-gave-this' }) });
      const tried = await importing([living, dead], { dry_run: true });
      expect(tried.rows).toMatchObject([{ outcome: 'importable' }, { outcome: 'refused', code: 'provider.rejected' }]);
      const [id = ''] = tried.rows.map((row) => row.connection_id ?? '');
      expect(await refused(importing([living, dead]))).toBe('connection.import_refused');
      const broken = resting('broken', { sealed_tokens: sealedTokens({ access_token: 'no token at all' }) });
      expect(await refused(importing([living, broken]))).toBe('connection.import_refused');
      expect(await typesOf(id)).toEqual([]);
      expect((await importing([{ ...living, subject: 'ada', return_url: site.returnUrl }])).rows).toMatchObject([
        { outcome: 'imported', connection_id: id },
      ]);
      const [, authorized] = await eventsOf(id);
      expect(authorized?.data).toMatchObject({
        grant: 'imported',
        accountDigest: expect.any(String),
        hasRefreshToken: false,
      });
    });

    test('one row that is not in order refuses all, by its number and code', async () => {
      const good = resting();
      const [id = ''] = await idsOf([good]);
      const bad: [object, string][] = [
        [resting(good.reference), 'request.malformed'],
        [resting('same-token', { sealed_tokens: good.sealed_tokens }), 'request.malformed'],
        [resting('unknown-scope', { scopes: ['contacts:all'] }), 'session.scope_unknown'],
        [resting('elsewhere', { return_url: 'https://elsewhere.example' }), 'session.return_url_unknown'],
        [resting('not-ours', { registration_id: newId('registration') }), 'registration.not_found'],
        [
          resting('ended', { sealed_tokens: sealedTokens({ access_token: 'x', expires_at: ended }) }),
          'request.malformed',
        ],
        [
          resting('theirs', { sealed_tokens: sealedTokens({ access_token: 'x' }, { ten: otherTenantId }) }),
          'request.malformed',
        ],
        [
          resting('stolen', {
            sealed_tokens: sealedTokens({ access_token: 'x' }, { recipient: trust.recipients.vault }),
          }),
          'request.malformed',
        ],
        [resting('no-tokens', { sealed_tokens: sealedTokens({ refresh_token: 'x' }) }), 'request.malformed'],
      ];
      const tried = await importing([good, ...bad.map(([row]) => row)], { dry_run: true });
      expect(tried.rows.map(({ code }) => code)).toEqual([null, ...bad.map(([, code]) => code)]);
      for (const [row, code] of bad) {
        const error = await importing([good, row]).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({
          code: 'connection.import_refused',
          details: { fields: [{ path: 'rows[1]', reason: expect.stringMatching(`^${code}: `) }] },
        });
      }
      expect(await typesOf(id)).toEqual([]);
      expect(await refused(importing([]))).toBe('request.malformed');
      const tooMany = Array.from({ length: limits.importRowsMax + 1 }, () => ({ ...good, sealed_tokens: 'a.b.c.d.e' }));
      expect(await refused(importing(tooMany))).toBe('request.malformed');
      await importing([good]);
      const other = await importing([{ ...good, end_user: 'user-2' }], { dry_run: true });
      expect(other.rows).toMatchObject([{ outcome: 'refused', code: 'connection.establish_key_used' }]);
      const theirs = await importing([good], { bus: otherPlatform, as: otherPlatformId, dry_run: true });
      expect(theirs.rows).toMatchObject([{ outcome: 'importable' }]);
      expect(theirs.rows[0]?.connection_id).not.toBe(id);
    });

    test('a vault that stays away leaves none of them, and the same rows are taken when it is back', async () => {
      const rows = Array.from({ length: 5 }, () => resting());
      const ids = await idsOf(rows);
      vault.refusesToStore = 100;
      expect(await refused(importing(rows))).toBe('service.internal');
      vault.refusesToStore = 0;
      expect(await standing(ids)).toEqual(ids.map(() => ['EstablishmentStarted', 'AuthorizationDenied']));
      expect((await importing(rows)).rows.map(({ outcome }) => outcome)).toEqual(rows.map(() => 'imported'));
      expect(await standing(ids)).toEqual(ids.map(() => ['EstablishmentStarted', 'AuthorizationDenied', ...whole]));
    });

    test('of two that want the same at once, each row is imported once', async () => {
      const rows = Array.from({ length: 8 }, () => resting());
      const ids = await idsOf(rows);
      const outcomes = await Promise.all([importing(rows), importing(rows)].map((one) => refused(one)));
      await importing(rows);
      expect(outcomes).toEqual(outcomes.map((code) => (code === 'not refused' ? code : 'session.superseded')));
      const types = await standing(ids);
      for (const each of types) expect(each.filter((type) => type === 'ConnectionAuthorized')).toHaveLength(1);
    });

    test('no token of an import stands in a log line or in the log', async () => {
      const row = resting('marked-reference');
      const [id = ''] = await idsOf([row]);
      await importing([row]);
      const told = logLines.join('') + JSON.stringify(await eventsOf(id));
      for (const secret of ['at marked-reference', 'rt marked-reference', 'marked-reference'])
        expect(told).not.toContain(secret);
    });
  });

  describe('a user code', () => {
    const byCode = (more: Partial<RequestInput<typeof operations.startSession>> = {}) =>
      connect({ grant: 'device_code', ...more });
    const codeOf = (sessionId: string) => vault.deviceCodes.get(sessionId) ?? fail('no device code is kept');
    /** On another device than the browser of the session. */
    const enter = async (sessionId: string, decision: 'allow' | 'deny' = 'allow') => {
      const { userCode, verificationUri } = codeOf(sessionId);
      await acmeEnterUserCode(new ScriptedBrowser(), verificationUri, { userCode, ...journey, decision });
    };
    const until: { until: (url: URL) => boolean } = { until: ({ href }) => href.startsWith(site.returnUrl) };
    const backWith = (url: string) =>
      waitFor(
        async () => {
          const page = await browser.open(url, until);
          return page.stopped ? Object.fromEntries(new URL(page.url).searchParams) : undefined;
        },
        { timeoutMs: 60_000, describe: 'the page did not go on' },
      );
    const completedWhenGranted = (sessionId: string) =>
      waitFor(
        async () => {
          const outcome = complete(sessionId, undefined);
          const code = await refused(outcome);
          if (code === 'session.code_invalid') return undefined;
          return await outcome;
        },
        { timeoutMs: 60_000, describe: 'the session was not granted' },
      );

    test('is shown to one browser, entered on another device, and completed by the platform', async () => {
      const { connect_url: url, session_id: sessionId } = await byCode();
      const first = await browser.open(url);
      expect(first.text).toContain('You will be shown a code');
      const shown = await browser.submit(first);
      const { userCode, verificationUri, deviceCode } = codeOf(sessionId);
      expect(shown.text).toContain(userCode);
      expect(shown.text).toContain(verificationUri);
      expect(shown.body).toMatch(/<meta http-equiv="refresh" content="5" \/>/);
      expect((await browser.submit(first)).text).toContain(userCode);
      await refusedPage(url, 'session.already_used', new ScriptedBrowser());
      expect(await refused(complete(sessionId, undefined))).toBe('session.code_invalid');

      await enter(sessionId);
      const { code = '', session_id: returned } = await backWith(url);
      expect(returned).toBe(sessionId);
      expect(await refused(complete(sessionId, code, { user: 'user-2' }))).toBe('session.end_user_mismatch');
      const completed = await complete(sessionId, code);
      expect(completed).toMatchObject({ freshness: { health: 'ok' } });
      const events = await eventsOf(completed.connection_id);
      expect(events.map(({ type }) => type).filter((type) => type !== 'DevicePollingStarted')).toEqual([
        ...['AuthorizationStarted', 'DeviceAuthorizationStarted', 'DeviceAuthorizationGranted', 'ConnectionAuthorized'],
      ]);
      expect(events.at(-1)?.data).toMatchObject({
        ...{ grant: 'device_code', hasRefreshToken: true, accountDigest: expect.stringMatching(/^.{43}$/) },
      });
      const told = `${JSON.stringify(events)}${logLines.join('')}`;
      for (const secret of [userCode, deviceCode, 'user_code=']) expect(told).not.toContain(secret);
    });

    test('is shown by a platform that has no browser, to the user whom it completes the session for', async () => {
      const started = await byCode({ return_url: undefined });
      const { session_id: sessionId, device_authorization: device } = started;
      expect(started.connect_url).toBe('');
      const { userCode, verificationUri } = codeOf(sessionId);
      expect(device).toMatchObject({ user_code: userCode, verification_uri: verificationUri });
      expect(await refused(complete(sessionId, undefined))).toBe('session.code_invalid');
      await enter(sessionId);
      const completed = await completedWhenGranted(sessionId);
      const other = { bus: otherPlatform, as: otherPlatformId };
      expect(await refused(complete(sessionId, undefined, other))).toBe('session.not_found');
      expect(await refused(complete(sessionId, undefined, { user: 'user-2' }))).toBe('session.end_user_mismatch');
      expect(await complete(sessionId, undefined)).toMatchObject({ connection_id: completed.connection_id });

      await revoke(completed.connection_id);
      await refusedPage(`${publicUrl}/connect/${completed.connection_id}`, 'session.not_found');
      const again = await callOperation(platform, operations.reauthorize, ours, {
        connection_id: completed.connection_id,
      });
      await enter(again.session_id);
      await completedWhenGranted(again.session_id);
      expect((await typesOf(completed.connection_id)).at(-1)).toBe('ConnectionReauthorized');
    });

    test('that is refused ends the session, and the page says so', async () => {
      const { connect_url: url, session_id: sessionId } = await byCode();
      await browser.submit(await browser.open(url));
      await enter(sessionId, 'deny');
      expect(await backWith(url)).toEqual({ session_id: sessionId, error: 'access_denied' });
      const denied = (await eventsOf(await connectionOf(sessionId))).at(-1);
      expect(denied).toMatchObject({ type: 'AuthorizationDenied', data: { error: 'access_denied' } });
    });

    test('is asked about more slowly once the provider has trouble', async () => {
      acme.faults.set({ tokenEndpoint: { status: 503, times: 1 } });
      const { session_id: sessionId } = await byCode({ return_url: undefined });
      const slower = () =>
        eventsOf(codeConnection).then((events) => events.find(({ data }) => data['intervalS'] === 2));
      const codeConnection = await connectionOf(sessionId);
      await waitFor(slower, { timeoutMs: 60_000, describe: 'it was not asked more slowly' });
      await enter(sessionId);
      await completedWhenGranted(sessionId);
    });

    test('is asked about by this process when the one that did is not heard of any more', async () => {
      const { session_id: sessionId } = await byCode();
      const id = await connectionOf(sessionId);
      // Another process had the code, and was killed a moment ago.
      const body = new URLSearchParams({ scope: scopes.join(' ') });
      const basic = Buffer.from(`${acmeClient.clientId}:${vault.clientSecret}`).toString('base64');
      const headers = { authorization: `Basic ${basic}` };
      const given = await fetch(`${acme.issuer}/device/auth`, { method: 'POST', headers, body });
      const {
        device_code: deviceCode,
        user_code: userCode,
        verification_uri: verificationUri,
      } = (await given.json()) as Record<string, string>;
      const deviceCodeExpiresAtMs = Date.now() + 600_000;
      vault.deviceCodes.set(
        sessionId,
        DeviceCode.parse({ deviceCode, userCode, verificationUri, expiresAtMs: deviceCodeExpiresAtMs }),
      );
      const nowMs = Date.now();
      const asking = { sessionId, pollerId: 'another', pollingUntilMs: nowMs - 4_000, intervalS: 1 };
      await act('authorization', id, (state) =>
        startDeviceAuthorization({ ...asking, deviceCodeExpiresAtMs, nowMs }, state),
      );
      await enter(sessionId);
      const types = () => typesOf(id).then((all) => all.find((type) => type === 'DeviceAuthorizationGranted'));
      await waitFor(types, { timeoutMs: 60_000, describe: 'nobody took over' });
      const taken = (await eventsOf(id)).filter(({ type }) => type === 'DevicePollingStarted');
      expect(taken).toHaveLength(1);
      expect(taken[0]?.data['pollerId']).not.toBe('another');
    });

    test('is not given where the provider’s file does not say so, nor without a place to go back to', async () => {
      const id = newId('registration');
      await createRegistrationAt(id, { providerId: 'linear', scopes: ['read'] });
      expect(await refused(byCode({ registration_id: id, scopes: ['read'] }))).toBe('provider.flow_unsupported');
      expect(await refused(connect({ return_url: undefined }))).toBe('request.malformed');
      expect(await refused(byCode({ return_url: 'https://evil.example/' }))).toBe('session.return_url_unknown');
    });
  });

  describe('the story', () => {
    test('a session, our page, the provider, the callback and the completion make a connection', async () => {
      const started = await connect({ scopes: ['openid', 'offline_access', 'contacts:read'] });
      expect(started.connect_url).toBe(`${publicUrl}/connect/${started.session_id}`);
      const { sessionId, code } = await goThrough(started.connect_url);
      expect(sessionId).toBe(started.session_id);
      const connectionId = await connectionOf(sessionId);
      expect(await typesOf(connectionId)).toEqual(['AuthorizationStarted', 'CodeExchangeStarted']);

      const completed = await complete(sessionId, code);
      expect(completed).toMatchObject({ connection_id: connectionId, freshness: { health: 'ok' } });
      expect(completed.scope.toSorted()).toEqual(scopes.toSorted());
      const events = await eventsOf(connectionId);
      expect(events.map(({ type }) => type)).toEqual([
        'AuthorizationStarted',
        'CodeExchangeStarted',
        'ConnectionAuthorized',
      ]);
      expect(events[2]?.data).toMatchObject({ credentialVersion: 1, accountDigest: expect.stringMatching(/^.{43}$/) });
      expect(JSON.stringify(events)).not.toMatch(/user-1|ada/i);
    });

    test('completing again by the same platform for the same user answers the same', async () => {
      const { sessionId, code, ...first } = await connectedOnce();
      expect(await complete(sessionId, code)).toEqual(first);
      expect(await typesOf(first.connection_id)).toHaveLength(3);
    });

    test('the page says who connects what to whom, escaped, without scripts, and cannot be framed', async () => {
      const { connect_url: url } = await connect();
      const page = await browser.open(url);
      expect(page.text).toContain('Connect Acme <CRM> to Agents & Co');
      expect(page.text).toContain('contacts:read');
      expect(page.body).not.toMatch(/<script|<CRM>/i);
      expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
      expect(browser.cookies.list()).toEqual([
        expect.objectContaining({ name: 'postern_page', httpOnly: true, sameSite: 'lax', path: new URL(url).pathname }),
      ]);
    });

    test('a return_url keeps its own query', async () => {
      const { connect_url: url } = await connect({ return_url: `${site.returnUrl}?keep=me` });
      const { arrival } = await goThrough(url);
      expect(arrival.searchParams.get('keep')).toBe('me');
    });

    test('the only registration at a provider need not be named', async () => {
      expect((await connect({ registration_id: undefined, provider: 'openid-connect' })).session_id).toMatch(/^ses_/);
    });

    test('denied consent ends the session and goes back to the platform with the error', async () => {
      const { connect_url: url } = await connect();
      const { sessionId, code, error } = await goThrough(url, 'deny');
      expect({ code, error }).toEqual({ code: '', error: 'access_denied' });
      const connectionId = await connectionOf(sessionId);
      expect((await eventsOf(connectionId)).at(-1)).toMatchObject({
        type: 'AuthorizationDenied',
        data: { stage: 'authorization', error: 'access_denied' },
      });
      await refusedPage(url, 'session.denied');
    });

    test('a connection that the provider has ended is authorized again in place, by its link', async () => {
      const { connection_id: id } = await connectedOnce();
      await refusedPage(`${publicUrl}/connect/${id}`, 'session.not_found');
      await endedByProvider(id);
      const { sessionId, code } = await goThrough(`${publicUrl}/connect/${id}`);
      expect(await complete(sessionId, code)).toMatchObject({ connection_id: id });
      expect((await typesOf(id)).slice(-3)).toEqual([
        'AuthorizationStarted',
        'CodeExchangeStarted',
        'ConnectionReauthorized',
      ]);
      await refusedPage(`${publicUrl}/connect/${id}`, 'session.not_found');
    });

    test('another account at the provider does not take the place of the one that was connected', async () => {
      const { connection_id: id } = await connectedOnce();
      const before = (await eventsOf(id)).at(-1);
      const again = async () => await reauthorize({ connection_id: id });
      const grace = { user: acmeAccounts.grace.email, password: acmeAccounts.grace.password };
      const arrival = await acmeLoginAndConsent(new ScriptedBrowser(), (await again()).connect_url, {
        ...{ ...grace, decision: 'allow', returnUrl: site.returnUrl },
      });
      const { session_id: sessionId = '', code, error } = Object.fromEntries(arrival.searchParams);
      expect({ code, error }).toEqual({ code: undefined, error: 'another_account' });
      expect((await eventsOf(id)).at(-1)).toMatchObject({
        type: 'AuthorizationDenied',
        data: { sessionId, stage: 'exchange', error: 'another_account' },
      });
      expect(vault.pending.has(sessionId)).toBe(false);
      const ada = await goThrough((await again()).connect_url);
      expect(await complete(ada.sessionId, ada.code)).toMatchObject({ connection_id: id });
      const { accountDigest } = (await eventsOf(id)).at(-1)?.data ?? {};
      expect(accountDigest).toBe(before?.data['accountDigest']);
    });

    test('claims that the provider wanted go with the next authorization request, and with none after that', async () => {
      const { connection_id: id } = await connectedOnce();
      const claims = '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}';
      await act('revocation', id, (state) => requireClaims({ credentialVersion: 1, claims }, state));
      const asked = async () => {
        const { connect_url: url } = await reauthorize({ connection_id: id });
        const page = await fetch(url);
        const cookie = page.headers.getSetCookie().map((line) => line.split(';', 1)[0]);
        const [, token = ''] = /name="form_token" value="([^"]+)"/.exec(await page.text()) ?? [];
        const left = await fetch(url, {
          method: 'POST',
          redirect: 'manual',
          headers: { cookie: cookie.join('; ') },
          body: new URLSearchParams({ form_token: token }),
        });
        expect(left.status).toBe(302);
        const { claims = null, code_challenge_method: challenge } = acme.pushedRequests().at(-1) ?? {};
        return { url, claims, challenge };
      };
      const first = await asked();
      expect(first).toMatchObject({ claims, challenge: 'S256' });
      const { sessionId, code } = await goThrough(first.url);
      expect(await complete(sessionId, code)).toMatchObject({ freshness: { health: 'ok' } });
      expect(await asked()).toMatchObject({ claims: null });
    });

    test('what exactly was asked for goes to the provider and to the vault, and the log has types and a digest', async () => {
      const iban = 'DE40100100103307118608';
      const payment = { type: 'payment', creditor: { iban } };
      const files = { type: 'files', actions: ['read', 'write'] };
      const details = async (...asked: { type: string }[]) => {
        const started = await connect({ authorization_details: asked });
        const [page = ''] = started.connect_url.split('?');
        const { sessionId, code } = await goThrough(started.connect_url);
        const told = vault.pending.get(sessionId)?.authorizationDetails;
        const { connection_id: id } = await complete(sessionId, code);
        const events = await eventsOf(id);
        expect(JSON.stringify([started, events])).not.toContain(iban);
        const [, digest] = [events[0]?.data['authorizationDetails'], events.at(-1)?.data['authorizationDetails']];
        return { id, page, told, asked: events[0]?.data['authorizationDetails'], granted: digest };
      };
      const first = await details(payment);
      expect(first.told).toEqual([payment]);
      expect(first.asked).toEqual({ types: ['payment'], digest: expect.stringMatching(/^.{43}$/) });
      expect(first.granted).toEqual({ ...(first.asked as object), asRequested: true });
      const other = await details({ ...payment, creditor: { iban: 'DE02' } } as { type: string });
      expect(other.asked).not.toEqual(first.asked);
      const second = await details(files, payment);
      expect(second.told).toEqual([{ type: 'files', actions: ['read'] }, payment]);
      expect(second.granted).toMatchObject({ types: ['files', 'payment'], asRequested: false });
      await endedByProvider(first.id);
      await refusedPage(`${publicUrl}/connect/${first.id}`, 'session.not_found');
    });

    test('nobody is sent to the provider without the details of the session, or with a type that it does not take', async () => {
      const leave = async (url: string) => {
        const page = await fetch(url);
        const cookie = page.headers.getSetCookie().map((line) => line.split(';', 1)[0]);
        const [, token = ''] = /name="form_token" value="([^"]+)"/.exec(await page.text()) ?? [];
        const body = new URLSearchParams({ form_token: token });
        const left = await fetch(url, {
          method: 'POST',
          redirect: 'manual',
          headers: { cookie: cookie.join('; ') },
          body,
        });
        return [left.status, await left.text()] as const;
      };
      const [one, other] = [await connect({ authorization_details: [{ type: 'files' }] }), await connect({})];
      const [page = ''] = one.connect_url.split('?');
      const foreign = await connect({ authorization_details: [{ type: 'payment' }] });
      for (const url of [page, `${page}?details=x`, `${page}?${foreign.connect_url.split('?')[1] ?? ''}`]) {
        expect(await leave(url)).toEqual([400, expect.stringContaining('request.malformed')]);
      }
      const [ownStatus] = await leave(one.connect_url);
      const [plainStatus] = await leave(other.connect_url);
      expect([ownStatus, plainStatus]).toEqual([302, 302]);
      const photos = await connect({ authorization_details: [{ type: 'photos' }] });
      expect((await leave(photos.connect_url))[1]).toContain('provider.feature_unsupported');
      const withCode = connect({ grant: 'device_code', authorization_details: [{ type: 'files' }] });
      expect(await refused(withCode)).toBe('request.malformed');
    });

    test('a platform, or an administrator for it, begins a re-authorization', async () => {
      const { connection_id: id } = await connectedOnce();
      await act('revocation', id, (state) => revokeConnection({ cause: 'requested_by_platform', reason: null }, state));
      const request = { connection_id: id };
      const first = await reauthorize(request);
      const second = await reauthorize(request, { bus: administrator, as: administratorToken });
      await refusedPage(first.connect_url, 'session.superseded');
      const { sessionId, code } = await goThrough(second.connect_url);
      expect(await complete(sessionId, code)).toMatchObject({ connection_id: id, freshness: { health: 'ok' } });
    });

    test('more is consented to in place; the credential of before serves until the new one is there', async () => {
      const { session_id: began, connect_url: url } = await connect({ scopes: ['openid', 'offline_access'] });
      const { code: firstCode } = await goThrough(url);
      const { connection_id: id } = await complete(began, firstCode);
      const stateNow = async () => {
        const repository = repositoryOf(administrator, 'administrator', connectionEvolver);
        const { authorization, credential } = (await repository.load({ tenantId, id })).state;
        return { authorization, version: credential?.version, scopes: credential?.grantedScopes };
      };
      const before = { authorization: 'authorized', version: 1, scopes: ['openid', 'offline_access'] };
      expect(await stateNow()).toEqual(before);
      const request = { connection_id: id, scopes };
      const { connect_url: again } = await callOperation(platform, operations.reauthorize, ours, request);
      expect(await stateNow()).toEqual(before);
      const { sessionId, code } = await goThrough(again ?? '');
      expect(await stateNow()).toEqual(before);
      await complete(sessionId, code);
      expect(await stateNow()).toEqual({ authorization: 'authorized', version: 2, scopes });
    });

    test('a token endpoint that fails ends the session, and the platform hears of it', async () => {
      const { connect_url: url } = await connect();
      acme.faults.set({ tokenEndpoint: { status: 500 } });
      const { sessionId, error } = await goThrough(url);
      expect(error).toBe('exchange_failed');
      expect((await eventsOf(await connectionOf(sessionId))).at(-1)).toMatchObject({
        type: 'AuthorizationDenied',
        data: { stage: 'exchange', error: 'temporarily_unavailable' },
      });
    });

    test('a vault that comes back in time loses nothing', async () => {
      const { connect_url: url } = await connect();
      vault.refusesToStore = 2;
      const { sessionId, code } = await goThrough(url);
      expect(await complete(sessionId, code)).toMatchObject({ freshness: { health: 'ok' } });
    });
  });

  test('a vault that stays away ends the session in a denial, since the code is spent', async () => {
    const { connect_url: url } = await connect();
    vault.refusesToStore = Infinity;
    const { sessionId, error } = await goThrough(url);
    vault.refusesToStore = 0;
    expect(error).toBe('exchange_failed');
    expect((await eventsOf(await connectionOf(sessionId))).at(-1)?.data).toMatchObject({ error: 'not_stored' });
    await refusedPage(url, 'session.denied');
  });

  describe('capabilities instead of scopes', () => {
    const id = newId('registration');
    const asking = (capabilities: string[], more: { scopes?: string[] } = {}) =>
      connect({ registration_id: id, capabilities, ...more });
    beforeAll(() => createRegistrationAt(id, { providerId: 'linear', scopes: ['read', 'write', 'issues:create'] }));

    test('the least of the offered scopes is asked for', async () => {
      const { session_id: sessionId } = await asking(['issues.create', 'comments.read']);
      const [started] = await eventsOf(await connectionOf(sessionId));
      expect(started?.data['requestedScopes']).toEqual(['read', 'issues:create']);
    });

    test('what no offered scope allows is refused, and so are both at once', async () => {
      expect(await refused(asking(['organization.write']))).toBe('provider.capability_unknown');
      expect(await refused(connect({ capabilities: ['contacts.read'] }))).toBe('provider.capability_unknown');
      expect(await refused(asking(['issues.create'], { scopes: ['read'] }))).toBe('request.malformed');
      expect(await refused(asking(['Everything']))).toBe('request.malformed');
    });
  });

  describe('what is of high risk', () => {
    const id = newId('registration');
    const linear = ['read', 'write', 'issues:create', 'comments:create'];
    beforeAll(() => createRegistrationAt(id, { providerId: 'linear', scopes: linear }));

    /** A connection at a provider that is not here, with these scopes. */
    async function connectedWith(grantedScopes: string[]): Promise<string> {
      const { session_id: sessionId } = await connect({ registration_id: id, scopes: grantedScopes });
      const connectionId = await connectionOf(sessionId);
      const endUserDigest = String((await eventsOf(connectionId))[0]?.data['endUserDigest']);
      const nowMs = Date.now();
      const told = { sessionId, credentialVersion: 1, grantedScopes, accountDigest: null, hasRefreshToken: false };
      const command = { ...told, accessTokenExpiresAtMs: null, endUserDigest, nowMs };
      await act('authorization', connectionId, (state) => startCodeExchange({ sessionId, nowMs }, state));
      await act('authorization', connectionId, (state) => completeAuthorization(command, state));
      return connectionId;
    }
    const widen = async (connectionId: string, wanted: object) =>
      await callOperation(platform, operations.reauthorize, ours, { connection_id: connectionId, ...wanted });

    test('is not added to a connection without such, and has one of its own', async () => {
      const low = await connectedWith(['read', 'issues:create']);
      expect(await refused(widen(low, { capabilities: ['issues.read', 'issues.delete'] }))).toBe(
        'connection.high_risk',
      );
      expect((await typesOf(low)).at(-1)).toBe('ConnectionAuthorized');
      await widen(low, { scopes: ['read', 'issues:create', 'comments:create'] });
      await connect({ registration_id: id, capabilities: ['issues.delete'] });
      await widen(await connectedWith(['read', 'write']), { scopes: linear });
    });
  });

  describe('a tenant that demands approvals', () => {
    const governed = newId('tenant');
    const desk = newId('platform');
    const registered = { id: newId('registration'), provider: 'linear' };
    const people = [0, 1].map(() => ({ administratorId: newId('administrator'), ...generateSigningKey() }));
    type Signing = Parameters<typeof signAsAdministrator>[0];
    let bus: Bus;

    const signedBy = (n: number, decision: Omit<Signing, 'tenantId' | 'data'>, data: object) => {
      const who = people[n] ?? fail('nobody');
      const whole = { tenantId: governed, ...decision, data: { ...data } };
      return { administratorId: who.administratorId, signature: signAsAdministrator(whole, who.privateJwk) };
    };
    const governing = (n: number, type: string, data: object) =>
      signedBy(n, { aggregate: 'governance', aggregateId: governed, type }, data);
    const approving = (n: number, type: string, data: object) =>
      signedBy(n, { aggregate: 'approval', aggregateId: registered.provider, type }, data);
    const begin = (wanted: { scopes: string[] }) =>
      callOperation(
        bus,
        operations.startSession,
        { tenantId: governed, platformId: desk },
        { registration_id: registered.id, end_user: 'u', return_url: site.returnUrl, ...wanted },
      );
    /** What was decided reaches the service by the log. */
    const until = (wanted: { scopes: string[] }, code: string) =>
      waitFor(async () => (await refused(begin(wanted))) === code, { timeoutMs: 60_000, describe: code });
    const approval = { tenantId: governed, id: registered.provider };
    const content = (number: number, scopes: string[], risk: 'read' | 'write') => ({
      number,
      fileVersion: 1,
      scopes,
      hosts: ['api.linear.app', 'linear.app'],
      risk,
    });
    async function ask(number: number, scopes: string[], risk: 'read' | 'write') {
      const data = { ...content(number, scopes, risk), reason: null };
      const by = approving(0, 'ApprovalRequested', data);
      const command = { providerId: registered.provider, ...data, by };
      await administer(approvalEvolver, approval, (state) => requestApproval(command, state));
    }
    const grant = async (data: ReturnType<typeof content>, by: ReturnType<typeof approving>) =>
      await administer(approvalEvolver, approval, (state) => grantApproval({ ...data, by }, state));

    beforeAll(async () => {
      await administer(tenantEvolver, { tenantId: governed, id: governed }, (s) => createTenant({ name: 'G' }, s));
      const named = { name: 'Desk', returnUrls: [site.returnUrl] };
      await administer(platformEvolver, { tenantId: governed, id: desk }, (s) => createPlatform(named, s));
      const offered = ['read', 'write', 'issues:create'];
      const more = { providerId: registered.provider, tenantId: governed, scopes: offered };
      await createRegistrationAt(registered.id, more);
      bus = await connected(desk, (await platformCreds(bundle, { tenantId: governed, platformId: desk })).creds);
      const governance = { tenantId: governed, id: governed };
      for (const [n, { administratorId, publicJwk }] of people.entries()) {
        const data = { number: n + 1, administratorId, name: 'a', publicJwk: publicJwk as AdministratorJwk };
        const by = n === 0 ? null : governing(0, 'AdministratorAdded', data);
        await administer(governanceEvolver, governance, (s) => addAdministrator({ ...data, by }, s));
      }
      const policy = { number: 3, approvals: 'required', highRiskConnections: 'own' } as const;
      const by = governing(1, 'TenantPolicyChanged', policy);
      await administer(governanceEvolver, governance, (s) => changePolicy({ ...policy, by }, s));
    });

    test('uses a provider, and scopes of more risk, only after two have signed', async () => {
      expect(await refused(begin({ scopes: ['read'] }))).toBe('approval.required');
      await ask(1, ['read'], 'read');
      expect(await refused(begin({ scopes: ['read'] }))).toBe('approval.required');
      await grant(content(1, ['read'], 'read'), approving(1, 'ApprovalGranted', content(1, ['read'], 'read')));
      await until({ scopes: ['read'] }, 'not refused');
      expect(await refused(begin({ scopes: ['read', 'issues:create'] }))).toBe('approval.required');
    });

    test('is not helped by what one has signed twice, or nobody', async () => {
      await ask(2, ['issues:create', 'read'], 'write');
      const more = content(2, ['issues:create', 'read'], 'write');
      // As whoever can write ADMIN, but has no second person's key, would do it.
      const forged = { ...approving(0, 'ApprovalGranted', more), administratorId: people[1]?.administratorId ?? '' };
      await grant(more, forged);
      await until({ scopes: ['read'] }, 'administrator.signature_invalid');
      expect(await refused(begin({ scopes: ['read', 'issues:create'] }))).toBe('administrator.signature_invalid');
    });
  });

  describe('bad input to the operations', () => {
    test.each([
      ['session.scope_unknown', { scopes: ['openid', 'admin:everything'] }],
      ['registration.not_found', { registration_id: newId('registration') }],
      ['registration.not_found', { registration_id: undefined, provider: 'nobody' }],
      ['registration.not_found', { provider: 'linear' }],
      ['request.malformed', { registration_id: undefined }],
      ['request.malformed', { registration_id: 'reg_*' }],
      ['request.malformed', { end_user: '' }],
    ] satisfies [string, Partial<RequestInput<typeof operations.startSession>>][])(
      '%s: %j',
      async (code, more: Partial<RequestInput<typeof operations.startSession>>) => {
        expect(await refused(connect(more))).toBe(code);
      },
    );

    test.each(['https://evil.example/', '//evil.example', 'RETURN_URL/below', 'RETURN_URL?next=https://evil.example'])(
      'a browser is sent back to where its platform is registered, and not to %s',
      async (url) => {
        const answer = connect({ return_url: url.replace('RETURN_URL', site.returnUrl) });
        expect(await refused(answer)).toMatch(/^(session\.return_url_unknown|request\.malformed)$/);
      },
    );

    test('the registration of another tenant does not exist', async () => {
      const theirs = newId('registration');
      await createRegistrationAt(theirs, { tenantId: otherTenantId });
      expect(await refused(connect({ registration_id: theirs }))).toBe('registration.not_found');
    });

    test('a disabled registration and a disabled platform are refused, sessions begun before too', async () => {
      const id = newId('registration');
      await createRegistrationAt(id);
      const { connect_url: url } = await connect({ registration_id: id });
      expect((await browser.open(url)).status).toBe(200);
      await administer(registrationEvolver, { tenantId, id }, (state) => disableRegistration({ reason: null }, state));
      await waitFor(async () => (await refused(connect({ registration_id: id }))) === 'registration.disabled', {
        describe: 'the registration stays enabled',
      });
      await refusedPage(url, 'registration.disabled');

      const disabled = newId('platform');
      const data = { name: 'Gone', returnUrls: [site.returnUrl] };
      await administer(platformEvolver, { tenantId, id: disabled }, (state) => createPlatform(data, state));
      await administer(platformEvolver, { tenantId, id: disabled }, (state) =>
        disablePlatform({ reason: null }, state),
      );
      const { creds } = await platformCreds(bundle, { tenantId, platformId: disabled });
      const bus = await connected(disabled, creds);
      const request = { registration_id: registrationId, end_user: 'u', return_url: site.returnUrl };
      const call = callOperation(bus, operations.startSession, { tenantId, platformId: disabled }, request);
      expect(await refused(call)).toBe('platform.disabled');
    });

    test('an administrator connects nobody and completes nothing', async () => {
      const request = { registration_id: registrationId, end_user: 'u', return_url: site.returnUrl };
      const as = { tenantId, platformId: 'administrator' };
      expect(await refused(callOperation(administrator, operations.startSession, as, request))).toBe('auth.forbidden');
      const { sessionId, code } = await connectedOnce();
      const completing = complete(sessionId, code, { bus: administrator, as: 'administrator' });
      expect(await refused(completing)).toBe('auth.forbidden');
    });

    test("another platform's connection does not exist", async () => {
      const { connection_id: id } = await connectedOnce();
      const as = { tenantId, platformId: otherPlatformId };
      const call = callOperation(otherPlatform, operations.reauthorize, as, { connection_id: id });
      expect(await refused(call)).toBe('connection.not_found');
      const unknown = reauthorize({ connection_id: newId('connection') });
      expect(await refused(unknown)).toBe('connection.not_found');
    });
  });

  describe('completion', () => {
    test('by another platform finds no session; for another user is refused; neither changes anything', async () => {
      const { connect_url: url } = await connect();
      const { sessionId, code } = await goThrough(url);
      const before = await typesOf(await connectionOf(sessionId));
      const byOther = complete(sessionId, code, { bus: otherPlatform, as: otherPlatformId });
      expect(await refused(byOther)).toBe('session.not_found');
      expect(await refused(complete(sessionId, code, { user: 'user-2' }))).toBe('session.end_user_mismatch');
      expect(await typesOf(await connectionOf(sessionId))).toEqual(before);
      expect(await complete(sessionId, code)).toMatchObject({ freshness: { health: 'ok' } });
      expect(await refused(complete(sessionId, code, { user: 'user-2' }))).toBe('session.end_user_mismatch');
    });

    test('with a code of another session, a made-up one, or before the provider answered', async () => {
      const first = await goThrough((await connect()).connect_url);
      const { session_id: second } = await connect();
      expect(await refused(complete(second, first.code))).toBe('session.code_invalid');
      expect(await refused(complete(second, 'made-up'))).toBe('session.code_invalid');
      expect(await refused(complete(first.sessionId, `${first.code}x`))).toBe('session.code_invalid');
    });

    test('of an unknown session', async () => {
      expect(await refused(complete(newId('session'), 'any'))).toBe('session.not_found');
    });

    test('after its time', async () => {
      const { connect_url: url } = await connect();
      const { sessionId, code } = await goThrough(url);
      laterBy(11 * 60_000);
      expect(await refused(complete(sessionId, code))).toBe('session.expired');
    });

    test('a code tells its bearer nothing and holds no user', async () => {
      const { code } = await goThrough((await connect()).connect_url);
      expect(Buffer.from(code, 'base64url').toString('latin1')).not.toMatch(/ses_|con_/);
    });
  });

  function laterBy(ms: number): void {
    service.get(Clock).nowMs = () => Date.now() + ms;
  }

  describe('the browser', () => {
    test('unknown, foreign and malformed ids give the same page', async () => {
      const { connection_id: healthy } = await connectedOnce();
      const ids = [newId('session'), newId('connection'), healthy, 'ses_*', 'con_>', 'x'.repeat(400)];
      const pages = await Promise.all(ids.map((id) => new ScriptedBrowser().open(`${publicUrl}/connect/${id}`)));
      for (const page of pages) {
        expect(page.status).toBe(404);
        expect(page.text.replace(/cor_\w+/, '')).toBe(pages[0]?.text.replace(/cor_\w+/, ''));
      }
    });

    test('an issuer inside our own house is not asked where its endpoints are', async () => {
      const id = newId('registration');
      await createRegistrationAt(id, { issuer: 'https://10.0.0.1' });
      const page = await browser.open((await connect({ registration_id: id })).connect_url);
      const shown = page.forms.length === 0 ? page : await browser.submit(page);
      expect(shown.text).toContain('Error code registration.insecure_endpoint');
    });

    test('the button works only on our own page, in the same browser', async () => {
      const { connect_url: url } = await connect();
      const other = await browser.open((await connect()).connect_url);
      const page = await browser.open(url);
      const post = (body: string, headers: Record<string, string> = {}) =>
        fetch(url, { method: 'POST', redirect: 'manual', body: new URLSearchParams(body), headers });
      const cookie = `postern_page=${browser.cookies.get(new URL(url), 'postern_page')}`;
      const otherCookie = `postern_page=${browser.cookies.get(new URL(other.url), 'postern_page')}`;
      const form = `form_token=${tokenOf(page)}`;
      expect((await post(form)).status).toBe(400);
      expect((await post('form_token=guessed', { cookie })).status).toBe(400);
      expect((await post('', { cookie })).status).toBe(400);
      expect((await post(form, { cookie: otherCookie })).status).toBe(400);
      expect((await post(`form_token=${tokenOf(other)}`, { cookie: otherCookie })).status).toBe(400);
      expect((await post(form, { cookie, 'sec-fetch-site': 'cross-site' })).status).toBe(400);
      expect((await post(form, { cookie })).status).toBe(302);
    });

    test('PKCE, state, nonce and the exact redirect URI are pushed, and the browser carries their name; the cookie goes to the callback only', async () => {
      const { connect_url: url } = await connect();
      const page = await browser.open(url);
      const leaving = await browser.submit(page, { until: ({ origin }) => origin === acme.issuer });
      expect([...new URL(leaving.url).searchParams.keys()]).toEqual(['client_id', 'request_uri']);
      const query = acme.pushedRequests().at(-1) ?? {};
      expect(query).toMatchObject({
        code_challenge_method: 'S256',
        redirect_uri: `${publicUrl}/oauth/callback/${registrationId}`,
        response_type: 'code',
        scope: scopes.join(' '),
      });
      for (const name of ['state', 'nonce', 'code_challenge']) expect(query[name]).toHaveLength(43);
      expect(browser.cookies.list()).toContainEqual(
        expect.objectContaining({
          name: 'postern_session',
          path: `/oauth/callback/${registrationId}`,
          httpOnly: true,
          sameSite: 'lax',
        }),
      );
    });

    test('an answer with another state, without a state, or in another browser is refused and changes nothing', async () => {
      const { connect_url: url, session_id: sessionId } = await connect();
      const callback = await untilCallback(url);
      const changed = new URL(callback);
      changed.searchParams.set('state', randomToken());
      await refusedPage(changed, 'session.state_mismatch');
      changed.searchParams.delete('state');
      await refusedPage(changed, 'session.state_mismatch');
      await refusedPage(callback, 'session.state_mismatch', new ScriptedBrowser());
      await refusedPage(callback.href.replace(registrationId, newId('registration')), 'session.state_mismatch');
      await refusedPage(callback.href.replace(registrationId, 'reg_*'), 'request.not_found');
      expect(await typesOf(await connectionOf(sessionId))).toEqual(['AuthorizationStarted']);
      expect((await browser.open(callback, { until: stopAtSite })).url).toContain('code=');
    });

    test('an answer of another issuer is refused before the code is spent', async () => {
      const { connect_url: url, session_id: sessionId } = await connect();
      const callback = await untilCallback(url);
      callback.searchParams.set('iss', 'https://evil.example');
      await refusedPage(callback, 'session.issuer_mismatch');
      expect(await typesOf(await connectionOf(sessionId))).toEqual(['AuthorizationStarted']);
    });

    test('a replayed answer never reaches the provider, even with the cookie of before', async () => {
      const { connect_url: url, session_id: sessionId } = await connect();
      const callback = await untilCallback(url);
      const cookie = `postern_session=${browser.cookies.get(callback, 'postern_session')}`;
      const replay = () => fetch(callback, { redirect: 'manual', headers: { cookie } });
      const calls = acme.tokenCalls().length;
      const answers = await Promise.all([replay(), replay(), replay()]);
      expect(answers.map(({ status }) => String(status)).toSorted()).toEqual(['302', '409', '409']);
      expect(await (await replay()).text()).toContain('session.already_used');
      const told = async (from: string, to: string) => {
        const answer = await fetch(callback.href.replace(from, to), { redirect: 'manual', headers: { cookie } });
        return answer.text();
      };
      expect(await told('state=', 'state=x')).toContain('session.state_mismatch');
      expect(await told(registrationId, newId('registration'))).toContain('session.state_mismatch');
      expect(acme.tokenCalls().length - calls).toBe(1);
      expect(
        (await typesOf(await connectionOf(sessionId))).filter((type) => type === 'CodeExchangeStarted'),
      ).toHaveLength(1);
    });

    test('a session after its time has no page and takes no answer', async () => {
      const { connect_url: url, session_id: sessionId } = await connect();
      const callback = await untilCallback(url);
      laterBy(10 * 60_000);
      await refusedPage(callback, 'session.expired');
      await refusedPage(callback.href.replace(/code=[^&]+/, 'error=access_denied'), 'session.expired');
      await refusedPage(url, 'session.expired');
      expect(await typesOf(await connectionOf(sessionId))).toEqual(['AuthorizationStarted']);
    });

    test('two connections begun side by side in one browser at two registrations do not disturb each other', async () => {
      const id = newId('registration');
      await createRegistrationAt(id);
      const first = await untilCallback((await connect()).connect_url);
      const page = await browser.open((await connect({ registration_id: id })).connect_url);
      await browser.submit(page, { until: ({ origin }) => origin === acme.issuer });
      expect((await browser.open(first, { until: stopAtSite })).url).toContain('code=');
    });
  });

  const stopAtSite = (url: URL) => url.origin === site.origin;

  test('no code, state, verifier, cookie or token stands in a log line', async () => {
    const callback = await untilCallback((await connect()).connect_url);
    const cookie = browser.cookies.get(callback, 'postern_session') ?? '';
    const arrival = await browser.open(callback, { until: stopAtSite });
    const tokens = [...vault.pending.values()].flatMap(({ accessToken, refreshToken }) => [
      accessToken,
      ...(refreshToken === null ? [] : [refreshToken]),
    ]);
    const { code = '-', state = '-' } = Object.fromEntries(callback.searchParams);
    const completion = new URL(arrival.url).searchParams.get('code') ?? '-';
    const text = logLines.join('');
    expect(text).toContain('request answered');
    for (const secret of [code, state, cookie, completion, vault.clientSecret, ...tokens]) {
      expect(secret.length).toBeGreaterThan(8);
      expect(text).not.toContain(secret);
    }
  });
});
