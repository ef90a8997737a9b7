import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { generalAnswers, loadCatalog, providerOf, type AnswerRow, type Provider } from '@postern/provider-catalog';

import { Secret } from '@postern/crypto';

import { accountKeyDigest } from './index.ts';
import { clientAt, clientSecret, nowMs, refreshToken, TokenServer } from './spec-token-server.ts';

const catalog = loadCatalog();
const generic = providerOf(catalog, 'openid-connect');
const kindOf = { rejected: 'rejected', ours_to_mend: 'client_rejected', passes: 'failed' } as const;

let server: TokenServer;

beforeAll(async () => {
  server = await TokenServer.start();
});
afterAll(() => server.close());

const refreshAt = (url: string, provider: Provider = generic, timeoutMs?: number) =>
  clientAt(url, provider, timeoutMs).refresh({ refreshToken, grantedScopes: ['contacts:read', 'contacts:write'] });
const refresh = (provider?: Provider) => refreshAt(server.url, provider);

/** What a real answer to which the row speaks could look like. */
function bodyFor({ member, match }: AnswerRow, word: string): object {
  const said = match === 'contains' ? `Sorry: ${word}.` : word;
  return member === null ? {} : { [member]: member === 'errors' ? [said] : said, requestId: 'r-1' };
}

const cases = (rows: readonly AnswerRow[]) =>
  rows.flatMap((row) => {
    const [first, last] = row.httpStatus;
    const statuses = [...new Set([Math.max(first, 200), last])];
    return statuses.flatMap((status) =>
      (row.member === null ? [''] : row.words).map((word) => [status, word || 'anything', row] as const),
    );
  });
const ownCases = [...catalog.values()].flatMap((provider) =>
  cases(provider.answers).map(([status, word, row]) => [provider.id, status, word, row] as const),
);

describe("every row of every provider's table", () => {
  test('there are some', () => expect(ownCases.length).toBeGreaterThan(20));

  test.each(ownCases)('%s: %d with %s', async (id, status, word, row) => {
    server.answers(status, bodyFor(row, word));
    const outcome = await refresh(providerOf(catalog, id));
    expect(outcome).toMatchObject({ kind: kindOf[row.means], httpStatus: status });
    expect(JSON.stringify(outcome)).toContain(word);
    if (outcome.kind === 'failed') expect(outcome.mayHaveBeenProcessed).toBe(row.mayBeSpent);
  });

  test.each(ownCases.filter(([, , , row]) => row.means === 'rejected'))(
    '%s: %d with %s proves nothing when it comes with a 500',
    async (id, _status, word, row) => {
      server.answers(500, bodyFor(row, word));
      expect(await refresh(providerOf(catalog, id))).toMatchObject({ kind: 'failed' });
    },
  );
});

describe('every row of the general rule, at a provider without rows of its own', () => {
  // 401 and 3xx, 1xx are met before the last rows; the first row that fits decides, as it does here.
  const reached = cases(generalAnswers).filter(([status]) => status < 300 || status >= 400);

  test.each(reached)('%d with %s', async (status, word, row) => {
    server.answers(status, bodyFor(row, word));
    const first = generalAnswers.find(
      ({ httpStatus: [from, to], member, words }) =>
        status >= from && status <= to && (member === null || (member === row.member && words.includes(word))),
    );
    const outcome = await refresh();
    expect(outcome).toMatchObject({ kind: kindOf[first?.means ?? 'passes'], httpStatus: status });
    if (outcome.kind === 'failed') expect(outcome.mayHaveBeenProcessed).toBe(first?.mayBeSpent);
  });
});

