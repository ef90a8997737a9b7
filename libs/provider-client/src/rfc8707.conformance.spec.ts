import { ResourceUri } from '@postern/contracts';
import { pkcePair, randomToken, Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { acmeAccounts, acmeLoginAndConsent, ScriptedBrowser, startAcme, type Acme } from '@postern/testing';

import { heldClientSecret, ProviderClient } from './index.ts';
import { exchange, OauthServer, redirectUri, scopes } from './spec-support/oauth-server.ts';

const resource = 'https://api.acme.example/v1';
const grants = ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'];
const request = { redirectUri, state: 's', codeChallenge: 'c'.repeat(43), scopes };

describe('at a server that answers as it is told', () => {
  let server: OauthServer;
  beforeAll(async () => (server = await OauthServer.start()));
  afterAll(() => server.close());
  beforeEach(() => server.reset());
  const told = () => server.seen.map(({ form }) => form.filter(([name]) => name === 'resource'));

  test.each([
    ['the registration', { features: { resource } }],
    ['the provider’s file', { provider: { resource } }],
  ])('§2 each request for tokens says what they are for, once, where %s says it', async (_who, options) => {
    server.metadata = { device_authorization_endpoint: `${server.issuer}/device_authorization` };
    const provider = {
      ...('provider' in options ? options.provider : {}),
      grantTypes: ['client_credentials', ...grants],
    };
    const client = server.client({ ...options, provider });
    const { searchParams } = await client.authorizationUrl(request);
    expect(searchParams.getAll('resource')).toEqual([resource]);
    await exchange(client);
    await client.refresh({ refreshToken: Secret.from('r'), grantedScopes: scopes });
    await client.renew({ grant: 'client_credentials', scopes: [], parameters: {} });
    await client.authorizeDevice({ scopes });
    await client.askForDevice({ deviceCode: Secret.from('d'), requestedScopes: scopes });
    expect(told()).toEqual(Array.from({ length: 5 }, () => [['resource', resource]]));
  });

  test('where nobody says it, nothing is said', async () => {
    const { searchParams } = await server.client().authorizationUrl(request);
    expect(searchParams.has('resource')).toBe(false);
    await exchange(server.client());
    expect(told()).toEqual([[]]);
  });

  test('a registration does not say something else than the provider’s file', () => {
    const make = () => server.client({ features: { resource: 'https://other.example' }, provider: { resource } });
    expect(make).toThrow(expect.objectContaining({ code: 'request.malformed' }));
  });

  test('§2 a resource that the server does not take is a refusal in its words', async () => {
    server.answer = { status: 400, body: { error: 'invalid_target' } };
    expect(await exchange(server.client({ features: { resource } }))).toMatchObject({ error: 'invalid_target' });
  });
});

describe('at a real authorization server', () => {
  let acme: Acme;
  beforeAll(async () => (acme = await startAcme({ meetsClients: {} })));
  afterAll(() => acme.close());

  test('§2.2 the token is for the resource, and so is the one after a refresh', async () => {
    const { clientId, clientSecret = '' } = await acme.registerClient({ redirectUris: [redirectUri] });
    const client = new ProviderClient({
      provider: providerOf(loadCatalog(), 'openid-connect'),
      registration: {
        ...{ clientId, tokenEndpointAuthMethod: 'client_secret_basic', parameters: { issuer: acme.issuer }, resource },
      },
      credentials: heldClientSecret(Secret.from(clientSecret)),
      allowLoopback: true,
    });
    const { codeVerifier, codeChallenge } = pkcePair();
    const asked = { redirectUri, state: randomToken(), codeChallenge, scopes: ['offline_access', 'contacts:read'] };
    const { email: user, password } = acmeAccounts.ada;
    const journey = { user, password, decision: 'allow' as const, returnUrl: redirectUri };
    const url = await client.authorizationUrl(asked);
    const { searchParams: parameters } = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
    const callback = await client.readCallback({ parameters, expectedState: asked.state });
    if (callback.kind !== 'code') throw new Error(callback.error);
    const spent = { callback, redirectUri, codeVerifier, nonce: null, requestedScopes: asked.scopes };
    const connected = await client.exchangeCode(spent);
    if (connected.kind !== 'exchanged') throw new Error(connected.error);
    const { accessToken, refreshToken, grantedScopes } = connected.tokenSet;
    expect((await acme.tokenOf(accessToken))?.audience).toBe(resource);
    const refreshed = await client.refresh({ refreshToken: Secret.from(refreshToken ?? ''), grantedScopes });
    if (refreshed.kind !== 'refreshed') throw new Error(refreshed.error);
    expect((await acme.tokenOf(refreshed.tokenSet.accessToken))?.audience).toBe(resource);
  });
});

test('§2 what is no absolute URI, or has a fragment, is refused before anything is made', () => {
  for (const text of ['api', '/v1', 'https://api.acme.example/v1#part']) {
    expect(ResourceUri.safeParse(text).success).toBe(false);
  }
  expect(ResourceUri.safeParse(resource).success).toBe(true);
});
