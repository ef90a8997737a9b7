import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';

import { heldClientSecret, ProviderClient, type RevokeOutcome } from './index.ts';

const catalog = loadCatalog();
const accessToken = Secret.from('access-token-that-must-not-leak');
const refreshToken = Secret.from('refresh-token-that-must-not-leak');
const clientSecret = 'client-secret-that-must-not-leak';

interface Seen {
  readonly line: string;
  readonly host: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** What the hosts of providers answer, by method and path, and what they were asked. */
let answers: Record<string, Answer> = {};
const seen: Seen[] = [];
const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => (body += text));
  request.on('end', () => {
    const [, host = '', ...path] = (request.url ?? '').split('/');
    const line = `${request.method} /${path.join('/')}`;
    seen.push({ line, host, headers: request.headers, body });
    const { status, body: said } = answers[line] ?? { status: 500 };
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(said === undefined ? undefined : JSON.stringify(said));
  });
});
let origin: string;
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  answers = {};
  seen.splice(0);
});
afterAll(() => server.close());

/** The provider as its file has it, with every host as the first segment of a path at our server. */
function clientOf(id: string, parameters: Record<string, string> = {}): ProviderClient {
  const provider = providerOf(catalog, id);
  const here = (url: string) => url.replace(/^https:\//, origin);
  const { call } = provider.revocation;
  const moved = call && { ...call, url: here(call.url), find: call.find && { ...call.find, url: here(call.find.url) } };
  const endpoints: Provider['endpoints'] = {
    authorizationEndpoint: 'https://provider.example/authorize',
    tokenEndpoint: 'https://provider.example/token',
    introspectionEndpoint: null,
    revocationEndpoint: here(provider.endpoints?.revocationEndpoint ?? 'https://oauth2.googleapis.com/revoke'),
  };
  return new ProviderClient({
    provider: { ...provider, discoveryIssuer: null, endpoints, revocation: { ...provider.revocation, call: moved } },
    registration: { clientId: 'app-1', tokenEndpointAuthMethod: 'client_secret_post', parameters },
    credentials: heldClientSecret(Secret.from(clientSecret)),
    allowLoopback: true,
  });
}

const bearer = (token: string) => `Bearer ${token}`;
const basic = `Basic ${Buffer.from(`app-1:${clientSecret}`).toString('base64')}`;
const done: RevokeOutcome = { kind: 'revoked' };
const zendesk = { subdomain: 'acme' };

describe('endpoints of providers’ own, as their documents have them', () => {
  test('GitHub: the grant of whom the token is of, by the client', async () => {
    answers = { 'DELETE /applications/app-1/grant': { status: 204 } };
    expect(await clientOf('github-app').endAuthorization({ accessToken })).toEqual(done);
    expect(seen).toMatchObject([
      {
        host: 'api.github.com',
        headers: {
          authorization: basic,
          accept: 'application/vnd.github+json',
          'user-agent': 'postern',
          'content-type': 'application/json',
        },
        body: JSON.stringify({ access_token: accessToken.reveal() }),
      },
    ]);
  });

  test('Slack: the token by itself; a refusal comes with 200', async () => {
    answers = { 'POST /api/auth.revoke': { status: 200, body: { ok: true, revoked: true } } };
    expect(await clientOf('slack').endAuthorization({ accessToken })).toEqual(done);
    expect(seen).toMatchObject([{ host: 'slack.com', headers: { authorization: bearer(accessToken.reveal()) } }]);
    answers = { 'POST /api/auth.revoke': { status: 200, body: { ok: false, error: 'fatal_error' } } };
    const refused = await clientOf('slack').endAuthorization({ accessToken });
    expect(refused).toMatchObject({ kind: 'failed', error: 'fatal_error', retryable: true });
  });

  test('Stripe: whose account it is, then that account is disconnected', async () => {
    answers = {
      'GET /v1/account': { status: 200, body: { id: 'acct_1', object: 'account' } },
      'POST /oauth/deauthorize': { status: 200, body: { stripe_user_id: 'acct_1' } },
    };
    expect(await clientOf('stripe').endAuthorization({ accessToken })).toEqual(done);
    expect(seen).toMatchObject([
      { host: 'api.stripe.com', headers: { authorization: bearer(accessToken.reveal()) }, body: '' },
      {
        host: 'connect.stripe.com',
        headers: { authorization: bearer(clientSecret), 'content-type': expect.stringContaining('form') as string },
        body: 'client_id=app-1&stripe_user_id=acct_1',
      },
    ]);
  });

  test('Intercom: the app is uninstalled', async () => {
    answers = { 'POST /auth/uninstall': { status: 200, body: {} } };
    expect(await clientOf('intercom').endAuthorization({ accessToken })).toEqual(done);
    expect(seen).toMatchObject([{ host: 'api.intercom.io', headers: { authorization: bearer(accessToken.reveal()) } }]);
  });

  test('Zendesk: the id of the token, then the token by it', async () => {
    answers = {
      'GET /api/v2/oauth/tokens/current.json': { status: 200, body: { token: { id: 223443 } } },
      'DELETE /api/v2/oauth/tokens/223443.json': { status: 204 },
    };
    expect(await clientOf('zendesk', zendesk).endAuthorization({ accessToken })).toEqual(done);
    expect(seen.map(({ host }) => host)).toEqual(['acme.zendesk.com', 'acme.zendesk.com']);
  });
});

describe('what is over already is done', () => {
  test.each([
    ['github-app', { 'DELETE /applications/app-1/grant': { status: 404, body: { message: 'Not Found' } } }, {}],
    ['slack', { 'POST /api/auth.revoke': { status: 200, body: { ok: false, error: 'token_revoked' } } }, {}],
    ['slack', { 'POST /api/auth.revoke': { status: 200, body: { ok: false, error: 'account_inactive' } } }, {}],
    ['stripe', { 'GET /v1/account': { status: 403, body: { error: { code: 'account_invalid' } } } }, {}],
    [
      'stripe',
      {
        'GET /v1/account': { status: 200, body: { id: 'acct_1' } },
        'POST /oauth/deauthorize': {
          status: 401,
          body: {
            error: 'invalid_client',
            error_description: 'This application is not connected to stripe account acct_1, or it does not exist.',
          },
        },
      },
      {},
    ],
    ['intercom', { 'POST /auth/uninstall': { status: 401, body: { type: 'error.list' } } }, {}],
    ['zendesk', { 'GET /api/v2/oauth/tokens/current.json': { status: 401 } }, zendesk],
    [
      'zendesk',
      {
        'GET /api/v2/oauth/tokens/current.json': { status: 200, body: { token: { id: 1 } } },
        'DELETE /api/v2/oauth/tokens/1.json': { status: 404 },
      },
      zendesk,
    ],
  ])('at %s: %j', async (id, said: Record<string, Answer>, parameters) => {
    answers = said;
    expect(await clientOf(id, parameters).endAuthorization({ accessToken })).toEqual(done);
  });

  test.each([
    ['google', 'POST /revoke', { status: 400, body: { error: 'invalid_token' } }],
    ['hubspot', 'POST /oauth/v3/token/revoke', { status: 400, body: { status: 'BAD_REFRESH_TOKEN' } }],
    ['linear', 'POST /oauth/revoke', { status: 400, body: { error: 'invalid_token' } }],
    ['asana', 'POST /-/oauth_revoke', { status: 400, body: { error: 'invalid_grant' } }],
  ])('at %s, told by RFC 7009', async (id, line, answer) => {
    const revoke = async () => await clientOf(id).revoke({ token: refreshToken, hint: 'refresh_token' });
    answers = { [line]: answer };
    expect(await revoke()).toEqual(done);
    answers = { [line]: { status: 200 } };
    expect(await revoke()).toEqual(done);
    expect(Object.fromEntries(new URLSearchParams(seen[0]?.body))).toEqual({
      token: refreshToken.reveal(),
      token_type_hint: 'refresh_token',
      client_id: 'app-1',
      client_secret: clientSecret,
    });
    answers = { [line]: { status: 400, body: { error: 'unsupported_token_type' } } };
    expect(await revoke()).toMatchObject({ kind: 'failed', error: 'unsupported_token_type', retryable: false });
  });
});

describe('what is not done', () => {
  const stripe401 = { status: 401, body: { error: 'invalid_client', error_description: 'No such application.' } };

  test('Stripe’s word for a wrong client is not the one for an account that is gone', async () => {
    answers = { 'GET /v1/account': { status: 200, body: { id: 'acct_1' } }, 'POST /oauth/deauthorize': stripe401 };
    const outcome = await clientOf('stripe').endAuthorization({ accessToken });
    expect(outcome).toMatchObject({ kind: 'failed', error: 'invalid_client', httpStatus: 401 });
  });

  test.each(['github-app', 'slack', 'stripe', 'intercom', 'zendesk'])('%s: trouble is tried again', async (id) => {
    const outcome = await clientOf(id, id === 'zendesk' ? zendesk : {}).endAuthorization({ accessToken });
    expect(outcome).toMatchObject({ kind: 'failed', retryable: true });
  });

  test('a limit is heard', async () => {
    answers = { 'POST /api/auth.revoke': { status: 429, body: { ok: false, error: 'ratelimited' } } };
    expect(await clientOf('slack').endAuthorization({ accessToken })).toMatchObject({ retryable: true });
  });

  test('an account that the provider does not name is no answer', async () => {
    answers = { 'GET /v1/account': { status: 200, body: {} } };
    const outcome = await clientOf('stripe').endAuthorization({ accessToken });
    expect(outcome).toMatchObject({ kind: 'failed', error: 'invalid_answer' });
  });

  test('what is found chooses one segment of a path and no more', async () => {
    const id = '../../users/1';
    answers = { 'GET /api/v2/oauth/tokens/current.json': { status: 200, body: { token: { id } } } };
    await clientOf('zendesk', zendesk).endAuthorization({ accessToken });
    expect(seen.at(-1)?.line).toBe('DELETE /api/v2/oauth/tokens/..%2F..%2Fusers%2F1.json');
  });

  test('no secret comes back in the provider’s words', async () => {
    const said = `no: ${accessToken.reveal()} ${clientSecret}`;
    answers = { 'DELETE /applications/app-1/grant': { status: 422, body: { error: said, message: said } } };
    const outcome = JSON.stringify(await clientOf('github-app').endAuthorization({ accessToken }));
    expect(outcome).not.toContain('must-not-leak');
  });

  test('a provider without an endpoint of its own is not told by one', async () => {
    const client = clientOf('linear');
    expect(client.hasOwnRevocation).toBe(false);
    expect(await client.endAuthorization({ accessToken })).toMatchObject({ error: 'revocation_unsupported' });
  });
});
