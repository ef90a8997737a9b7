import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';

import { challengeParameters, claimsIn } from './index.ts';
import { clientAt, TokenServer } from './spec-token-server.ts';

const catalog = loadCatalog();
const accessToken = Secret.from('access-token-that-must-not-leak');
let server: TokenServer;

beforeAll(async () => {
  server = await TokenServer.start();
});
afterAll(() => server.close());

/** A provider whose API stands on this machine. */
function probe(id: string, url = server.url.replace('/token', '/probe')) {
  const provider = providerOf(catalog, id);
  const { tokenProbe } = provider.api;
  if (tokenProbe === null) throw new Error(`${id} has no probe`);
  const api = { ...provider.api, tokenProbe: { ...tokenProbe, url } };
  return clientAt(server.url, { ...provider, api }, 2_000).probe(accessToken);
}

test('carries the token in its header alone, by the method of the file', async () => {
  const seen: string[] = [];
  server.does((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true,"team_id":"T1","id":1}');
  });
  expect(await probe('slack')).toEqual({ kind: 'alive', error: null, httpStatus: 200 });
  expect(await probe('github-app')).toMatchObject({ kind: 'alive' });
  expect(seen).toEqual([
    'POST /probe Bearer access-token-that-must-not-leak',
    'GET /probe Bearer access-token-that-must-not-leak',
  ]);
});

test('a dead token is told by the words of the file alone', async () => {
  server.answers(401, { message: 'Bad credentials', documentation_url: 'https://docs.github.com' });
  expect(await probe('github-app')).toEqual({ kind: 'dead', error: 'Bad credentials', httpStatus: 401 });
  server.answers(401, '<h1>Bad credentials</h1>', { 'content-type': 'text/html' });
  expect(await probe('github-app')).toMatchObject({ kind: 'failed', retryable: false });
  server.answers(401, {}, { 'www-authenticate': 'Bearer realm="x, y", error="invalid_token"' });
  expect(await probe('openid-connect')).toEqual({ kind: 'dead', error: 'invalid_token', httpStatus: 401 });
});

test('without a verdict it says whether and when to ask again', async () => {
  server.answers(429, { message: 'slow down' }, { 'retry-after': '7' });
  expect(await probe('github-app')).toMatchObject({ kind: 'failed', retryable: true, retryAfterMs: 7_000 });
  server.answers(503, {});
  expect(await probe('github-app')).toMatchObject({ kind: 'failed', retryable: true, error: 'http_503' });
  server.does((request) => void request.socket.destroy());
  expect(await probe('github-app')).toMatchObject({ kind: 'failed', retryable: true, error: 'interrupted' });
});

test('goes nowhere else: not after a redirect, and not to what is no https', async () => {
  server.does((_request, response) => void response.writeHead(302, { location: 'https://elsewhere.example' }).end());
  expect(await probe('github-app')).toMatchObject({ kind: 'failed', error: 'redirected' });
  expect(await probe('github-app', 'http://provider.example/user')).toMatchObject({
    kind: 'failed',
    error: 'insecure_url',
    retryable: false,
  });
});

test('a provider without one says so', async () => {
  const outcome = await clientAt(server.url, providerOf(catalog, 'linear')).probe(accessToken);
  expect(outcome).toMatchObject({ kind: 'failed', error: 'probe_unsupported', retryable: false });
});

describe('the parameters of a challenge', () => {
  test.each([
    ['Bearer error="invalid_token"', { error: 'invalid_token' }],
    ['Bearer error=insufficient_scope, scope="a b"', { error: 'insufficient_scope', scope: 'a b' }],
    [
      'Bearer realm="with \\"quotes\\", and error=\\"x\\"", ERROR="y"',
      { realm: 'with "quotes", and error="x"', error: 'y' },
    ],
    ['Basic realm="a", Bearer error="first", error="second"', { realm: 'a', error: 'first' }],
    ['Bearer', {}],
    ['"', {}],
    [null, {}],
  ])('%s', (header, expected) => {
    expect(Object.fromEntries(challengeParameters(header))).toEqual(expected);
  });
});

describe('the claims of a challenge', () => {
  const challengeOf = (claims: string) =>
    claimsIn(challengeParameters(`Bearer realm="", error="insufficient_claims", claims="${claims}"`));
  const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64');
  const wanted = { access_token: { nbf: { essential: true, value: '1604106651' } } };

  test("are Microsoft's, as one may ask for them", () => {
    const published = 'eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwgInZhbHVlIjoiMTYwNDEwNjY1MSJ9fX0=';
    expect(JSON.parse(challengeOf(published) ?? '')).toEqual(wanted);
    expect(challengeOf(Buffer.from(JSON.stringify(wanted)).toString('base64url'))).toBe(JSON.stringify(wanted));
  });

  test.each([
    ['nothing', ''],
    ['no JSON', 'AAAA'],
    ['a list', base64([wanted])],
    ['a text', base64('access_token')],
    ['an empty request', base64({})],
    ['another member', base64({ ...wanted, redirect_uri: 'https://evil.example' })],
    ['more than is kept', base64({ access_token: { x: 'x'.repeat(2_100) } })],
  ])('are none where they hold %s', (_title, claims) => {
    expect(challengeOf(claims)).toBeNull();
  });
});
