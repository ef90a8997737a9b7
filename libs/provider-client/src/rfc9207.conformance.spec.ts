import { loadCatalog, providerOf, resolveProvider, type Provider } from '@postern/provider-catalog';

import { OauthServer } from './spec-support/oauth-server.ts';

/** What RFC 9207 asks of a client. */
let server: OauthServer;

beforeAll(async () => {
  server = await OauthServer.start();
});
afterAll(() => server.close());
beforeEach(() => server.reset());

const read = (parameters: Record<string, string>, provider: Partial<Provider> = {}) =>
  server.client({ provider }).readCallback({
    parameters: new URLSearchParams({ state: 's', ...parameters }),
    expectedState: 's',
  });
const mismatch = { code: 'session.issuer_mismatch' };

test('§2.4 the issuer of a response is compared with that of the server that was asked', async () => {
  expect(await read({ code: 'c', iss: server.issuer })).toMatchObject({ kind: 'code' });
  await expect(read({ code: 'c', iss: 'https://evil.example' })).rejects.toMatchObject(mismatch);
  expect(server.seen).toEqual([]);
});

test('§2.4 it is decoded from its form first', async () => {
  const parameters = new URLSearchParams(`code=c&state=s&iss=${encodeURIComponent(server.issuer)}`);
  const callback = await server.client().readCallback({ parameters, expectedState: 's' });
  expect(callback.kind).toBe('code');
});

test.each([
  ['with a slash behind it', (issuer: string) => `${issuer}/`],
  ['in capital letters', (issuer: string) => issuer.toUpperCase()],
  ['with its default port written out', (issuer: string) => `${issuer}:80`],
  ['with a path that goes nowhere', (issuer: string) => `${issuer}/.`],
  ['that is empty', () => ''],
])('§2.4 by simple comparison: an issuer %s is another one', async (_what, change) => {
  await expect(read({ code: 'c', iss: change(server.issuer) })).rejects.toMatchObject(mismatch);
});

test('§2.4 an error of another issuer is not taken for one of the server that was asked', async () => {
  expect(await read({ error: 'access_denied', iss: server.issuer })).toMatchObject({ kind: 'denied' });
  await expect(read({ error: 'access_denied', iss: 'https://evil.example' })).rejects.toMatchObject(mismatch);
});

test('§2.4 the issuer is the one of the metadata, which names whom it is about', async () => {
  server.metadata = { issuer: 'https://evil.example' };
  await expect(read({ code: 'c', iss: 'https://evil.example' })).rejects.toMatchObject({
    code: 'provider.answer_invalid',
  });
});

test('§2.4 without metadata the provider’s file says who its issuer is', async () => {
  const microsoft = providerOf(loadCatalog(), 'microsoft');
  expect(resolveProvider(microsoft, { tenant: 'common' }).issuer).toBe('https://login.microsoftonline.com/common/v2.0');
  const known = {
    ...{ parameters: { issuer: { kind: 'issuer' as const, description: 'x' } }, discoveryIssuer: null },
    ...{ issuer: 'https://login.provider.example', authorizationResponseIss: true },
    endpoints: {
      ...{ authorizationEndpoint: 'https://provider.example/a', tokenEndpoint: 'https://provider.example/t' },
      ...{ revocationEndpoint: null, introspectionEndpoint: null },
    },
  };
  expect(await read({ code: 'c', iss: 'https://login.provider.example' }, known)).toMatchObject({ kind: 'code' });
  await expect(read({ code: 'c', iss: 'https://provider.example' }, known)).rejects.toMatchObject(mismatch);
});

test.each([{ code: 'c' }, { error: 'access_denied' }])(
  '§2.4 a response without iss is refused where the server says that it sends one: %j',
  async (parameters: Record<string, string>) => {
    server.metadata = { authorization_response_iss_parameter_supported: true };
    await expect(read(parameters)).rejects.toMatchObject(mismatch);
    server.metadata = {};
    expect(await read(parameters)).toMatchObject({ kind: expect.stringMatching(/code|denied/) });
  },
);

test('§4 no two authorization servers of the catalog have the same issuer', () => {
  const hosts = new Map<string, Set<string>>();
  for (const provider of loadCatalog().values()) {
    if (provider.endpoints === null || !provider.grantTypes.includes('authorization_code')) continue;
    const parameters = Object.fromEntries(
      Object.entries(provider.parameters).map(([name, { kind }]) => [
        ...[name, kind === 'issuer' ? 'https://issuer.example' : 'acme'],
      ]),
    );
    const { issuer } = resolveProvider(provider, parameters);
    const place = new URL(provider.endpoints.tokenEndpoint.replaceAll(/\{[a-z_]+\}/g, 'acme')).host;
    hosts.set(issuer, (hosts.get(issuer) ?? new Set()).add(place));
  }
  expect(hosts.size).toBeGreaterThan(150);
  expect([...hosts].filter(([, places]) => places.size > 1).map(([issuer]) => issuer)).toEqual([]);
});
