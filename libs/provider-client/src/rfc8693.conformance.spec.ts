import type { Renewal } from '@postern/contracts';
import { Secret } from '@postern/crypto';

import { OauthServer } from './spec-support/oauth-server.ts';

/** What RFC 8693 asks of a client, section by section; tools/src/conformance says which test proves what. */
let server: OauthServer;

beforeAll(async () => {
  server = await OauthServer.start();
});
afterAll(() => server.close());
beforeEach(() => {
  server.reset();
  server.answer = answered();
});

const accessToken = 'urn:ietf:params:oauth:token-type:access_token';
const party = (n: number) => ({
  connectionId: `con_01jd${String(n).padStart(22, '0')}`,
  registrationId: 'reg_01jd0000000000000000000001',
});
const renewal = {
  grant: 'token_exchange',
  ...{ scopes: ['contacts:read'], audience: ['billing'], resource: ['https://billing.example/v1'] },
  ...{ subject: party(1), actor: party(2), parameters: { tenant_hint: '7' } },
} as const satisfies Renewal;
const shown = {
  subject: { accessToken: Secret.from('the token of the subject'), grantedScopes: ['contacts:read', 'contacts:write'] },
  actor: { accessToken: Secret.from('the token of the actor'), grantedScopes: [] },
};
const withoutActor = { ...shown, actor: null };

function answered(more: Record<string, unknown> = {}) {
  const body = { access_token: 'new', issued_token_type: accessToken, token_type: 'Bearer', expires_in: 60, ...more };
  return { status: 200, body };
}

const renew = (more: Partial<typeof renewal> = {}, tokens: Parameters<typeof exchange>[1] = shown) =>
  exchange({ ...renewal, ...more }, tokens);
const exchange = (
  one: Renewal,
  tokens: { subject: typeof shown.subject; actor: typeof shown.actor | null },
  options: Parameters<OauthServer['client']>[0] = {},
) => server.client(options).renew(one, tokens);

test('§2.1 grant type, tokens with their types, targets and scopes stand in the form, and nowhere else', async () => {
  expect(await renew()).toMatchObject({ kind: 'refreshed' });
  const { form, url, headers } = server.only();
  expect(Object.fromEntries(form)).toEqual({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: 'the token of the subject',
    subject_token_type: accessToken,
    actor_token: 'the token of the actor',
    actor_token_type: accessToken,
    requested_token_type: accessToken,
    audience: 'billing',
    resource: 'https://billing.example/v1',
    scope: 'contacts:read',
    tenant_hint: '7',
  });
  expect(url).toBe('/token');
  expect(headers.authorization).toMatch(/^Basic /);
});

test('§2.1 several audiences and resources each stand by themselves', async () => {
  const more = { audience: ['billing', 'ledger'], resource: ['https://a.example/', 'https://b.example/'] } as const;
  await renew(more as never);
  const { form } = server.only();
  const all = (wanted: string) => form.filter(([name]) => name === wanted).map(([, value]) => value);
  expect([all('audience'), all('resource')]).toEqual([more.audience, more.resource]);
});

test('§2.1 without an actor there is neither its token nor the type of it', async () => {
  await renew({ actor: null as never }, withoutActor);
  expect(server.only().form.map(([name]) => name)).not.toEqual(expect.arrayContaining(['actor_token']));
  expect(server.only().form.map(([name]) => name)).not.toEqual(expect.arrayContaining(['actor_token_type']));
});

test('what is issued is kept with what the next one is asked with, and no refresh token', async () => {
  server.answer = answered({ refresh_token: 'not wanted' });
  expect(await renew()).toMatchObject({
    tokenSet: { accessToken: 'new', refreshToken: null, grantedScopes: ['contacts:read'], renewal },
  });
});

test.each([
  ['none', undefined],
  ['a refresh token', 'urn:ietf:params:oauth:token-type:refresh_token'],
  ['an ID token', 'urn:ietf:params:oauth:token-type:id_token'],
])('§2.2.1 an answer whose issued_token_type says %s is refused', async (_name, type) => {
  server.answer = answered({ issued_token_type: type });
  expect(await renew()).toMatchObject({ kind: 'failed', error: 'invalid_answer' });
});

test('§2.2.1 a token of the type N_A is no access token', async () => {
  server.answer = answered({ token_type: 'N_A' });
  expect(await renew()).toMatchObject({ kind: 'failed', error: 'invalid_answer' });
});

test('§2.2.1 scopes that were narrowed are kept as they are told; wider ones than asked for are refused', async () => {
  server.answer = answered({ scope: 'contacts:read' });
  const both = { scopes: ['contacts:read', 'contacts:write'] };
  expect(await renew(both as never)).toMatchObject({ tokenSet: { grantedScopes: ['contacts:read'] } });
  server.answer = answered({ scope: 'contacts:read contacts:write' });
  expect(await renew()).toMatchObject({ kind: 'failed', error: 'wider_scope' });
  server.answer = answered({ scope: 'contacts:read admin' });
  expect(await renew({ scopes: [] as never })).toMatchObject({ kind: 'failed', error: 'wider_scope' });
});

test('§2.2.1 where no scope is asked for and none is told, it is that of the subject', async () => {
  expect(await renew({ scopes: [] as never })).toMatchObject({
    tokenSet: { grantedScopes: ['contacts:read', 'contacts:write'] },
  });
  expect(server.only().form.map(([name]) => name)).not.toContain('scope');
});

test.each([
  ['invalid_grant', 'rejected'],
  ['invalid_target', 'rejected'],
  ['invalid_request', 'rejected'],
  ['invalid_client', 'client_rejected'],
])('§2.2.2 a refusal with %s is heard as it is, without the tokens in it', async (error, kind) => {
  server.answer = { status: 400, body: { error, error_description: 'no: the token of the subject' } };
  const outcome = await renew();
  expect(outcome).toMatchObject({ kind, error });
  expect(JSON.stringify(outcome)).not.toContain('the token of the subject');
});

test('§4.4 an actor whom may_act does not name is refused by the server, which alone reads the token', async () => {
  server.answer = { status: 400, body: { error: 'invalid_request', error_description: 'may_act names another' } };
  expect(await renew()).toMatchObject({
    ...{ kind: 'rejected', error: 'invalid_request', errorDescription: 'may_act names another' },
  });
  expect(server.seen).toHaveLength(1);
});

test('§6 nothing is sent without TLS', async () => {
  const outcome = await exchange(renewal, shown, { allowLoopback: false });
  expect(outcome).toMatchObject({ kind: 'client_rejected' });
  expect(server.seen).toEqual([]);
});

test('a client that cannot prove itself does not ask', async () => {
  await expect(exchange(renewal, shown, { method: 'none' })).rejects.toMatchObject({
    code: 'provider.flow_unsupported',
  });
  expect(server.seen).toEqual([]);
});
