import type { Renewal } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import type { Provider } from '@postern/provider-catalog';

import { renewByIdentity, type ProviderClient } from './index.ts';
import { OauthServer } from './spec-support/oauth-server.ts';

/** What the draft asks of a client; its examples are what the two servers say here. */
let identityProvider: OauthServer;
let resourceServer: OauthServer;

beforeAll(async () => {
  [identityProvider, resourceServer] = await Promise.all([OauthServer.start(), OauthServer.start()]);
});
afterAll(async () => await Promise.all([identityProvider.close(), resourceServer.close()]));
beforeEach(() => {
  identityProvider.reset();
  resourceServer.reset();
  identityProvider.answer = { status: 200, body: issued(claims()) };
  resourceServer.answer = {
    status: 200,
    body: {
      token_type: 'Bearer',
      access_token: '2YotnFZFEjr1zCsicMWpAA',
      expires_in: 86_400,
      scope: 'chat.read chat.history',
    },
  };
});

const idJag = 'urn:ietf:params:oauth:token-type:id-jag';
const api = 'https://api.chat.example/';
const idToken = Secret.from('eyJraWQiOiJzMTZ0cVNtODhwREo4VGZCXzdrSEtQ.e30.c2ln');
const renewal = {
  grant: 'identity_assertion',
  ...{ scopes: ['chat.read', 'chat.history'], resource: [api], parameters: {} },
  subject: { connectionId: 'con_01jd0000000000000000000001', registrationId: 'reg_01jd0000000000000000000001' },
} as const satisfies Renewal;

/** The draft's own example, §3.1. */
function claims(other: Record<string, unknown> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1_000);
  return {
    ...{ jti: '9e43f81b64a33f20116179', iss: identityProvider.issuer, sub: 'U019488227', aud: resourceServer.issuer },
    ...{ client_id: 'app', exp: now + 300, iat: now, resource: api, scope: 'chat.read chat.history', auth_time: now },
    ...{ amr: ['mfa', 'phrh', 'hwk', 'user'], ...other },
  };
}