/** As they were seen or are documented: the table is right only if it judges these so. */
const seen = [
  ['hubspot', 400, { status: 'BAD_REFRESH_TOKEN', message: 'missing or invalid refresh token' }, 'rejected'],
  ['hubspot', 400, { error: 'invalid_grant' }, 'rejected'],
  ['hubspot', 400, { status: 'BAD_CLIENT_SECRET', message: 'missing or invalid client secret' }, 'client_rejected'],
  ['hubspot', 400, { status: 'error', message: 'something else' }, 'failed'],
  ['slack', 200, { ok: false, error: 'token_revoked' }, 'rejected'],
  ['slack', 200, { ok: false, error: 'invalid_refresh_token' }, 'rejected'],
  ['slack', 200, { ok: false, error: 'bad_client_secret' }, 'client_rejected'],
  ['slack', 200, { ok: false, error: 'internal_error' }, 'failed'],
  ['slack', 200, { ok: false, error: 'never_heard_of' }, 'failed'],
  ['slack', 400, { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' }, 'rejected'],
  [
    'github-app',
    200,
    { error: 'bad_refresh_token', error_description: 'The refresh token passed is incorrect or expired.' },
    'rejected',
  ],
  ['github-app', 200, { error: 'incorrect_client_credentials' }, 'client_rejected'],
  ['atlassian', 403, { error: 'invalid_grant', error_description: 'Unknown or invalid refresh token.' }, 'rejected'],
  ['atlassian', 403, { error: 'unauthorized_client', error_description: 'refresh_token is invalid' }, 'rejected'],
  ['atlassian', 403, { error: 'unauthorized_client', error_description: 'no such app' }, 'client_rejected'],
  ['gong', 400, { requestId: 'r', errors: ['Refresh token code is invalid'] }, 'rejected'],
  ['gong', 400, { requestId: 'r', errors: ['Something else'] }, 'failed'],
  ['xero', 400, { error: 'invalid_grant' }, 'rejected'],
  ['xero', 400, { error: 'unauthorized_client' }, 'client_rejected'],
  ['greenhouse', 401, { error: 'invalid_client' }, 'client_rejected'],
  ['zendesk', 400, { error: 'invalid_grant', error_description: 'refresh token is expired' }, 'rejected'],
  ['google', 400, { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' }, 'rejected'],
  ['linear', 400, { error: 'invalid_grant' }, 'rejected'],
  ['openid-connect', 200, { error: 'invalid_grant' }, 'failed'],
  ['openid-connect', 403, { error: 'invalid_grant' }, 'rejected'],
  ['openid-connect', 400, { error: 'invalid_scope' }, 'client_rejected'],
  ['openid-connect', 401, {}, 'client_rejected'],
  ['openid-connect', 404, {}, 'client_rejected'],
  ['openid-connect', 408, { error: 'invalid_client' }, 'failed'],
  ['openid-connect', 409, { error: 'conflict' }, 'failed'],
  ['openid-connect', 429, { error: 'invalid_grant' }, 'failed'],
  ['openid-connect', 501, { error: 'invalid_client' }, 'failed'],
  ['openid-connect', 503, { error: 'invalid_grant' }, 'failed'],
] as const;

test.each(seen)('%s: %d %j is %s', async (id, status, body, kind) => {
  server.answers(status, body);
  expect(await refresh(providerOf(catalog, id))).toMatchObject({ kind });
});

test("the provider's words are kept as they are", async () => {
  server.answers(400, { status: 'BAD_REFRESH_TOKEN', message: 'missing or  invalid refresh token' });
  expect(await refresh(providerOf(catalog, 'hubspot'))).toEqual({
    kind: 'rejected',
    error: 'BAD_REFRESH_TOKEN',
    errorDescription: 'missing or invalid refresh token',
    httpStatus: 400,
  });
  server.answers(400, { errors: ['Refresh token code is invalid'] });
  expect(await refresh(providerOf(catalog, 'gong'))).toMatchObject({ error: 'Refresh token code is invalid' });
  server.answers(500, { error: 'server_error', error_description: 'x'.repeat(40) + ' '.repeat(2_000) + 'y' });
  expect(await refresh()).toMatchObject({
    kind: 'failed',
    error: 'server_error',
    errorDescription: `${'x'.repeat(40)} y`,
  });
});

describe('what a provider repeats of a secret is hidden', () => {
  const basic = Buffer.from(`app:${clientSecret.reveal()}`).toString('base64');
  const jwt = `eyJhbGciOiJSUzI1NiJ9.${'a1'.repeat(20)}.${'b2'.repeat(20)}`;

  test.each([
    ['the refresh token', refreshToken.reveal(), 'is dead'],
    ['the refresh token cut short', `${refreshToken.reveal().slice(0, 20)}...`, 'is dead'],
    ['its end', `...${refreshToken.reveal().slice(-14)}`, 'is dead'],
    ['the request', `grant_type=refresh_token&refresh_token=${refreshToken.reveal()}`, 'was refused'],
    ['the Authorization header', `Basic ${basic}`, 'was refused'],
    ['a token nobody sent', jwt, 'is newer'],
    ['an opaque token nobody sent', `at_${'Zq9'.repeat(20)}`, 'is newer'],
  ])('%s', async (_what, echo, rest) => {
    server.answers(400, { error: 'invalid_grant', error_description: `${echo} ${rest}` });
    const outcome = await refresh();
    if (outcome.kind !== 'rejected') throw new Error(outcome.kind);
    expect(outcome.errorDescription).toContain('[secret]');
    expect(outcome.errorDescription).toContain(rest);
    const pieces = (secret: string) => Array.from({ length: secret.length - 11 }, (_, at) => secret.slice(at, at + 12));
    const known = [refreshToken.reveal(), clientSecret.reveal(), basic, jwt, 'Zq9'.repeat(20)].flatMap(pieces);
    expect(known.filter((piece) => outcome.errorDescription?.includes(piece))).toEqual([]);
  });

  test('and ordinary words are not', async () => {
    const words =
      'AADSTS50173: Trace ID: 0000aaaa-11bb-cccc-dd22-eeeeee333333 at https://login.example.com/error?code=1';
    server.answers(400, { error: 'invalid_grant', error_description: words });
    expect(await refresh()).toMatchObject({ errorDescription: words });
  });
});

describe('Retry-After is heard in both its forms, whatever the status', () => {
  test.each([
    [429, '17', 17_000],
    [503, new Date(nowMs + 5_000).toUTCString(), 5_000],
    [200, '30', 30_000],
  ])('%d, Retry-After: %s', async (status, header, retryAfterMs) => {
    server.answers(status, { ok: false, error: 'ratelimited' }, { 'retry-after': header });
    expect(await refresh(providerOf(catalog, 'slack'))).toMatchObject({ kind: 'failed', retryAfterMs });
  });
});

describe('a token answer that is not quite the standard', () => {
  const token = { access_token: 'a', token_type: 'bearer' };
  const written = (expiresIn: { unit: 's' | 'ms'; maxS: number } | null): Provider => ({
    ...generic,
    accessTokenDefaultTtlS: 1_800,
    expiresIn,
  });

  test.each([
    ['seconds', 3600, null, 3_600],
    ['seconds as text', '3600', null, 3_600],
    ['milliseconds, where the file says so', 3_600_000, { unit: 'ms', maxS: 86_400 }, 3_600],
    ['milliseconds as text', '3600000', { unit: 'ms', maxS: 86_400 }, 3_600],
    ['more than any token of the provider lives', 3_600_000, { unit: 's', maxS: 86_400 }, 1_800],
    ['seconds where nothing is known', 3_600_000, null, 3_600_000],
    ['nothing', undefined, null, 1_800],
    ['no number', 'soon', null, 1_800],
    ['an empty text', '', null, 1_800],
    ['less than nothing', -1, null, 1_800],
    ['zero', 0, null, 1_800],
  ] as const)('a lifetime in %s', async (_what, expiresIn, known, seconds) => {
    server.answers(200, { ...token, expires_in: expiresIn });
    const outcome = await refresh(written(known));
    expect(outcome).toMatchObject({ tokenSet: { accessTokenExpiresAtMs: nowMs + seconds * 1_000 } });
  });

  test.each([
    ['absent', undefined],
    ['empty', ''],
    ['null', null],
    ['an empty list', []],
    ['nothing but what is no scope', '"'],
    ['an object', {}],
  ])('a scope that is %s says that nothing changed', async (_what, scope) => {
    server.answers(200, { ...token, scope });
    expect(await refresh()).toMatchObject({ tokenSet: { grantedScopes: ['contacts:read', 'contacts:write'] } });
  });

  test.each([
    ['a text', 'contacts:read', ['contacts:read']],
    ['a list', ['contacts:read', 'profile'], ['contacts:read', 'profile']],
  ])('a scope that shrank or changed, as %s, is what counts now', async (_what, scope, grantedScopes) => {
    server.answers(200, { ...token, scope });
    expect(await refresh()).toMatchObject({ tokenSet: { grantedScopes } });
  });

  test('without a refresh token keeps the old one; with one it rotates', async () => {
    server.answers(200, token);
    expect(await refresh()).toMatchObject({ rotated: false, tokenSet: { refreshToken: refreshToken.reveal() } });
    server.answers(200, { ...token, refresh_token: 'next' });
    expect(await refresh()).toMatchObject({ rotated: true, tokenSet: { refreshToken: 'next' } });
  });

  test('without a token type is a bearer token: nothing else is ever asked for', async () => {
    server.answers(200, { access_token: 'a' });
    expect(await refresh()).toMatchObject({ kind: 'refreshed', tokenSet: { tokenType: 'Bearer' } });
  });

  test("Slack's bot token is a bearer token there, and nowhere else", async () => {
    const answer = { ok: true, access_token: 'xoxe.xoxb-1', token_type: 'bot', expires_in: 43_200, refresh_token: 'x' };
    server.answers(200, { ...answer, scope: 'commands,incoming-webhook' });
    expect(await refresh(providerOf(catalog, 'slack'))).toMatchObject({
      kind: 'refreshed',
      rotated: true,
      tokenSet: { grantedScopes: ['commands', 'incoming-webhook'], accessTokenExpiresAtMs: nowMs + 43_200_000 },
    });
    expect(await refresh()).toMatchObject({ kind: 'failed', error: 'invalid_answer' });
  });
});

describe('the account that an answer names', () => {
  const exchange = async (provider: Provider) => {
    const client = clientAt(server.url, provider);
    const parameters = new URLSearchParams({ code: 'c', state: 's' });
    const callback = await client.readCallback({ parameters, expectedState: 's' });
    if (callback.kind === 'denied') throw new Error('denied');
    const code = { callback, redirectUri: 'https://postern.example/cb', codeVerifier: Secret.from('v'.repeat(43)) };
    return await client.exchangeCode({ ...code, nonce: null, requestedScopes: [] });
  };
  const slackAnswer = { ok: true, access_token: 'xoxb-1', token_type: 'bot', team: { id: 'T1' }, bot_user_id: 'U2' };

  test('is told by the keys of the provider’s file', async () => {
    server.answers(200, slackAnswer);
    expect(await exchange(providerOf(catalog, 'slack'))).toMatchObject({
      accountKeys: [
        { key: 'team', values: ['T1'] },
        { key: 'team_bot', values: ['T1', 'U2'] },
      ],
    });
    server.answers(200, slackAnswer);
    expect(await exchange(providerOf(catalog, 'linear'))).toMatchObject({ kind: 'failed' });
    server.answers(200, { ...slackAnswer, token_type: 'bearer' });
    expect(await exchange(providerOf(catalog, 'linear'))).toMatchObject({ kind: 'exchanged', accountKeys: [] });
  });

  test('is told by the claims of the ID token, and the refresh token by its fingerprints', async () => {
    const claims = { iss: 'https://provider.example', sub: '1076915', email: 'jsmith@example.com' };
    const nowS = Math.floor(Date.now() / 1000);
    const times = { aud: 'app', iat: nowS, exp: nowS + 600 };
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const idToken = `${part({ alg: 'RS256' })}.${part({ ...claims, ...times })}.c2lnbmF0dXJl`;
    server.answers(200, {
      ...{ access_token: 'ya29.a', token_type: 'Bearer', expires_in: 3_599 },
      ...{ refresh_token: '1//0abcdefghijklmnop', id_token: idToken },
    });
    expect(await exchange(providerOf(catalog, 'google'))).toMatchObject({
      account: { issuer: claims.iss, subject: claims.sub },
      accountKeys: [
        { key: 'email', values: [claims.email] },
        { key: 'subject', values: [claims.sub] },
        { key: 'refresh_token_prefix', values: ['1//0abcdefghijkl'] },
        {
          key: 'refresh_token_hash',
          // printf '1//0abcdefghijklmnop' | openssl dgst -sha512 -binary | openssl dgst -sha512 -binary | base64 -w0
          values: ['XohYdlGW5wka+3J9qQyqPKNM7Mj5HCFixYzn2fXMjgsAc+WR91WvvhbusxwCtde4MUHmHsslrmPqorE/r9pL4A=='],
        },
      ],
    });
  });

  test('is asked for where the token endpoint does not say', async () => {
    const seen: (string | undefined)[] = [];
    let answer: [number, string] = [200, '{"id":583231,"login":"octocat"}'];
    server.does((request, response) => {
      if (request.url === '/user') seen.push(request.headers.authorization);
      const [status, body] = request.url === '/user' ? answer : [200, '{"access_token":"ghu_1","token_type":"bearer"}'];
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    });
    const github = providerOf(catalog, 'github-app');
    const url = server.url.replace('/token', '/user');
    const there = { ...github, accountProbe: { url, names: github.accountProbe?.names ?? [] } };
    expect(await exchange(there)).toMatchObject({ accountKeys: [{ key: 'user', values: ['583231'] }] });
    expect(seen).toEqual(['Bearer ghu_1']);
    for (answer of [
      [503, '{}'],
      [401, '{"id":1}'],
      [200, 'no json'],
      [200, '[]'],
    ] as [number, string][]) {
      expect(await exchange(there)).toMatchObject({ kind: 'exchanged', accountKeys: [] });
    }
  });

  test('has another digest for another tenant, provider, key and account, and the same for the same', () => {
    const key = Buffer.alloc(32, 1);
    const [scope, account] = [
      { tenantId: 'ten_a', providerId: 'slack' },
      { key: 'team', values: ['T1'] },
    ];
    const digests = [
      accountKeyDigest(key, scope, account),
      accountKeyDigest(key, { ...scope, tenantId: 'ten_b' }, account),
      accountKeyDigest(key, { ...scope, providerId: 'stripe' }, account),
      accountKeyDigest(key, scope, { ...account, key: 'team_bot' }),
      accountKeyDigest(key, scope, { ...account, values: ['T', '1'] }),
      accountKeyDigest(Buffer.alloc(32, 2), scope, account),
    ];
    expect(new Set(digests).size).toBe(digests.length);
    expect(accountKeyDigest(key, scope, { ...account })).toBe(digests[0]);
  });
});

describe('answers that are refused', () => {
  test.each(['text/html', 'text/plain', 'application/x-www-form-urlencoded'])(
    'tokens that call themselves %s',
    async (type) => {
      server.answers(200, { access_token: 'a', token_type: 'bearer' }, { 'content-type': type });
      expect(await refresh()).toMatchObject({ kind: 'failed', error: 'invalid_answer', mayHaveBeenProcessed: true });
    },
  );

  test.each([
    [200, 'invalid_answer'],
    [400, 'http_400'],
    [502, 'http_502'],
  ])('a page in the place of JSON, with status %d, is no verdict', async (status, error) => {
    server.answers(status, '<html>invalid_grant</html>', { 'content-type': 'text/html' });
    expect(await refresh()).toMatchObject({ kind: 'failed', error });
    server.answers(status, { error: 'invalid_grant' }, { 'content-type': 'text/html' });
    expect(await refresh()).toMatchObject({ kind: 'failed', error });
  });
});

describe('calls that have no answer', () => {
  test('a connection reset after the request was read: nobody knows', async () => {
    server.does((request) => void request.on('data', () => request.socket.resetAndDestroy()));
    expect(await refresh()).toMatchObject({ kind: 'failed', error: 'interrupted', mayHaveBeenProcessed: true });
  });

  test('a connection closed in the middle of the answer: nobody knows', async () => {
    server.does((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
      response.write('{"access_token":');
      response.socket?.end();
    });
    expect(await refresh()).toMatchObject({ kind: 'failed', error: 'interrupted', mayHaveBeenProcessed: true });
  });

  test('silence until the time is over: nobody knows', async () => {
    server.does(() => undefined);
    expect(await refreshAt(server.url, generic, 200)).toMatchObject({ error: 'timeout', mayHaveBeenProcessed: true });
  });

  test('a name that does not resolve: nothing was sent', async () => {
    const outcome = await refreshAt('https://token.invalid/token');
    expect(outcome).toMatchObject({ kind: 'failed', error: 'unreachable', mayHaveBeenProcessed: false });
  });

  test('an endpoint without TLS is ours to mend', async () => {
    const outcome = await refreshAt('http://provider.example/token');
    expect(outcome).toMatchObject({ kind: 'client_rejected', error: 'insecure_url' });
  });
});

describe('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-tls-'));
  let https: ReturnType<typeof createHttpsServer>;
  let tcp: Server;
  const portOf = (listening: Server) => (listening.address() as AddressInfo).port;

  beforeAll(async () => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=other.example', '-days', '2'];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject],
      {
        stdio: 'ignore',
      },
    );
    https = createHttpsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_request, response) =>
      response.end('{}'),
    );
    tcp = createTcpServer((socket) => {
      socket.on('error', () => undefined).end('220 welcome\r\n');
      socket.destroySoon();
    });
    for (const listening of [https, tcp]) {
      listening.listen(0, '127.0.0.1');
      await once(listening, 'listening');
    }
  });
  afterAll(async () => {
    https.closeAllConnections();
    for (const listening of [https, tcp]) {
      listening.close();
      await once(listening, 'close');
    }
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    ['a certificate nobody vouches for', () => portOf(https)],
    ['a port that speaks no TLS', () => portOf(tcp)],
    ["a plain http server's port", () => Number(new URL(server.url).port)],
  ])('%s: nothing was sent', async (_what, port) => {
    const outcome = await refreshAt(`https://localhost:${port()}/token`);
    expect(outcome).toMatchObject({ kind: 'failed', error: 'unreachable', mayHaveBeenProcessed: false });
  });
});
