import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { PosternError } from '@postern/contracts';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';

import { ProviderClient } from './index.ts';

const catalog = loadCatalog();
const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url ?? '');
  const place = /^\/\.well-known\/(oauth-authorization-server|openid-configuration)(\/.*)?$/.exec(request.url ?? '');
  const own = /^(.*)\/\.well-known\/openid-configuration$/.exec(request.url ?? '');
  const path = place?.[2] ?? own?.[1];
  if (path === undefined || path.startsWith('/nothing')) return void response.writeHead(404).end();
  const issuer = `${origin}${path}`;
  response.setHeader('content-type', 'application/json');
  response.end(
    JSON.stringify({
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/${place === null ? 'openid' : 'oauth'}`,
      authorization_response_iss_parameter_supported: true,
    }),
  );
});
let origin = '';

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

const clientOf = (provider: Provider, parameters: Record<string, string>) =>
  new ProviderClient({
    provider,
    registration: { clientId: 'app', tokenEndpointAuthMethod: 'none', parameters },
    credentials: null,
    allowLoopback: true,
  });

test('an RFC 8414 issuer is found by its metadata alone, which stands before its path', async () => {
  const client = clientOf(providerOf(catalog, 'oauth-authorization-server'), { issuer: `${origin}/tenant` });
  expect(await client.discover()).toMatchObject({
    issuer: `${origin}/tenant`,
    endpoints: { tokenEndpoint: `${origin}/tenant/oauth` },
  });
  expect(asked).toContain('/.well-known/oauth-authorization-server/tenant');
});

test('an OpenID Connect issuer is found by its own, which stands behind it', async () => {
  const client = clientOf(providerOf(catalog, 'openid-connect'), { issuer: `${origin}/tenant` });
  expect((await client.discover()).endpoints.tokenEndpoint).toBe(`${origin}/tenant/openid`);
});

test('an issuer without metadata is said to have none', async () => {
  const client = clientOf(providerOf(catalog, 'oauth-authorization-server'), { issuer: `${origin}/nothing` });
  await expect(client.discover()).rejects.toMatchObject({ code: 'provider.answer_invalid' });
});

test('the scopes of a person stand in the parameter that the file names', async () => {
  const request = {
    redirectUri: 'https://p.example/cb',
    state: 's',
    codeChallenge: 'c',
    scopes: ['chat:write', 'im:history'],
  };
  const user = await clientOf(providerOf(catalog, 'slack-user'), {}).authorizationUrl(request);
  expect([user.searchParams.get('user_scope'), user.searchParams.get('scope')]).toEqual([
    'chat:write,im:history',
    null,
  ]);
  const bot = await clientOf(providerOf(catalog, 'slack'), {}).authorizationUrl(request);
  expect([bot.searchParams.get('user_scope'), bot.searchParams.get('scope')]).toEqual([null, 'chat:write,im:history']);
});

describe('a provider whose file says that each response carries iss', () => {
  const linear = providerOf(catalog, 'linear');
  const saying: Provider = { ...linear, authorizationResponseIss: true, issuer: 'https://issuer.example' };
  const code = async (provider: Provider, iss?: string) => {
    const parameters = new URLSearchParams({ code: 'c', state: 's', ...(iss !== undefined && { iss }) });
    try {
      return (await clientOf(provider, {}).readCallback({ parameters, expectedState: 's' })).kind;
    } catch (error) {
      return error instanceof PosternError ? error.code : 'no coded error';
    }
  };

  test('is refused without it, and with another', async () => {
    expect(await code(saying, 'https://issuer.example')).toBe('code');
    expect(await code(saying)).toBe('session.issuer_mismatch');
    expect(await code(saying, 'https://linear.app')).toBe('session.issuer_mismatch');
    expect(await code(linear)).toBe('code');
  });
});