function jwt(payload: object, header: object = { alg: 'ES256', typ: 'oauth-id-jag+jwt' }): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(payload)}.c2lnbmF0dXJl`;
}

function issued(payload: object, other: object = {}, header?: object) {
  const said = { issued_token_type: idJag, token_type: 'N_A', scope: 'chat.read chat.history', expires_in: 300 };
  return { ...said, access_token: jwt(payload, header), ...other };
}

const renew = async (other: { renewal?: Partial<typeof renewal>; at?: ProviderClient } = {}) =>
  await renewByIdentity({
    identityProvider: identityProvider.client(),
    resourceServer: other.at ?? resourceServer.client(),
    renewal: { ...renewal, ...other.renewal },
    idToken,
  });

const formOf = (server: OauthServer) => {
  const { form } = server.only();
  expect(new Set(form.map(([name]) => name)).size).toBe(form.length);
  return Object.fromEntries(form);
};

test('§4.3 the ID token is exchanged at who issued it, for the issuer of the other server, the resource and the scopes', async () => {
  expect(await renew()).toMatchObject({ kind: 'refreshed' });
  expect(formOf(identityProvider)).toEqual({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    requested_token_type: idJag,
    audience: resourceServer.issuer,
    resource: api,
    scope: 'chat.read chat.history',
    subject_token: idToken.reveal(),
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
  });
  expect(identityProvider.only().headers.authorization).toMatch(/^Basic /);
});

test('§4.3 nothing is named that nobody wants; no actor', async () => {
  identityProvider.answer.body = issued(claims({ scope: undefined, resource: undefined }), { scope: undefined });
  await renew({ renewal: { scopes: [], resource: [] } as never });
  expect(Object.keys(formOf(identityProvider)).toSorted()).toEqual([
    'audience',
    'grant_type',
    'requested_token_type',
    'subject_token',
    'subject_token_type',
  ]);
  expect(Object.keys(formOf(resourceServer)).toSorted()).toEqual(['assertion', 'grant_type']);
});

test('§4.4 what was asserted is the assertion of RFC 7523, and our second client proves itself', async () => {
  await renew();
  const { assertion, ...form } = formOf(resourceServer);
  expect(form).toEqual({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    scope: 'chat.read chat.history',
  });
  expect(assertion).toBe((identityProvider.answer.body as { access_token: string }).access_token);
  expect(resourceServer.only().headers.authorization).toMatch(/^Basic /);
});

test('§4.3.4 where the identity provider grants fewer scopes, no more are asked for', async () => {
  identityProvider.answer.body = issued(claims({ scope: 'chat.read' }), { scope: 'chat.read' });
  resourceServer.answer.body = { token_type: 'Bearer', access_token: 'a' };
  expect(await renew()).toMatchObject({ tokenSet: { grantedScopes: ['chat.read'] } });
  expect(formOf(resourceServer)['scope']).toBe('chat.read');
});

test('§4.4.3 a refresh token is not kept; the next token is had in the same way', async () => {
  resourceServer.answer.body = { token_type: 'Bearer', access_token: 'a', refresh_token: 'r', scope: 'chat.read' };
  expect(await renew()).toMatchObject({ rotated: false, tokenSet: { refreshToken: null, renewal } });
  expect(await renew()).toMatchObject({ kind: 'refreshed' });
  expect(identityProvider.seen).toHaveLength(2);
});

test('§4.4.3 a token for more than was asked for is thrown away', async () => {
  resourceServer.answer.body = { token_type: 'Bearer', access_token: 'a', scope: 'chat.read chat.admin' };
  expect(await renew()).toMatchObject({ kind: 'failed', error: 'wider_scope' });
});

describe('an assertion that is not the one that was asked for is shown to nobody', () => {
  test.each<readonly [string, () => object, RegExp]>([
    [
      'another issued_token_type',
      () => issued(claims(), { issued_token_type: 'urn:ietf:params:oauth:token-type:jwt' }),
      /issued_token_type/,
    ],
    ['an access token', () => issued(claims(), { token_type: 'Bearer' }), /token_type/],
    ['no JWT', () => issued(claims(), { access_token: 'opaque' }), /no JWT/],
    ['another typ', () => issued(claims(), {}, { alg: 'ES256', typ: 'JWT' }), /typ/],
    ['another issuer', () => issued(claims({ iss: 'https://elsewhere.example' })), /iss/],
    ['another audience', () => issued(claims({ aud: 'https://elsewhere.example' })), /aud/],
    ['an audience more', () => issued(claims({ aud: [resourceServer.issuer, 'https://elsewhere.example'] })), /aud/],
    ['another client', () => issued(claims({ client_id: 'the client at the identity provider' })), /client_id/],
    ['nobody', () => issued(claims({ sub: undefined })), /sub/],
    ['no jti', () => issued(claims({ jti: undefined })), /jti/],
    ['no iat', () => issued(claims({ iat: undefined })), /iat/],
    ['an end in the past', () => issued(claims({ exp: Math.floor(Date.now() / 1_000) - 1 })), /ended/],
    ['another resource', () => issued(claims({ resource: 'https://elsewhere.example/' })), /resource/],
    ['more scopes', () => issued(claims({ scope: 'chat.read chat.admin' })), /scope/],
  ])('§3.1 %s', async (_what, answer, why) => {
    identityProvider.answer.body = answer();
    const outcome = await renew();
    expect(outcome).toMatchObject({ kind: 'client_rejected', error: 'assertion_unfit' });
    expect((outcome as { errorDescription: string }).errorDescription).toMatch(why);
    expect(resourceServer.seen).toEqual([]);
  });

  test('one that is encrypted for the other server is passed on', async () => {
    identityProvider.answer.body = issued(claims(), { access_token: 'eyJhbGciOiJFQ0RILUVTIn0..aXY.Y2lwaGVy.dGFn' });
    expect(await renew()).toMatchObject({ kind: 'refreshed' });
  });
});

test.each([
  'invalid_grant',
  'invalid_target',
  'invalid_request',
  'invalid_scope',
  'access_denied',
  'insufficient_user_authentication',
])('§4.3.4 %s of the identity provider is a verdict, told as its own and without the ID token', async (error) => {
  const description = `Subject doesn't meet authentication requirements ${idToken.reveal()}`;
  identityProvider.answer = { status: 400, body: { error, error_description: description } };
  const outcome = await renew();
  expect(outcome).toMatchObject({ kind: 'rejected', error });
  expect(JSON.stringify(outcome)).toContain('said the identity provider: ');
  expect(JSON.stringify(outcome)).not.toContain('eyJraWQi');
  expect(resourceServer.seen).toEqual([]);
});

