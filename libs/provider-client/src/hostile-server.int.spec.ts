import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';

import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';

import { answerBytesMax, heldClientSecret, ProviderClient } from './index.ts';

const provider = providerOf(loadCatalog(), 'openid-connect');
const refreshToken = Secret.from('refresh-token-that-must-not-leak');
const clientSecret = Secret.from('client-secret-that-must-not-leak');
const nowMs = 1_800_000_000_000;

let server: Server;
let issuer: string;
let paths: string[] = [];
let tokenEndpoint: RequestListener;
let metadata: Record<string, unknown> = {};

beforeAll(async () => {
  server = createServer((request, response) => {
    paths.push(request.url ?? '');
    if (request.url === '/.well-known/openid-configuration') {
      response.end(
        JSON.stringify({
          issuer,
          authorization_endpoint: `${issuer}/auth`,
          token_endpoint: `${issuer}/token`,
          ...metadata,
        }),
      );
    } else {
      tokenEndpoint(request, response);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});
beforeEach(() => {
  paths = [];
  metadata = {};
});

function client({ allowLoopback = true, timeoutMs = 10_000 } = {}): ProviderClient {
  return new ProviderClient({
    provider,
    registration: { clientId: 'app', tokenEndpointAuthMethod: 'client_secret_post', parameters: { issuer } },
    credentials: heldClientSecret(clientSecret),
    allowLoopback,
    timeoutMs,
    nowMs: () => nowMs,
  });
}

function answers(status: number, body: unknown, headers: Record<string, string> = {}): void {
  tokenEndpoint = (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

const refresh = (options?: Parameters<typeof client>[0]) =>
  client(options).refresh({ refreshToken, grantedScopes: ['contacts:read'] });

describe('a token answer', () => {
  test('without a new refresh token keeps the old one, without scope keeps the scopes', async () => {
    answers(200, { access_token: 'a', token_type: 'bearer' });
    expect(await refresh()).toEqual({
      kind: 'refreshed',
      rotated: false,
      tokenSet: {
        accessToken: 'a',
        tokenType: 'Bearer',
        refreshToken: refreshToken.reveal(),
        accessTokenExpiresAtMs: null,
        grantedScopes: ['contacts:read'],
      },
    });
  });

  test('with a lifetime as text, and null where nothing should stand, is understood', async () => {
    answers(200, { access_token: 'a', token_type: 'Bearer', expires_in: '3600', refresh_token: null, scope: null });
    expect(await refresh()).toMatchObject({
      kind: 'refreshed',
      tokenSet: { accessTokenExpiresAtMs: nowMs + 3_600_000, grantedScopes: ['contacts:read'] },
    });
  });

  test('with a lifetime nobody means ends within ten years', async () => {
    answers(200, { access_token: 'a', token_type: 'Bearer', expires_in: 1e300 });
    expect(await refresh()).toMatchObject({
      tokenSet: { accessTokenExpiresAtMs: nowMs + 10 * 365 * 86_400_000 },
    });
  });

  test('with something in scope that is no scope loses that, not the token', async () => {
    answers(200, { access_token: 'a', token_type: 'Bearer', scope: 'a a "b" c\\d e' });
    expect(await refresh()).toMatchObject({ kind: 'refreshed', tokenSet: { grantedScopes: ['a', 'e'] } });
  });

  test.each([
    ['no access token', { token_type: 'Bearer' }],
    ['a token bound to a key that is not ours', { access_token: 'a', token_type: 'DPoP' }],
    ['an unknown token type', { access_token: 'a', token_type: 'mac' }],
    ['an ID token that is none', { access_token: 'a', token_type: 'Bearer', id_token: 'x.y.z' }],
    ['HTML', '<html>Welcome</html>'],
    ['a list', '[]'],
    ['nothing', ''],
  ])('with %s is no answer, and the refresh token may be spent', async (_what, body) => {
    answers(200, body);
    const outcome = await refresh();
    expect(outcome).toMatchObject({ kind: 'failed', error: 'invalid_answer', mayHaveBeenProcessed: true });
  });
});

describe('a refusal', () => {
  test('invalid_grant rejects, with the words of the provider but without what we sent', async () => {
    const description = `token ${refreshToken.reveal()} of ${clientSecret.reveal()}\n is dead`;
    answers(400, { error: 'invalid_grant', error_description: description });
    expect(await refresh()).toEqual({
      kind: 'rejected',
      error: 'invalid_grant',
      errorDescription: 'token [secret] of [secret] is dead',
      httpStatus: 400,
    });
  });

  test('a 401 with a challenge still tells its error', async () => {
    answers(401, { error: 'invalid_client' }, { 'www-authenticate': 'Basic realm="x"' });
    expect(await refresh()).toMatchObject({ kind: 'client_rejected', error: 'invalid_client', httpStatus: 401 });
    answers(401, { error: 'invalid_grant' }, { 'www-authenticate': 'Basic realm="x"' });
    expect(await refresh()).toMatchObject({ kind: 'rejected', httpStatus: 401 });
    answers(401, '<html>');
    expect(await refresh()).toMatchObject({ kind: 'client_rejected', error: 'http_401', httpStatus: 401 });
  });

  test.each([500, 502, 429, 408, 503])('invalid_grant with status %d proves nothing', async (status) => {
    answers(status, { error: 'invalid_grant' });
    expect(await refresh()).toMatchObject({ kind: 'failed', httpStatus: status });
  });

  test.each([
    ['17', 17_000],
    [new Date(nowMs + 5_000).toUTCString(), 5_000],
    [new Date(nowMs - 5_000).toUTCString(), 0],
    ['999999999', 24 * 3_600_000],
    ['soon', null],
  ])('Retry-After: %s', async (header, retryAfterMs) => {
    answers(429, { error: 'slow_down' }, { 'retry-after': header });
    expect(await refresh()).toMatchObject({ kind: 'failed', error: 'slow_down', retryAfterMs });
  });

  test.each([
    [400, { error: 'consent_fatigue' }, 'consent_fatigue'],
    [400, '<html>', 'http_400'],
    [500, '<html>', 'http_500'],
    [403, { error: { nested: true } }, 'http_403'],
  ])('status %d with %j is a failure named %s', async (status, body, error) => {
    answers(status, body);
    expect(await refresh()).toMatchObject({ kind: 'failed', error, httpStatus: status });
  });
});

describe('the guard on calls', () => {
  test('a redirect is not followed', async () => {
    answers(307, '', { location: `${issuer}/elsewhere` });
    expect(await refresh()).toMatchObject({ kind: 'failed', error: 'redirected', httpStatus: 307 });
    expect(paths).not.toContain('/elsewhere');
  });

  test('an answer beyond the limit is not read', async () => {
    answers(200, { access_token: 'a'.repeat(answerBytesMax), token_type: 'Bearer' });
    expect(await refresh()).toMatchObject({ kind: 'failed', error: 'too_large', mayHaveBeenProcessed: true });
  });

  test('an answer that does not end is given up, and nobody knows whether it was processed', async () => {
    tokenEndpoint = (_request, response) => void response.writeHead(200).write('{"access_token":');
    expect(await refresh({ timeoutMs: 200 })).toMatchObject({ error: 'timeout', mayHaveBeenProcessed: true });
  });

  test('a provider on this machine is unreachable unless that is allowed', async () => {
    expect(await refresh({ allowLoopback: false })).toMatchObject({ kind: 'client_rejected', error: 'insecure_url' });
    expect(paths).toEqual([]);
  });

  test.each(['http://token.example/token', 'https://user:pass@token.example/', 'ftp://token.example/', 'token'])(
    'metadata cannot send us to %s',
    async (token_endpoint) => {
      metadata = { token_endpoint };
      await expect(client().discover()).rejects.toMatchObject({ code: 'registration.insecure_endpoint' });
    },
  );

  test('metadata cannot send a browser to a script', async () => {
    metadata = { authorization_endpoint: 'javascript:alert(1)' };
    await expect(client().discover()).rejects.toMatchObject({ code: 'registration.insecure_endpoint' });
  });

  test('metadata of another issuer, or without a token endpoint, is refused', async () => {
    metadata = { issuer: 'https://evil.example' };
    await expect(client().discover()).rejects.toMatchObject({ code: 'provider.answer_invalid' });
    metadata = { token_endpoint: undefined };
    await expect(client().discover()).rejects.toMatchObject({ code: 'provider.answer_invalid' });
  });

  test('a port where nobody listens: nothing was sent', async () => {
    const closed = createServer();
    closed.listen(0, '127.0.0.1');
    await once(closed, 'listening');
    metadata = { token_endpoint: `http://127.0.0.1:${(closed.address() as AddressInfo).port}/token` };
    closed.close();
    await once(closed, 'close');
    expect(await refresh()).toMatchObject({ kind: 'failed', error: 'unreachable', mayHaveBeenProcessed: false });
  });

  test('where there is no revocation endpoint, that is said and not tried again', async () => {
    const outcome = await client().revoke({ token: refreshToken, hint: 'refresh_token' });
    expect(outcome).toMatchObject({ kind: 'failed', error: 'revocation_unsupported', retryable: false });
  });

  test.each([
    [503, true],
    [400, false],
    [429, true],
  ])('a revocation refused with %d: to be tried again is %s', async (status, retryable) => {
    metadata = { revocation_endpoint: `${issuer}/revoke` };
    answers(status, { error: 'unsupported_token_type' });
    expect(await client().revoke({ token: refreshToken, hint: 'refresh_token' })).toMatchObject({
      kind: 'failed',
      retryable,
    });
  });
});

test('no failure holds what was sent', async () => {
  const outcomes: unknown[] = [];
  const failures: [number, unknown][] = [
    [400, { error: 'invalid_grant', error_description: refreshToken.reveal() }],
    [400, { error: clientSecret.reveal() }],
    [500, refreshToken.reveal()],
    [200, `{"access_token": "${refreshToken.reveal()}", `],
    [200, { access_token: refreshToken.reveal(), token_type: clientSecret.reveal() }],
  ];
  for (const [status, body] of failures) {
    answers(status, body);
    outcomes.push(await refresh());
  }
  expect(outcomes).toHaveLength(failures.length);
  expect(inspect(outcomes, { depth: 10 })).not.toMatch(/must-not-leak/);
});
