import * as oauth from 'oauth4webapi';

import { ScriptedBrowser } from '../browser/scripted-browser.ts';
import { waitFor } from '../wait-for.ts';
import { acmeAccounts } from './acme-accounts.ts';
import type { ReuseRule } from './acme-clients.ts';
import { acmeLoginAndConsent, acmeRevokeApp } from './acme-journeys.ts';
import { tokenFingerprint } from './acme-meter.ts';
import { startAcme } from './start-acme.ts';
import type { Acme } from './start-acme.ts';

/** Never fetched: the journeys end before it. */
const redirectUri = 'http://127.0.0.1:9/callback';
const { ada, grace } = acmeAccounts;
const http = { [oauth.allowInsecureRequests]: true };

let acme: Acme;
let as: oauth.AuthorizationServer;

beforeAll(async () => {
  acme = await startAcme({ accessTokenTtlS: 300 });
  const issuer = new URL(acme.issuer);
  as = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { ...http, algorithm: 'oauth2' }),
  );
});
afterAll(() => acme.close());

interface App {
  readonly client: oauth.Client;
  readonly auth: oauth.ClientAuth;
}

async function registerApp(
  method: 'client_secret_basic' | 'client_secret_post' | 'none' = 'client_secret_basic',
  reuseRule?: ReuseRule,
): Promise<App> {
  const { clientId, clientSecret = '' } = await acme.registerClient({
    redirectUris: [redirectUri],
    clientName: `Postern & <${method}>`,
    tokenEndpointAuthMethod: method,
    ...(reuseRule && { reuseRule }),
  });
  const auths = {
    client_secret_basic: oauth.ClientSecretBasic,
    client_secret_post: oauth.ClientSecretPost,
    none: oauth.None,
  };
  return { client: { client_id: clientId }, auth: auths[method](clientSecret) };
}

function authorizationUrl({ client }: App, parameters: Record<string, string>): URL {
  const url = new URL(as.authorization_endpoint ?? '');
  const base = { client_id: client.client_id, redirect_uri: redirectUri, response_type: 'code', prompt: 'consent' };
  url.search = new URLSearchParams({ ...base, scope: 'openid offline_access contacts:read', ...parameters }).toString();
  return url;
}

interface Journey {
  readonly browser?: ScriptedBrowser;
  readonly account?: { email: string; password: string };
  readonly decision?: 'allow' | 'deny';
  readonly scope?: string;
}

async function authorize(
  app: App,
  { browser = new ScriptedBrowser(), account = ada, decision = 'allow', scope }: Journey = {},
) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const start = authorizationUrl(app, {
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...(scope && { scope }),
  });
  const journey = { user: account.email, password: account.password, decision, returnUrl: redirectUri };
  return { verifier, state, callback: await acmeLoginAndConsent(browser, start, journey) };
}

async function connect(app: App, journey: Journey = {}) {
  const { verifier, state, callback } = await authorize(app, journey);
  const parameters = oauth.validateAuthResponse(as, app.client, callback, state);
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    app.client,
    app.auth,
    parameters,
    redirectUri,
    verifier,
    http,
  );
  const tokens = await oauth.processAuthorizationCodeResponse(as, app.client, response);
  return { accessToken: tokens.access_token, refreshToken: tokens.refresh_token ?? '', tokens };
}

async function refresh(app: App, refreshToken: string) {
  const response = await oauth.refreshTokenGrantRequest(as, app.client, app.auth, refreshToken, http);
  const tokens = await oauth.processRefreshTokenResponse(as, app.client, response);
  return { accessToken: tokens.access_token, refreshToken: tokens.refresh_token ?? '', tokens };
}

async function introspect(app: App, token: string): Promise<oauth.IntrospectionResponse> {
  const response = await oauth.introspectionRequest(as, app.client, app.auth, token, http);
  return oauth.processIntrospectionResponse(as, app.client, response);
}

async function callContacts(accessToken?: string): Promise<Response> {
  return fetch(acme.endpoints.contacts, accessToken ? { headers: { authorization: `Bearer ${accessToken}` } } : {});
}