test('§4.4 what the other server refuses is a verdict, without the assertion; trouble at either passes', async () => {
  const assertion = (identityProvider.answer.body as { access_token: string }).access_token;
  resourceServer.answer = { status: 400, body: { error: 'invalid_grant', error_description: `no: ${assertion}` } };
  const outcome = await renew();
  expect(outcome).toMatchObject({ kind: 'rejected', error: 'invalid_grant' });
  expect(JSON.stringify(outcome)).not.toContain(assertion);
  resourceServer.answer = { status: 503, body: {} };
  expect(await renew()).toMatchObject({ kind: 'failed' });
  identityProvider.answer = { status: 503, body: {} };
  expect(await renew()).toMatchObject({ kind: 'failed', errorDescription: 'said the identity provider' });
});

test('§7 a server whose metadata says that it does not do its part is not asked', async () => {
  const [idp, other] = [() => identityProvider.client(), () => resourceServer.client()];
  await idp().requireIdentityAssertions('asserts');
  await other().requireIdentityAssertions('takes');
  identityProvider.metadata = { identity_chaining_requested_token_types_supported: [] };
  resourceServer.metadata = { authorization_grant_profiles_supported: ['urn:example'] };
  const unsupported = { code: 'provider.feature_unsupported' };
  await expect(idp().requireIdentityAssertions('asserts')).rejects.toMatchObject(unsupported);
  await expect(other().requireIdentityAssertions('takes')).rejects.toMatchObject(unsupported);
  identityProvider.metadata = { identity_chaining_requested_token_types_supported: [idJag] };
  resourceServer.metadata = { authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'] };
  await idp().requireIdentityAssertions('asserts');
  await other().requireIdentityAssertions('takes');
});

test('§9.1 both clients prove themselves, or nothing is asked', async () => {
  const flow = { code: 'provider.flow_unsupported' };
  await expect(identityProvider.client({ method: 'none' }).requireIdentityAssertions('asserts')).rejects.toMatchObject(
    flow,
  );
  expect(() => resourceServer.client({ method: 'none' }).requireRenewal(renewal)).toThrow('no credential');
});

test('what the registration’s tokens are for is asked for, and nothing else', async () => {
  const at = resourceServer.client({ features: { resource: api } });
  await renew({ at, renewal: { resource: [] } as never });
  expect(formOf(identityProvider)['resource']).toBe(api);
  expect(formOf(resourceServer)['resource']).toBe(api);
  const other = { ...renewal, resource: ['https://elsewhere.example/'] };
  expect(() => at.requireRenewal(other)).toThrow('name no other resource');
});

test('between the two servers somebody may say that there is no time left', async () => {
  const between = () => {
    throw new Error('no time');
  };
  const clients = { identityProvider: identityProvider.client(), resourceServer: resourceServer.client() };
  await expect(renewByIdentity({ ...clients, renewal, idToken, between })).rejects.toThrow('no time');
  expect(resourceServer.seen).toEqual([]);
});

describe('an ID token', () => {
  const issuedTo = (more: object = {}) => {
    const now = Math.floor(Date.now() / 1_000);
    const payload = { iss: identityProvider.issuer, aud: 'app', sub: 'U019488227', iat: now, exp: now + 300, ...more };
    return jwt(payload, { alg: 'RS256' });
  };
  const refreshed = async (token: string, provider: Partial<Provider> = {}) => {
    identityProvider.answer.body = { access_token: 'a', token_type: 'Bearer', id_token: token };
    const outcome = await identityProvider
      .client({ provider })
      .refresh({ refreshToken: Secret.from('r'), grantedScopes: ['openid'] });
    return outcome.kind === 'refreshed' ? outcome.tokenSet.identity : outcome;
  };

  test('§4.4.3 that comes with a refresh is kept with its end, where its provider exchanges tokens', async () => {
    const token = issuedTo();
    expect(await refreshed(token)).toEqual({ idToken: token, expiresAtMs: expect.any(Number) as number });
    expect(await refreshed(token, { grantTypes: ['authorization_code'] })).toBeUndefined();
  });

  test('that is longer than any should be is left, and its token set kept', async () => {
    expect(await refreshed(issuedTo({ groups: 'g'.repeat(8_192) }))).toBeUndefined();
  });

  test('of another client is no answer', async () => {
    expect(await refreshed(issuedTo({ aud: 'another' }))).toMatchObject({ kind: 'failed' });
  });
});
