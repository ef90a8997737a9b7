import { waitFor } from '../wait-for.ts';
import type { AcmeClient } from './acme-clients.ts';
import { startAcme } from './start-acme.ts';
import type { Acme } from './start-acme.ts';

let acme: Acme;
let app: AcmeClient;

beforeEach(async () => {
  acme = await startAcme();
  app = await acme.registerClient({
    redirectUris: ['http://127.0.0.1:9/callback'],
    tokenEndpointAuthMethod: 'client_secret_post',
  });
});
afterEach(() => acme.close());

async function refresh(): Promise<Response> {
  const form = {
    grant_type: 'refresh_token',
    refresh_token: 'r',
    client_id: app.clientId,
    client_secret: app.clientSecret ?? '',
  };
  return fetch(acme.endpoints.token, { method: 'POST', body: new URLSearchParams(form) });
}

test('a status fault answers in the place of the endpoint, for as many calls as it says', async () => {
  acme.faults.set({ tokenEndpoint: { status: 503, times: 2 } });
  const answers = [await refresh(), await refresh(), await refresh()];
  expect(answers.map(({ status }) => status)).toEqual([503, 503, 400]);
  expect(acme.counts().tokenRequests).toEqual({ refresh_token: { fault_503: 2, invalid_grant: 1 } });
});

test('a dropped answer was processed all the same', async () => {
  acme.faults.set({ tokenEndpoint: { dropAfterProcessing: true, times: 1 } });
  await expect(refresh()).rejects.toThrow('fetch failed');
  expect(acme.tokenCalls()).toEqual([expect.objectContaining({ outcome: 'invalid_grant', answerDropped: true })]);
});

test('held calls wait for their release, and nothing else does', async () => {
  acme.faults.set({ tokenEndpoint: { hold: true, times: 1 } });
  const answer = refresh();
  await waitFor(() => acme.faults.held() === 1, { describe: 'the call to be held' });
  expect(acme.counts().tokenRequestsTotal).toBe(0);
  expect((await refresh()).status).toBe(400);
  acme.faults.release();
  expect((await answer).status).toBe(400);
  expect([acme.faults.held(), acme.counts().tokenRequestsTotal]).toEqual([0, 2]);
});

test('a delay is kept, a healed endpoint is itself again', async () => {
  acme.faults.set({ tokenEndpoint: { delayMs: 60 }, contactsApi: { status: 500 } });
  await refresh();
  expect(acme.tokenCalls()[0]?.ms).toBeGreaterThanOrEqual(59);
  expect((await fetch(acme.endpoints.contacts)).status).toBe(500);
  acme.faults.set({ contactsApi: null });
  expect((await fetch(acme.endpoints.contacts)).status).toBe(401);
});

test('two Acmes share nothing', async () => {
  const other = await startAcme();
  try {
    const form = {
      grant_type: 'refresh_token',
      refresh_token: 'r',
      client_id: app.clientId,
      client_secret: app.clientSecret ?? '',
    };
    const answer = await fetch(other.endpoints.token, { method: 'POST', body: new URLSearchParams(form) });
    expect(await answer.json()).toMatchObject({ error: 'invalid_client' });
    expect([acme.counts().tokenRequestsTotal, other.counts().tokenRequestsTotal]).toEqual([0, 1]);
  } finally {
    await other.close();
  }
});

test('without a control token there is nothing to steer', async () => {
  expect((await fetch(`${acme.issuer}/_control`, { method: 'POST', body: '{}' })).status).toBe(404);
});

test('metadata that oidc-provider refuses registers no client', async () => {
  const registration = { redirectUris: ['not a uri'], clientId: 'broken' };
  await expect(acme.registerClient(registration)).rejects.toMatchObject({ error: 'invalid_redirect_uri' });
});
