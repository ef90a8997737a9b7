import { acmeAccounts, acmeEnterUserCode, keyProfiles, ScriptedBrowser, waitFor } from '@postern/testing';

import { redirectUriOf, registerResource } from '../admin/registrations.ts';
import { isKeyTaken, registerForKeys } from '../provider-drill/key-steps.ts';
import { expectThat, type Proof } from './expect-that.ts';
import { authorizeByProxy, callTool } from './mcp-world.ts';
import type { HttpAnswer } from './platform-client.ts';
import { story } from './story.ts';
import type { TourWorld } from './tour-world.ts';
import { endUser, scopes, type World } from './world.ts';

/** One way to a connection, from its beginning to its end. Throws when it does not hold. */
export interface TourStop {
  readonly title: string;
  readonly run: (tour: TourWorld) => Promise<Proof>;
}

/** Long enough that nothing is refreshed on the way. */
const longTtlS = 600;
const patientlyMs = 60_000;
/** Played from its documents, under its own name. */
const keyProvider = 'stripe-api-key';

/** The ways beside an authorization code: each is leased, used and revoked. */
export const tour: readonly TourStop[] = [
  { title: 'a platform is created and gets its token', run: createPlatform },
  { title: 'client credentials: a connection of the platform’s own, and no browser', run: ownCredentials },
  { title: 'the device flow: Ada enters a code on her phone, and the platform has no browser at all', run: userCode },
  {
    title: 'token exchange: a service further down gets a token of its own, which says who acts on whose behalf',
    run: onBehalfOfAda,
  },
  {
    title: 'an MCP server, met by its URL and connected by our metadata document',
    run: mcpServer,
  },
  { title: 'an API key that somebody made by hand: tried, kept, leased with where a request carries it', run: apiKey },
];

async function createPlatform({ world }: TourWorld): Promise<Proof> {
  await world.acme.setAccessTokenTtl(longTtlS);
  return (await story[0]?.run(world)) ?? {};
}

async function ownCredentials({ world }: TourWorld): Promise<Proof> {
  const connectionId = await establish(world, { grant: { type: 'client_credentials' } });
  const leased = await lease(world, connectionId);
  const atAcme = await introspect(world, leased);
  expectThat('Acme knows the token', atAcme['active'] === true, atAcme);
  const refused = await revoke(world, connectionId);
  await gone(world, leased);
  return { connection_id: connectionId, client_id: atAcme['client_id'], scope: atAcme['scope'], afterwards: refused };
}

async function userCode({ world }: TourWorld): Promise<Proof> {
  const { http, registrationId, acme } = world;
  const asked = { registration_id: registrationId, end_user: endUser, grant: 'device_code', scopes };
  const started = await http.request('POST', '/v1/connect/sessions', asked);
  const shown = started.body['device_authorization'] as Record<string, string> | undefined;
  expectThat('the platform has a code to show', shown?.['user_code'] !== undefined, started.status);
  const { email: user, password } = acmeAccounts.ada;
  const entered = { userCode: shown?.['user_code'] ?? '', user, password, decision: 'allow' as const };
  const complete = async () =>
    await http.request('POST', `/v1/connect/sessions/${String(started.body['session_id'])}/complete`, {
      end_user: endUser,
    });
  const early = await complete();
  expectThat('nothing can be completed before she has', early.body['code'] === 'session.code_invalid', early);
  await acmeEnterUserCode(new ScriptedBrowser(), shown?.['verification_uri'] ?? '', entered);
  const completed = await waitFor(
    async () => {
      const answer = await complete();
      return answer.status === 200 ? answer : undefined;
    },
    { timeoutMs: patientlyMs, describe: 'nobody heard that Ada agreed' },
  );
  const connectionId = String(completed.body['connection_id']);
  const token = await lease(world, connectionId);
  const contacts = await call(acme.endpoints.contacts, token);
  expectThat('Acme takes the token', contacts.status === 200, contacts.status);
  const refused = await revoke(world, connectionId);
  await gone(world, token);
  return { connection_id: connectionId, verification_uri: shown?.['verification_uri'], afterwards: refused };
}

async function onBehalfOfAda({ world }: TourWorld): Promise<Proof> {
  const { acme, session, registrationId, site } = world;
  const asked = { registration_id: registrationId, end_user: endUser, return_url: site.returnUrl, scopes };
  const started = await world.http.request('POST', '/v1/connect/sessions', asked);
  const connectUrl = String(started.body['connect_url']);
  const redirectUri = redirectUriOf(session, registrationId);
  const connected = await authorizeByProxy(world, { connectUrl, redirectUri, endUser });
  expectThat('Ada connected hers', connected.status === 200, connected);
  const ada = String(connected.body['connection_id']);
  const service = await establish(world, { grant: { type: 'client_credentials' } });
  const derived = await establish(world, {
    grant: {
      ...{ type: 'token_exchange', subject_connection_id: ada, actor_connection_id: service },
      audience: ['acme:billing'],
    },
  });
  const token = await lease(world, derived);
  const invoices = await call(acme.endpoints.invoices, token);
  expectThat('billing takes the token that is for it', invoices.status === 200, invoices);
  const { act } = invoices.body;
  expectThat('and is told who acts', (act as { sub?: string } | null)?.sub === world.acmeClientId, act);
  const ofAda = await call(acme.endpoints.invoices, await lease(world, ada));
  expectThat('Ada’s own is of no use there', ofAda.status === 401, ofAda);
  const told = await world.http.request('GET', `/v1/audit/who-did?connection_id=${derived}`);
  const [use] = told.body['uses'] as { delegation?: object[] }[];
  expectThat('the record of the lease names the chain', use?.delegation?.length === 1, told.body);

  const refused = await revoke(world, derived);
  await gone(world, token);
  const again = await establish(world, {
    connection_id: derived,
    grant: {
      ...{ type: 'token_exchange', subject_connection_id: ada, actor_connection_id: service },
      audience: ['acme:billing'],
    },
  });
  await lease(world, again);
  await revoke(world, ada);
  const withoutAda = await ask(world, derived);
  const code = withoutAda.body['code'];
  expectThat('without Ada’s there is none for billing', code === 'connection.delegation_ended', withoutAda);
  return {
    ...{ on_behalf_of: ada, acts: service, connection_id: derived },
    ...{ account: invoices.body['account'], act, chain_on_record: use?.delegation },
    ...{ ada_at_billing: ofAda.status, afterwards: refused, without_ada: code },
  };
}