describe('authorization code with PKCE', () => {
  test.each(['client_secret_basic', 'client_secret_post', 'none'] as const)(
    'a person signs in and consents, and the app calls the contacts API (%s)',
    async (method) => {
      const { accessToken, tokens } = await connect(await registerApp(method));

      expect(tokens.scope?.split(' ').toSorted()).toEqual(['contacts:read', 'offline_access', 'openid']);
      expect(tokens.expires_in).toBe(300);
      expect(accessToken).not.toContain('.');
      expect(oauth.getValidatedIdTokenClaims(tokens)?.sub).toBe(ada.accountId);
      const response = await callContacts(accessToken);
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ account: ada.email, contacts: [{ id: 'ct_1' }, {}, {}] });
    },
  );

  test('a request without PKCE is refused, also from a confidential client', async () => {
    const app = await registerApp();
    const page = await new ScriptedBrowser().open(authorizationUrl(app, { state: 's' }), {
      until: (url) => url.href.startsWith(redirectUri),
    });
    expect(Object.fromEntries(new URL(page.url).searchParams)).toMatchObject({
      error: 'invalid_request',
      state: 's',
      iss: acme.issuer,
    });
  });

  test('the plain method is refused', async () => {
    const start = authorizationUrl(await registerApp(), {
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'plain',
    });
    const page = await new ScriptedBrowser().open(start, { until: (url) => url.href.startsWith(redirectUri) });
    expect(new URL(page.url).searchParams.get('error')).toBe('invalid_request');
  });

  test('a foreign redirect URI is told to the person, not redirected to', async () => {
    const start = authorizationUrl(await registerApp(), { redirect_uri: 'http://127.0.0.1:9/elsewhere' });
    const page = await new ScriptedBrowser().open(start);
    expect([page.status, page.text]).toEqual([400, expect.stringContaining('invalid_redirect_uri')]);
  });

  test.each(['first the sign-in', 'already signed in'])('a denial comes back as access_denied (%s)', async (when) => {
    const browser = new ScriptedBrowser();
    const app = await registerApp();
    if (when === 'already signed in') await connect(app, { browser });
    const { callback, state } = await authorize(app, { browser, decision: 'deny' });
    expect(Object.fromEntries(callback.searchParams)).toMatchObject({
      error: 'access_denied',
      state,
      iss: acme.issuer,
    });
  });

  test('a wrong password lets nobody in', async () => {
    const journey = authorize(await registerApp(), { account: { email: ada.email, password: grace.password } });
    await expect(journey).rejects.toThrow('does not let ada@acme.example in');
  });

  test('a code that comes a second time ends what it bought', async () => {
    const app = await registerApp();
    const { verifier, state, callback } = await authorize(app);
    const parameters = oauth.validateAuthResponse(as, app.client, callback, state);
    const exchange = async () => {
      const response = await oauth.authorizationCodeGrantRequest(
        as,
        app.client,
        app.auth,
        parameters,
        redirectUri,
        verifier,
        http,
      );
      return oauth.processAuthorizationCodeResponse(as, app.client, response);
    };
    const { access_token: accessToken } = await exchange();
    await expect(exchange()).rejects.toMatchObject({ error: 'invalid_grant' });
    expect((await callContacts(accessToken)).status).toBe(401);
  });

  test('consent needs the cookie of the browser that was asked', async () => {
    const app = await registerApp();
    const browser = new ScriptedBrowser();
    const challenge = await oauth.calculatePKCECodeChallenge(oauth.generateRandomCodeVerifier());
    const login = await browser.open(
      authorizationUrl(app, { code_challenge: challenge, code_challenge_method: 'S256' }),
    );
    const fields = { email: ada.email, password: ada.password };
    expect((await new ScriptedBrowser().submit(login, { fields })).status).toBe(400);
    const consent = await browser.submit(login, { fields });
    expect(consent.text).toContain('Postern & <client_secret_basic> asks to');
    const foreign = await new ScriptedBrowser().submit(consent, { button: 'allow' });
    expect([foreign.status, foreign.stopped]).toEqual([400, false]);
  });
});

