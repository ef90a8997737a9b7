import { classifyProbe, loadCatalog, parseProviderFile, providerOf, refusalMeaningOf } from './index.ts';

const catalog = loadCatalog();
const api = (id: string) => providerOf(catalog, id).api;
const verdict = (id: string, httpStatus: number, body: unknown, challenge: string | null = null) => {
  const { tokenProbe } = api(id);
  if (tokenProbe === null) throw new Error(`${id} has no probe`);
  return classifyProbe(tokenProbe, { httpStatus, body, challenge });
};

describe('the answer to a probe', () => {
  test.each([
    ['slack', 200, { ok: true, team_id: 'T1', user_id: 'U1' }, 'alive'],
    ['slack', 200, { ok: false, error: 'token_revoked' }, 'dead'],
    ['slack', 200, { ok: false, error: 'ratelimited' }, 'unclear'],
    ['slack', 429, { ok: false, error: 'token_revoked' }, 'unclear'],
    ['github-app', 200, { id: 1, login: 'octocat' }, 'alive'],
    ['github-app', 401, { message: 'Bad credentials' }, 'dead'],
    ['github-app', 401, '<html>', 'unclear'],
    ['github-app', 403, { message: 'API rate limit exceeded' }, 'unclear'],
    ['intercom', 200, { type: 'admin', id: '1' }, 'alive'],
    ['intercom', 401, { type: 'error.list', errors: [{ code: 'unauthorized' }] }, 'dead'],
    ['intercom', 401, { type: 'error.list', errors: [{ code: 'ip_blocked' }] }, 'unclear'],
    ['openid-connect', 200, { sub: 'ada' }, 'alive'],
    ['openid-connect', 200, {}, 'unclear'],
    ['openid-connect', 401, { error: 'invalid_token' }, 'unclear'],
  ] as const)('%s: %d with %j is %s', (id, httpStatus, body, expected) => {
    expect(verdict(id, httpStatus, body).verdict).toBe(expected);
  });

  test('names the word that decided', () => {
    expect(verdict('slack', 200, { error: 'account_inactive' })).toEqual({
      verdict: 'dead',
      error: 'account_inactive',
    });
    const challenged = { verdict: 'dead', error: 'invalid_token' };
    expect(verdict('openid-connect', 401, undefined, 'invalid_token')).toEqual(challenged);
    expect(verdict('openid-connect', 403, undefined, 'insufficient_scope').verdict).toBe('unclear');
  });
});

describe('a refused token', () => {
  test.each([
    ['slack', 200, 'missing_scope', null, 'scope_missing'],
    ['slack', 200, 'token_revoked', null, 'token_rejected'],
    ['slack', 200, 'channel_not_found', null, 'no_verdict'],
    ['github-app', 401, null, null, 'token_rejected'],
    ['github-app', 403, null, null, 'no_verdict'],
    ['linear', 401, null, 'invalid_token', 'token_rejected'],
    ['linear', 401, null, 'insufficient_scope', 'scope_missing'],
    ['linear', 403, 'insufficient_scope', null, 'scope_missing'],
    ['openid-connect', 401, null, 'insufficient_claims', 'claims_missing'],
  ] as const)('%s: %d, %s, %s means %s', (id, httpStatus, error, challenge, expected) => {
    const { means, word } = refusalMeaningOf(api(id), { httpStatus, error, challenge });
    expect(means).toBe(expected);
    const isByStatus = expected === 'no_verdict' || (error ?? challenge) === null;
    expect(word).toBe(isByStatus ? null : (challenge ?? error));
  });
});

test.each([
  ['http://provider.example/me', 'plain http'],
  ['https://provider.example/me?token=1', 'a query'],
  ['https://{host}.example/me', 'a parameter'],
])('a probe of %s is refused: %s', (url) => {
  const file = `
id: x
name: X
version: 1
endpoints:
  value: { authorization_endpoint: 'https://x.example/a', token_endpoint: 'https://x.example/t' }
  evidence: unverified
token_endpoint_auth_methods: { value: [none], evidence: unverified }
code_challenge_method: { value: S256, evidence: unverified }
scope_separator: { value: ' ', evidence: unverified }
access_token: { default_ttl_s: { value: null, evidence: unverified } }
refresh_token:
  issued: { value: never, evidence: unverified }
  rotation: { value: unknown, evidence: unverified }
  reuse_grace_s: { value: 0, evidence: unverified }
  refresh_ends_access_token: { value: null, evidence: unverified }
account: { value: none, evidence: unverified }
api:
  token_probe:
    value: { url: '${url}', alive: [{ http_status: 200 }], dead: [{ http_status: 401 }] }
    evidence: unverified
`;
  expect(() => parseProviderFile(file, 'x.yaml')).toThrow(expect.objectContaining({ code: 'provider.invalid' }));
  expect(() => parseProviderFile(file.replace(url, 'https://provider.example/me'), 'x.yaml')).not.toThrow();
});