async function mcpServer({ world, mcp: { server } }: TourWorld): Promise<Proof> {
  const { session, tenantId, http, site } = world;
  const wanted = { tenantId, displayName: 'Contacts', resource: server.url, scopes: [] };
  const { registrationId, redirectUri, clientId, issuer } = await registerResource(session, wanted);
  const asked = { registration_id: registrationId, end_user: endUser, return_url: site.returnUrl };
  const started = await http.request('POST', '/v1/connect/sessions', asked);
  const connectUrl = String(started.body['connect_url']);
  const connected = await authorizeByProxy(world, { connectUrl, redirectUri, endUser });
  expectThat('Ada connected the server', connected.status === 200, connected);
  const connectionId = String(connected.body['connection_id']);
  const token = await lease(world, connectionId);
  const { status, text } = await callTool(server, 'count_contacts', token);
  expectThat('the tool answers', status === 200 && text.includes('"3"'), { status, text });
  const refused = await revoke(world, connectionId);
  const callAgain = async () => (await callTool(server, 'count_contacts', token)).status;
  const describe = 'the server still takes the token';
  const after = await waitFor(async () => ((await callAgain()) === 401 ? 401 : undefined), {
    ...{ timeoutMs: patientlyMs, describe },
  });
  return { server: server.url, issuer, client_id: clientId, tool: status, afterwards: refused, tool_afterwards: after };
}

async function apiKey({ world, internet }: TourWorld): Promise<Proof> {
  const profile = keyProfiles.find(({ id }) => id === keyProvider);
  if (profile === undefined) throw new Error(`there is no ${keyProvider}`);
  const registrationId = await registerForKeys(world, profile);
  const secret = await internet.makeSecret(profile.id);
  const grant = { type: 'static', secret };
  const made = await world.http.request('POST', '/v1/connections', { registration_id: registrationId, grant });
  expectThat('the key was taken', made.status === 201, made);
  const connectionId = String(made.body['connection_id']);
  const leased = await ask(world, connectionId);
  expectThat('the provider takes it as the lease says', await isKeyTaken(profile, leased), leased.body['code']);
  const refused = await revoke(world, connectionId);
  return { provider: profile.name, connection_id: connectionId, sent_as: leased.body['sent_as'], afterwards: refused };
}

async function establish({ http, registrationId }: World, body: object): Promise<string> {
  const wanted = { registration_id: registrationId, scopes: ['contacts:read'], ...body };
  const made = await http.request('POST', '/v1/connections', wanted);
  expectThat('the connection was established', made.status === 201, made);
  return String(made.body['connection_id']);
}

async function ask({ http, agentId }: World, connectionId: string): Promise<HttpAnswer> {
  return await http.request('POST', `/v1/connections/${connectionId}/token`, { agent_id: agentId, purpose: 'demo' });
}

async function lease(world: World, connectionId: string): Promise<string> {
  const { status, body } = await ask(world, connectionId);
  expectThat('the token was leased', status === 200, body['code']);
  return String(body['access_token']);
}

/** Revokes it. @returns with what a lease is refused from then on. */
async function revoke(world: World, connectionId: string): Promise<unknown> {
  const revoked = await world.http.request('POST', `/v1/connections/${connectionId}/revoke`, { reason: 'the tour' });
  expectThat('it was revoked', revoked.status === 200, revoked);
  const { body } = await ask(world, connectionId);
  expectThat('leases are refused', body['code'] === 'connection.revoked', body['code']);
  return body['code'];
}

async function call(url: string, token: string): Promise<HttpAnswer> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** What the authorization server itself knows of a token. @source RFC 7662 §2 */
async function introspect(
  { acme, acmeClientId, acmeClientSecret }: World,
  token: string,
): Promise<Record<string, unknown>> {
  const basic = Buffer.from(`${acmeClientId}:${acmeClientSecret.reveal()}`).toString('base64');
  const response = await fetch(acme.endpoints.introspection, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ token }),
  });
  return (await response.json()) as Record<string, unknown>;
}

/** Waits until Acme was told, and has ended the token. */
async function gone(world: World, token: string): Promise<void> {
  const hasEnded = async () => ((await introspect(world, token))['active'] === false ? true : undefined);
  await waitFor(hasEnded, { timeoutMs: patientlyMs, describe: 'the token still lives at Acme' });
}
