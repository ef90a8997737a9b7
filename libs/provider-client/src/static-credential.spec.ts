import type { StaticSecret } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf, type Provider, type StaticCredential } from '@postern/provider-catalog';

import { carrying, staticTokenSet } from './static-credential.ts';

const url = 'https://api.acme.example/v1/me';
const at = (credential: StaticCredential | null) => ({ name: 'Acme', credential }) as Provider;
const inHeader = (prefix: string, name = 'X-Api-Key') => at({ kind: 'api_key', in: 'header', name, prefix });
const basic = (password: 'given' | 'empty', usernameSuffix = '') => at({ kind: 'basic', usernameSuffix, password });
const headers = at({ kind: 'headers', names: ['X-Key', 'X-Secret'] });

/** What is leased of it, and how our own probe sends it. */
function carried(provider: Provider, secret: StaticSecret) {
  const { accessToken, tokenType, sentAs } = staticTokenSet(provider, secret);
  return { accessToken, tokenType, sentAs, ...carrying(provider, { url, accessToken: Secret.from(accessToken) }) };
}

function codeOf(provider: Provider, secret: StaticSecret): string {
  try {
    staticTokenSet(provider, secret);
    return 'taken';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test('an API key stands behind its prefix in its header, and is a bearer token where that is what it looks like', () => {
  expect(carried(inHeader('Key '), { api_key: 'k1' })).toEqual({
    accessToken: 'k1',
    tokenType: 'api_key',
    sentAs: { in: 'header', name: 'X-Api-Key', prefix: 'Key ' },
    url,
    headers: { 'x-api-key': 'Key k1' },
  });
  const stripe = carried(providerOf(loadCatalog(), 'stripe-api-key'), { api_key: 'sk_1' });
  expect(stripe).toMatchObject({ tokenType: 'Bearer', headers: { authorization: 'Bearer sk_1' } });
});

test('an API key in the query is encoded there, and stands in no header', () => {
  const provider = at({ kind: 'api_key', in: 'query', name: 'key', prefix: '' });
  expect(carried(provider, { api_key: 'a&b=c' })).toMatchObject({
    sentAs: { in: 'query', name: 'key' },
    url: `${url}?key=a%26b%3Dc`,
    headers: {},
  });
});

test('a name and a password are leased as the pair that HTTP Basic wants (RFC 7617 §2)', () => {
  const { accessToken, ...rest } = carried(basic('given', '/token'), { username: 'ada@acme.example', password: 'p' });
  expect(Buffer.from(accessToken, 'base64').toString()).toBe('ada@acme.example/token:p');
  expect(rest).toMatchObject({ tokenType: 'Basic', headers: { authorization: `Basic ${accessToken}` } });
  expect(carried(basic('empty'), { username: 'key', password: '' }).accessToken).toBe(btoa('key:'));
});

test('several headers are leased together, as the file spells them', () => {
  const {
    accessToken,
    tokenType,
    sentAs,
    headers: sent,
  } = carried(headers, { headers: { 'x-secret': 's', 'X-Key': 'k' } });
  expect({ tokenType, sentAs, sent }).toEqual({
    tokenType: 'headers',
    sentAs: { in: 'headers' },
    sent: { 'X-Key': 'k', 'X-Secret': 's' },
  });
  expect(JSON.parse(accessToken)).toEqual(sent);
});

test('has no end that is known and is refreshed by nobody', () => {
  expect(staticTokenSet(headers, { headers: { 'x-key': 'k', 'x-secret': 's' } })).toMatchObject({
    refreshToken: null,
    accessTokenExpiresAtMs: null,
    grantedScopes: [],
  });
});

test.each<[string, Provider, StaticSecret]>([
  ['an API key where a pair is wanted', basic('given'), { api_key: 'k' }],
  ['a pair where an API key is wanted', inHeader(''), { username: 'u', password: 'p' }],
  ['no password where one is wanted', basic('given'), { username: 'u', password: '' }],
  ['a password where there is none', basic('empty'), { username: 'u', password: 'p' }],
  ['a header too few', headers, { headers: { 'X-Key': 'k' } }],
  ['a header too many', headers, { headers: { 'X-Key': 'k', 'X-Secret': 's', Cookie: 'c' } }],
])('another form than the provider’s is refused: %s', (_what, provider, secret) => {
  expect(codeOf(provider, secret)).toBe('request.malformed');
});

test('a provider whose tokens are had by OAuth takes none', () => {
  expect(codeOf(providerOf(loadCatalog(), 'linear'), { api_key: 'k' })).toBe('provider.flow_unsupported');
});
