import { SignJWT, exportJWK, generateKeyPair, UnsecuredJWT } from 'jose';

import { Secret } from '@postern/crypto';
import { loadCatalog } from '@postern/provider-catalog';

import { exchange, OauthServer, redirectUri, scopes } from './spec-support/oauth-server.ts';

/** What RFC 9700 asks of a client that can be seen at its calls; what browsers see is proved in apps/authorization. */
let server: OauthServer;

beforeAll(async () => {
  server = await OauthServer.start();
});
afterAll(() => server.close());
beforeEach(() => server.reset());

const nowS = () => Math.floor(Date.now() / 1_000);

async function idToken(claims: Record<string, unknown>): Promise<string> {
  const { privateKey, publicKey } = await generateKeyPair('RS256');
  server.metadata = { jwks_uri: `${server.issuer}/jwks` };
  const { kid } = { kid: 'k', ...(await exportJWK(publicKey)) };
  return await new SignJWT({
    ...{ iss: server.issuer, sub: 'ada', aud: 'app', nonce: 'n', iat: nowS(), exp: nowS() + 60 },
    ...claims,
  })
    .setProtectedHeader({ alg: 'RS256', kid })
    .sign(privateKey);
}

async function outcomeWith(id_token: string | undefined): Promise<string> {
  server.answer.body = { access_token: 'a', token_type: 'Bearer', ...(id_token !== undefined && { id_token }) };
  const outcome = await exchange(server.client(), { nonce: 'n' });
  if (outcome.kind !== 'exchanged') expect(JSON.stringify(outcome)).not.toContain('"accessToken"');
  return outcome.kind;
}

test('§2.1.1 §4.5.3.2 an ID token with the nonce that was sent is taken', async () => {
  expect(await outcomeWith(await idToken({}))).toBe('exchanged');
});

test.each([
  ['another nonce', { nonce: 'another' }],
  ['no nonce', { nonce: undefined }],
])('§4.5.3.2 a code that was injected brings %s, and none of its tokens is used', async (_what, claims) => {
  expect(await outcomeWith(await idToken(claims))).toBe('failed');
});

test('§4.5.3.2 without an ID token nothing shows whose code it was, and no token is used', async () => {
  expect(await outcomeWith(undefined)).toBe('failed');
});

test.each([
  ['of another issuer', { iss: 'https://evil.example' }],
  ['for another client', { aud: 'another' }],
  ['for another client too, and authorized for that', { aud: ['app', 'another'], azp: 'another' }],
  ['that has ended', { iat: 1_000, exp: 1_060 }],
  ['that says nothing of its end', { exp: undefined }],
  ['about nobody', { sub: undefined }],
])('§4.5.3.2 a forged ID token %s is refused', async (_what, claims) => {
  expect(await outcomeWith(await idToken(claims))).toBe('failed');
});

test('§4.5.3.2 an ID token that nobody signed is refused', async () => {
  const claims = { iss: server.issuer, sub: 'ada', aud: 'app', nonce: 'n', iat: nowS(), exp: nowS() + 60 };
  expect(await outcomeWith(new UnsecuredJWT(claims).encode())).toBe('failed');
});

test('§2.1.1 PKCE and, with openid, a nonce belong to one transaction and go with it', async () => {
  const request = { redirectUri, state: 's', codeChallenge: 'c'.repeat(43), scopes, nonce: 'n' };
  const url = await server.client().authorizationUrl(request);
  expect(Object.fromEntries(url.searchParams)).toMatchObject({
    ...{ state: 's', nonce: 'n', code_challenge: 'c'.repeat(43), code_challenge_method: 'S256' },
  });
});

test('§2.4 no file of the catalog has the password grant, and none the implicit one', () => {
  const grants = new Set([...loadCatalog().values()].flatMap(({ grantTypes }) => grantTypes));
  expect([...grants].filter((one) => /password|implicit/.test(one))).toEqual([]);
  expect([...grants]).toContain('authorization_code');
});

test('§4.3.2 an access token stands in a header, and in no URI', async () => {
  server.metadata = { userinfo_endpoint: `${server.issuer}/userinfo` };
  await server.client().probe(Secret.from('the access token'));
  const { url, headers, form } = server.only();
  expect([url, headers.authorization, form]).toEqual(['/userinfo', 'Bearer the access token', []]);
});

test('§4.4.2 a code is spent at the token endpoint of the issuer that was asked, and nowhere else', async () => {
  const evil = await OauthServer.start();
  try {
    const parameters = new URLSearchParams({ code: 'c', state: 's', iss: server.issuer });
    const read = evil.client().readCallback({ parameters, expectedState: 's' });
    await expect(read).rejects.toMatchObject({ code: 'session.issuer_mismatch' });
    await exchange(server.client());
    expect([server.seen.length, evil.seen.length]).toEqual([1, 0]);
  } finally {
    await evil.close();
  }
});
