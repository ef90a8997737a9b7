import { createHash } from 'node:crypto';

import { pkcePair } from '@postern/crypto';
import { loadCatalog, parseProviderFile } from '@postern/provider-catalog';

import { codeVerifier, exchange, OauthServer, redirectUri, scopes } from './spec-support/oauth-server.ts';

/** What RFC 7636 asks of a client. */
let server: OauthServer;

beforeAll(async () => {
  server = await OauthServer.start();
});
afterAll(() => server.close());
beforeEach(() => server.reset());

test('§4.1 a verifier is fresh, random and of the right form', () => {
  const verifiers = Array.from({ length: 100 }, () => pkcePair().codeVerifier.reveal());
  expect(new Set(verifiers).size).toBe(verifiers.length);
  for (const one of verifiers) expect(one).toMatch(/^[A-Za-z0-9._~-]{43,128}$/);
});

test.each([undefined, ['plain'], ['plain', 'S256'], []])(
  '§4.2 S256 is used whatever the server says that it takes: %j',
  async (code_challenge_methods_supported) => {
    server.metadata = { code_challenge_methods_supported };
    const { codeChallenge } = pkcePair();
    const url = await server.client().authorizationUrl({ redirectUri, state: 's', codeChallenge, scopes });
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      ...{ code_challenge: codeChallenge, code_challenge_method: 'S256' },
    });
  },
);

test('§4.2 the challenge is the digest of the verifier', () => {
  const { codeVerifier: verifier, codeChallenge } = pkcePair();
  expect(createHash('sha256').update(verifier.reveal(), 'ascii').digest('base64url')).toBe(codeChallenge);
});

test('§4.5 the verifier goes with the code', async () => {
  await exchange(server.client());
  expect(Object.fromEntries(server.only().form)['code_verifier']).toBe(codeVerifier.reveal());
});

test('§7.2 no refusal of S256 leads to plain', async () => {
  server.answer = { status: 400, body: { error: 'invalid_request', error_description: 'S256 is not supported' } };
  expect(await exchange(server.client())).toMatchObject({ kind: expect.stringMatching(/rejected|failed/) });
  expect(server.seen).toHaveLength(1);
  const url = await server
    .client()
    .authorizationUrl({ redirectUri, state: 's', codeChallenge: pkcePair().codeChallenge, scopes });
  expect(url.searchParams.get('code_challenge_method')).toBe('S256');
});

test('§7.2 no file of the catalog can say plain, or take PKCE away', () => {
  const own = { authorizationParameters: { code_challenge_method: 'plain', code_challenge: 'known' } };
  const request = { redirectUri, state: 's', codeChallenge: 'c'.repeat(43), scopes };
  return expect(
    server
      .client({ provider: own })
      .authorizationUrl(request)
      .then((url) => Object.fromEntries(url.searchParams)),
  ).resolves.toMatchObject({ code_challenge_method: 'S256', code_challenge: 'c'.repeat(43) });
});

const yaml = `
id: acme
name: Acme
version: 1
endpoints:
  value: { authorization_endpoint: 'https://acme.example/a', token_endpoint: 'https://acme.example/t' }
  evidence: unverified
code_challenge_method: { value: METHOD, evidence: unverified }
`;

test('PKCE is taken away by evidence alone: then neither challenge nor verifier is sent, and nowhere else', async () => {
  const taken = (evidence: string) => yaml.replace('METHOD, evidence: unverified', `none, ${evidence}`);
  expect(() => parseProviderFile(taken('evidence: unverified'), 'acme.yaml')).toThrow(/PKCE is taken away by evidence/);
  expect(() => parseProviderFile(taken('evidence: observed'), 'acme.yaml')).toThrow(/in note/);
  const seen = 'evidence: observed, note: "400 to every request with code_challenge, 2026-11-28"';
  const { withoutPkce } = parseProviderFile(taken(seen), 'acme.yaml');
  const request = { redirectUri, state: 's', codeChallenge: 'c'.repeat(43), scopes };
  const client = server.client({ provider: { withoutPkce } });
  const { searchParams } = await client.authorizationUrl(request);
  expect([...searchParams.keys()].filter((name) => name.startsWith('code_challenge'))).toEqual([]);
  expect(searchParams.get('state')).toBe('s');
  expect(await exchange(client)).toMatchObject({ kind: 'exchanged' });
  expect(server.only().form.map(([name]) => name)).not.toContain('code_verifier');
  // No provider that we know of breaks on it.
  expect([...loadCatalog().values()].filter((one) => one.withoutPkce)).toEqual([]);
});

test('§7.2 a file that says plain is no provider file', () => {
  expect(parseProviderFile(yaml.replace('METHOD', 'S256'), 'acme.yaml').id).toBe('acme');
  expect(() => parseProviderFile(yaml.replace('METHOD', 'plain'), 'acme.yaml')).toThrow(/code_challenge_method/);
  expect(loadCatalog().size).toBeGreaterThan(200);
});
