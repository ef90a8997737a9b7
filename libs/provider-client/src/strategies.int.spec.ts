import { Buffer } from 'node:buffer';
import { text } from 'node:stream/consumers';
import type { IncomingMessage } from 'node:http';

import { Secret } from '@postern/crypto';
import { loadCatalog, parseProviderFile, providerOf, strategyNames, type Provider } from '@postern/provider-catalog';

import { ProviderClient } from './index.ts';
import { clientAt, clientSecret, nowMs, refreshToken, TokenServer } from './spec-token-server.ts';

const catalog = loadCatalog();
const generic = providerOf(catalog, 'openid-connect');
const having = (strategy: Provider['strategies'][number]): Provider => ({ ...generic, strategies: [strategy] });

let server: TokenServer;
beforeAll(async () => {
  server = await TokenServer.start();
});
afterAll(() => server.close());

const tokens = { access_token: 'new-access-token', token_type: 'bearer', expires_in: 60 };
const refresh = (provider: Provider) =>
  clientAt(server.url, provider).refresh({ refreshToken, grantedScopes: ['contacts:read'] });

/** The request that a refresh makes, which gets tokens for it. */
async function requestOf(provider: Provider): Promise<{ headers: IncomingMessage['headers']; body: string }> {
  const seen = new Promise<{ headers: IncomingMessage['headers']; body: string }>((resolve, reject) => {
    server.does((request, response) => {
      text(request).then((body) => {
        resolve({ headers: request.headers, body });
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(tokens));
      }, reject);
    });
  });
  expect(await refresh(provider)).toMatchObject({ kind: 'refreshed' });
  return await seen;
}

test('every strategy is picked by a provider of the catalog', () => {
  const picked = new Set([...catalog.values()].flatMap(({ strategies }) => strategies));
  expect([...picked].toSorted()).toEqual(strategyNames.toSorted());
});

test('a strategy that nobody has written cannot stand in a file', () => {
  const file = (name: string) => `id: x
name: X
version: 1
endpoints:
  value: { authorization_endpoint: https://x.example/a, token_endpoint: https://x.example/t }
  evidence: unverified
strategies: [{ value: ${name}, evidence: unverified }]
`;
  expect(parseProviderFile(file('json_requests'), 'x.yaml').strategies).toEqual(['json_requests']);
  expect(() => parseProviderFile(file('eval'), 'x.yaml')).toThrow(/x\.yaml/);
});

describe('json_requests', () => {
  test('the form is sent as JSON', async () => {
    const { headers, body } = await requestOf(having('json_requests'));
    expect(headers['content-type']).toBe('application/json');
    expect(JSON.parse(body)).toMatchObject({ grant_type: 'refresh_token', refresh_token: refreshToken.reveal() });
  });

  test('without it, a form is a form', async () => {
    const { headers, body } = await requestOf(generic);
    expect(headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/);
    expect(new URLSearchParams(body).get('grant_type')).toBe('refresh_token');
  });
});

describe('secret_as_user', () => {
  const basic = (header = '') => Buffer.from(header.replace('Basic ', ''), 'base64').toString();

  test('the secret is the user of HTTP Basic, without a password', async () => {
    const { headers } = await requestOf(having('secret_as_user'));
    expect(basic(headers.authorization)).toBe(`${clientSecret.reveal()}:`);
    expect(basic((await requestOf(generic)).headers.authorization)).toMatch(/^app:/);
  });

  test.each([
    ['as its own way has it', having('secret_as_user')],
    ['as the standard has it', generic],
  ])('a provider that says the header back, %s, does not get it into an outcome', async (_way, provider) => {
    let said = '';
    server.does((request, response) => {
      said = request.headers.authorization?.replace('Basic ', '') ?? '';
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: 'invalid_grant', error_description: `No: Basic ${said}` }));
    });
    // Too short to be taken for a token by its looks alone.
    const client = clientAt(server.url, provider, 10_000, Secret.from('k-7.x_9*y'));
    const outcome = await client.refresh({ refreshToken, grantedScopes: [] });
    expect(said).not.toBe('');
    expect(outcome).toMatchObject({ kind: 'rejected', errorDescription: 'No: Basic [secret]' });
  });
});