describe('refresh tokens', () => {
  test('a refresh rotates the refresh token, and the server saw it', async () => {
    const app = await registerApp();
    const first = await connect(app);
    const second = await refresh(app, first.refreshToken);

    expect(second.refreshToken).not.toBe(first.refreshToken);
    expect(second.accessToken).not.toBe(first.accessToken);
    expect((await callContacts(second.accessToken)).status).toBe(200);
    expect(acme.tokenCalls().at(-1)).toMatchObject({
      grantType: 'refresh_token',
      outcome: 'ok',
      clientId: app.client.client_id,
      presentedRefreshToken: tokenFingerprint(first.refreshToken),
      issuedRefreshToken: tokenFingerprint(second.refreshToken),
    });
  });

  test('a refresh token that comes a second time ends the whole family', async () => {
    const app = await registerApp();
    const first = await connect(app);
    const second = await refresh(app, first.refreshToken);

    await expect(refresh(app, first.refreshToken)).rejects.toMatchObject({ error: 'invalid_grant' });
    expect(acme.tokenCalls().at(-1)).toMatchObject({ outcome: 'invalid_grant', familyEnded: true });
    await expect(refresh(app, second.refreshToken)).rejects.toMatchObject({ error: 'invalid_grant' });
    expect((await callContacts(second.accessToken)).status).toBe(401);
  });

  test('under the rule `grace` a second use brings other tokens, and both families live', async () => {
    const app = await registerApp('client_secret_basic', 'grace');
    const first = await connect(app);
    const second = await refresh(app, first.refreshToken);
    const third = await refresh(app, first.refreshToken);
    expect(new Set([first, second, third].map(({ refreshToken }) => refreshToken)).size).toBe(3);
    for (const { refreshToken } of [second, third]) await refresh(app, refreshToken);
    expect((await callContacts(second.accessToken)).status).toBe(200);
    expect(
      acme.tokenCalls().some(({ clientId, familyEnded }) => familyEnded && clientId === app.client.client_id),
    ).toBe(false);
  });

  test('under the rule `stable` a refresh token stays the same', async () => {
    const app = await registerApp('client_secret_basic', 'stable');
    const first = await connect(app);
    for (let use = 0; use < 2; use += 1) {
      expect((await refresh(app, first.refreshToken)).refreshToken).toBe(first.refreshToken);
    }
  });

  test('of two that spend one refresh token at the same instant one wins, and loses what it won', async () => {
    const app = await registerApp();
    const { refreshToken } = await connect(app);
    acme.faults.set({ tokenEndpoint: { hold: true, times: 2 } });
    const racers = [refresh(app, refreshToken), refresh(app, refreshToken)];
    await waitFor(() => acme.faults.held() === 2, { describe: 'both to be held' });
    acme.faults.release();

    const outcomes = await Promise.allSettled(racers);
    const winners = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    expect((await callContacts(winners[0]?.value.accessToken)).status).toBe(401);
  });

  test("another app's refresh token is refused", async () => {
    const { refreshToken } = await connect(await registerApp());
    await expect(refresh(await registerApp(), refreshToken)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  test('a new lifetime holds for the tokens that come after it', async () => {
    const app = await registerApp();
    const first = await connect(app);
    acme.setAccessTokenTtl(1);
    const second = await refresh(app, first.refreshToken).finally(() => acme.setAccessTokenTtl(300));
    expect([first.tokens.expires_in, second.tokens.expires_in]).toEqual([300, 1]);
    const expired = async () => (await callContacts(second.accessToken)).status === 401;
    await waitFor(expired, { describe: 'the second token to expire' });
    expect((await callContacts(first.accessToken)).status).toBe(200);
    expect(() => acme.setAccessTokenTtl(0.5)).toThrow(RangeError);
  });
});

describe('the end of access', () => {
  test('a person removes the app on the connected-apps page: its tokens are dead, other people keep theirs', async () => {
    const app = await registerApp();
    const browser = new ScriptedBrowser();
    const adas = await connect(app, { browser });
    const graces = await connect(app, { account: grace });

    const person = { user: ada.email, password: ada.password, clientId: app.client.client_id };
    const page = await acmeRevokeApp(browser, acme.endpoints.connectedApps, person);
    expect(page.text).not.toContain(app.client.client_id);
    await expect(refresh(app, adas.refreshToken)).rejects.toMatchObject({ error: 'invalid_grant' });
    const refused = await callContacts(adas.accessToken);
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringContaining('error="invalid_token"'),
    ]);
    expect((await callContacts(graces.accessToken)).status).toBe(200);

    const again = await connect(app, { browser });
    expect((await callContacts(again.accessToken)).status).toBe(200);
  });

  test('the connected-apps page asks a new browser to sign in, and takes orders from its own page only', async () => {
    const app = await registerApp();
    const { accessToken } = await connect(app);
    const browser = new ScriptedBrowser();
    const login = await browser.open(acme.endpoints.connectedApps);
    expect((await browser.submit(login, { fields: { email: ada.email, password: 'wrong' } })).status).toBe(401);
    const page = await browser.submit(login, { fields: { email: ada.email, password: ada.password } });
    expect(page.text).toContain('Connected apps Signed in as ada@acme.example');

    const own = page.forms.find(({ fields }) => fields.some(({ value }) => value === app.client.client_id));
    if (!own) throw new Error('the app is not listed');
    expect((await browser.submit(page, { form: own, fields: { csrf: 'forged' } })).status).toBe(403);
    expect((await callContacts(accessToken)).status).toBe(200);
    expect((await browser.submit(page, { form: own })).status).toBe(200);
    expect((await callContacts(accessToken)).status).toBe(401);
  });

  test('an app revokes its refresh token: everything under it is dead', async () => {
    const app = await registerApp();
    const { accessToken, refreshToken } = await connect(app);
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, app.client, app.auth, refreshToken, http));
    await expect(refresh(app, refreshToken)).rejects.toMatchObject({ error: 'invalid_grant' });
    expect((await callContacts(accessToken)).status).toBe(401);
  });

  test("an app can neither revoke nor introspect another app's token", async () => {
    const { accessToken, refreshToken } = await connect(await registerApp());
    const other = await registerApp();
    const response = await oauth.revocationRequest(as, other.client, other.auth, refreshToken, http);
    await expect(oauth.processRevocationResponse(response)).rejects.toMatchObject({ error: 'invalid_request' });
    expect(await introspect(other, accessToken)).toEqual({ active: false });
    expect((await callContacts(accessToken)).status).toBe(200);
  });

  test('introspection tells a living token from a dead one', async () => {
    const app = await registerApp();
    const first = await connect(app);
    expect(await introspect(app, first.accessToken)).toMatchObject({
      active: true,
      sub: ada.accountId,
      client_id: app.client.client_id,
    });
    await refresh(app, first.refreshToken);
    expect(await introspect(app, first.refreshToken)).toMatchObject({ active: false });
  });
});