describe('tokens_in_authed_user', () => {
  const user = { id: 'U1', access_token: 'xoxp', token_type: 'user', scope: 'chat:write' };
  const slack = (): Provider => ({ ...having('tokens_in_authed_user'), bearerTokenTypes: ['user'] });
  const kept = async (body: object) => {
    server.answers(200, body);
    const outcome = await refresh(slack());
    if (outcome.kind !== 'refreshed') throw new Error(outcome.kind);
    return outcome.tokenSet;
  };

  test('the tokens of the person are taken', async () => {
    const set = await kept({ ok: true, team: { id: 'T1' }, authed_user: { ...user, refresh_token: 'xoxe-u' } });
    expect(set).toMatchObject({ accessToken: 'xoxp', refreshToken: 'xoxe-u', grantedScopes: ['chat:write'] });
  });

  test('nothing of a bot in the same answer becomes the person’s', async () => {
    const bot = { ...tokens, token_type: 'bot', refresh_token: 'xoxe-bot', scope: 'files:read', bot_user_id: 'B1' };
    const set = await kept({ ...bot, authed_user: user });
    expect(set).toMatchObject({ accessToken: 'xoxp', accessTokenExpiresAtMs: null, grantedScopes: ['chat:write'] });
    expect(set.refreshToken).toBe(refreshToken.reveal());
  });

  test('an answer that has them at the top is taken as it is', async () => {
    expect(await kept({ ...tokens, authed_user: { id: 'U1' } })).toMatchObject({ accessToken: 'new-access-token' });
  });
});

describe('issuer_by_tid', () => {
  const tid = '11111111-2222-3333-4444-555555555555';
  const other = '99999999-2222-3333-4444-555555555555';
  const issuerOf = (tenant: string) => `https://login.microsoftonline.com/${tenant}/v2.0`;
  const idToken = (claims: object) => {
    const nowS = Math.floor(Date.now() / 1000);
    const parts = [{ alg: 'RS256' }, { sub: 'S', aud: 'app', nonce: 'n', iat: nowS, exp: nowS + 60, ...claims }];
    return [...parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')), 'c2ln'].join('.');
  };

  async function exchange(tenant: string, claims: object): Promise<string> {
    server.answers(200, { ...tokens, id_token: idToken(claims) });
    const microsoft: Provider = {
      ...providerOf(catalog, 'microsoft'),
      accountProbe: null,
      endpoints: {
        authorizationEndpoint: 'https://provider.example/authorize',
        tokenEndpoint: server.url,
        revocationEndpoint: null,
        introspectionEndpoint: null,
      },
    };
    const client = new ProviderClient({
      provider: microsoft,
      registration: { clientId: 'app', tokenEndpointAuthMethod: 'none', parameters: { tenant } },
      credentials: null,
      allowLoopback: true,
      nowMs: () => nowMs,
    });
    const callback = await client.readCallback({
      parameters: new URLSearchParams({ code: 'code', state: 's' }),
      expectedState: 's',
    });
    if (callback.kind !== 'code') throw new Error(callback.kind);
    const outcome = await client.exchangeCode({
      callback,
      redirectUri: 'https://postern.example/callback',
      codeVerifier: Secret.from('v'.repeat(43)),
      nonce: 'n',
      requestedScopes: [],
    });
    return outcome.kind === 'exchanged' ? (outcome.account?.issuer ?? 'nobody') : outcome.kind;
  }

  test.each(['common', 'organizations', 'contoso.onmicrosoft.com', tid])('asked as %s', async (tenant) => {
    expect(await exchange(tenant, { tid, iss: issuerOf(tid) })).toBe(issuerOf(tid));
  });

  test.each([
    ['another tenant than the registration is for', other, { tid, iss: issuerOf(tid) }],
    ['an issuer that is not the tenant’s', 'common', { tid, iss: issuerOf(other) }],
    ['an issuer elsewhere', 'common', { tid, iss: `https://login.evil.example/${tid}/v2.0` }],
    ['a tenant that is none', 'common', { tid: '../common', iss: issuerOf('../common') }],
    ['no tenant', 'common', { iss: issuerOf(tid) }],
  ])('is refused with %s', async (_what, tenant, claims) => {
    expect(await exchange(tenant, claims)).toBe('failed');
  });
});