describe('the contacts API', () => {
  test('a call without a token is challenged without an error code', async () => {
    const response = await callContacts();
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="acme-crm"']);
  });

  test('a token without contacts:read is insufficient_scope', async () => {
    const { accessToken } = await connect(await registerApp(), { scope: 'openid offline_access contacts:write' });
    const response = await callContacts(accessToken);
    expect(response.status).toBe(403);
    expect(response.headers.get('www-authenticate')).toContain('error="insufficient_scope", scope="contacts:read"');
  });
});

test('the counters agree with what was done, and hold no secret', async () => {
  const before = acme.counts();
  const app = await registerApp();
  const first = await connect(app);
  const second = await refresh(app, first.refreshToken);
  await expect(refresh(app, 'nonsense')).rejects.toMatchObject({ error: 'invalid_grant' });
  await introspect(app, second.accessToken);
  await callContacts(second.accessToken);
  await callContacts('nonsense');
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, app.client, app.auth, second.refreshToken, http),
  );

  const response = await fetch(`${acme.issuer}/_counts`);
  const text = await response.text();
  const after = acme.counts();
  expect(JSON.parse(text)).toMatchObject({ ...after, held: 0 });
  const grew = (grantType: string, outcome: string) =>
    (after.tokenRequests[grantType]?.[outcome] ?? 0) - (before.tokenRequests[grantType]?.[outcome] ?? 0);
  expect([
    grew('authorization_code', 'ok'),
    grew('refresh_token', 'ok'),
    grew('refresh_token', 'invalid_grant'),
  ]).toEqual([1, 1, 1]);
  expect(after.tokenRequestsTotal - before.tokenRequestsTotal).toBe(3);
  expect([after.introspections - before.introspections, after.revocations - before.revocations]).toEqual([1, 1]);
  expect((after.apiCalls['200'] ?? 0) - (before.apiCalls['200'] ?? 0)).toBe(1);
  expect((after.apiCalls['401'] ?? 0) - (before.apiCalls['401'] ?? 0)).toBe(1);
  for (const secret of [first.accessToken, first.refreshToken, second.accessToken, second.refreshToken]) {
    expect(text).not.toContain(secret);
  }
});
