import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { newId, type EventView } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { heldClientSecret, ProviderClient } from '@postern/provider-client';
import { describeWithServer } from '@postern/servers';
import { acmeAccounts, acmeEnterUserCode, ScriptedBrowser, startAcme, startMcpServer, waitFor } from '@postern/testing';

import { createClientRegistration, redirectUriOf, registerResource, storeSecret } from '../admin/registrations.ts';
import { callTool } from '../demo/mcp-world.ts';
import type { HttpAnswer } from '../demo/platform-client.ts';
import { story } from '../demo/story.ts';
import { accessTokenTtlS, withWorld, type World } from '../demo/world.ts';
import { authorize } from '../spec-support/crash-connections.ts';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const wholeTimeoutMs = 300_000;
const patientlyMs = 60_000;
const run = promisify(execFile);

/** What `postern connections … --json` prints, or the problem with which it refuses. */
async function connections({ dataRoot }: World, ...args: string[]): Promise<Record<string, unknown>> {
  const all = [command, 'connections', ...args, '--data', join(dataRoot, 'data'), '--json'];
  const { stdout } = await run(process.execPath, all).catch(({ stderr }: { stderr: string }) => ({ stdout: stderr }));
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** The same, with something to read on standard input. */
async function connectionsFrom(
  input: string,
  { dataRoot }: World,
  ...args: string[]
): Promise<Record<string, unknown>> {
  const all = [command, 'connections', ...args, '--data', join(dataRoot, 'data'), '--json'];
  const running = run(process.execPath, all);
  running.child.stdin?.end(input);
  // Of a row that is not in order the exit code tells, too.
  const { stdout } = await running.catch((error: { stdout: string; stderr: string }) => ({
    stdout: error.stdout === '' ? error.stderr : error.stdout,
  }));
  return JSON.parse(stdout) as Record<string, unknown>;
}

async function eventsOf({ http }: World, id: string): Promise<EventView[]> {
  return (await http.request('GET', `/v1/connections/${id}/events`)).body['events'] as EventView[];
}

async function heard(world: World, id: string, type: string): Promise<EventView> {
  const find = async () => (await eventsOf(world, id)).find((event) => event.type === type);
  return await waitFor(find, { describe: `${type} did not happen`, timeoutMs: patientlyMs });
}

/** A service acts on Ada's behalf at another one, which gets a token of its own and never hers. */
async function derivedLife(world: World): Promise<void> {
  const { http, acme, registrationId, acmeClientId: sub } = world;
  await acme.setAccessTokenTtl(600);
  const { connectionId: person } = world;
  const establish = async (body: object) => await http.request('POST', '/v1/connections', body);
  const own = { registration_id: registrationId, grant: { type: 'client_credentials' }, scopes: ['contacts:read'] };
  const service = String((await establish(own)).body['connection_id']);
  const exchange = (subject: string, more: object = {}) => ({
    grant: {
      ...{ type: 'token_exchange', subject_connection_id: subject, actor_connection_id: service },
      audience: ['acme:billing'],
    },
    ...more,
  });
  const tokenOf = async (id: string) => {
    const asked = { agent_id: world.agentId, purpose: 'the invoices of Ada' };
    const { status, body } = await http.request('POST', `/v1/connections/${id}/token`, asked);
    return { status, body, token: String(body['access_token']) };
  };
  const at = async (url: string, token: string) => {
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  const wider = await establish(exchange(person, { scopes: ['contacts:read', 'contacts:write'] }));
  expect(wider).toMatchObject({ status: 400, body: { code: 'session.scope_unknown' } });
  const toldOtherwise = await establish(exchange(person, { end_user: 'somebody else' }));
  expect(toldOtherwise).toMatchObject({ status: 400, body: { code: 'request.malformed' } });
  const nowhere = exchange(person);
  nowhere.grant.audience = ['acme:payroll'];
  expect(await establish(nowhere)).toMatchObject({ body: { code: 'provider.rejected' } });

  const made = await establish(exchange(person, { scopes: ['contacts:read'] }));
  expect(made).toMatchObject({ status: 201, body: { scope: ['contacts:read'], freshness: { health: 'ok' } } });
  const derived = String(made.body['connection_id']);
  const { token } = await tokenOf(derived);
  const invoices = await at(acme.endpoints.invoices, token);
  expect(invoices).toMatchObject({ status: 200, body: { account: 'ada@acme.example', act: { sub } } });
  expect((await at(acme.endpoints.contacts, token)).status).toBe(401);
  expect((await at(acme.endpoints.invoices, (await tokenOf(person)).token)).status).toBe(401);

  const further = String((await establish(exchange(derived))).body['connection_id']);
  const nested = await at(acme.endpoints.invoices, (await tokenOf(further)).token);
  expect(nested.body['act']).toEqual({ sub, act: { sub } });
  expect(await connections(world, 'show', further)).toMatchObject({
    delegation: { subject_connection_id: derived, actor_connection_id: service },
  });
  const ring = { ...exchange(further), connection_id: derived };
  expect(await establish(ring)).toMatchObject({ status: 409, body: { code: 'connection.delegation_refused' } });

  const byDerived = exchange(person);
  byDerived.grant.actor_connection_id = derived;
  expect(await establish(byDerived)).toMatchObject({ status: 409, body: { code: 'connection.delegation_refused' } });
  await expectNotShownElsewhere(world, async (there) => await establish({ ...exchange(person), ...there }));

  const renewed = await http.request('POST', `/v1/connections/${further}/refresh`, {});
  expect(renewed).toMatchObject({ status: 200, body: { credential_version: 2 } });
  expect((await at(acme.endpoints.invoices, (await tokenOf(further)).token)).status).toBe(200);

  await connections(world, 'suspend', person);
  for (const id of [derived, further]) {
    const ended_by = { connection_id: person, code: 'connection.suspended' };
    expect(await tokenOf(id)).toMatchObject({ status: 409, body: { code: 'connection.delegation_ended', ended_by } });
    expect((await http.request('GET', `/v1/connections/${id}`)).body['freshness']).toMatchObject({
      ...{ health: 'degraded', reason: 'connection.delegation_ended' },
    });
  }
  await connections(world, 'resume', person);
  expect((await tokenOf(further)).status).toBe(200);

  const uses = async (id: string) => (await http.request('GET', `/v1/audit/who-did?connection_id=${id}`)).body['uses'];
  const steps = [
    { subject_connection_id: derived, actor_connection_id: service },
    { subject_connection_id: person, actor_connection_id: service },
  ];
  expect(await uses(further)).toContainEqual(expect.objectContaining({ outcome: 'granted', delegation: steps }));
  const forIt = { agent_id: 'authorization', purpose: `exchange for ${derived}` };
  expect(await uses(person)).toContainEqual(expect.objectContaining(forIt));

  expect((await http.request('POST', `/v1/connections/${person}/revoke`, {})).status).toBe(200);
  for (const id of [derived, further]) {
    expect(await tokenOf(id)).toMatchObject({ status: 409, body: { code: 'connection.delegation_ended' } });
  }
  // Of a token that was issued nobody but its server knows; its own connection ends it there.
  await connections(world, 'revoke', derived);
  await heard(world, derived, 'UpstreamRevocationCompleted');
  expect((await at(acme.endpoints.invoices, token)).status).toBe(401);
}

/** What one server issued is not shown to another, though we have a client there. */
async function expectNotShownElsewhere(
  { session, tenantId }: World,
  exchange: (there: { registration_id: string }) => Promise<HttpAnswer>,
): Promise<void> {
  const elsewhere = await startAcme();
  const at = { tenantId, registrationId: newId('registration') };
  try {
    await createClientRegistration(session, {
      ...{ ...at, providerId: 'openid-connect', displayName: 'Elsewhere', clientId: 'app', scopes: [] },
      ...{ tokenEndpointAuthMethod: 'client_secret_basic', parameters: { issuer: elsewhere.issuer } },
    });
    await storeSecret(session, { ...at, kind: 'client_secret', secret: Secret.from('the secret of the app') });
    const refused = await exchange({ registration_id: at.registrationId });
    expect(refused).toMatchObject({ status: 409, body: { code: 'connection.delegation_refused' } });
    expect(elsewhere.tokenCalls()).toEqual([]);
  } finally {
    await elsewhere.close();
  }
}

await describeWithServer(
  'nats-server',
  'a connection without a browser of its own: by client credentials, in exchange, by a user code',
  () => {
    test(
      'is established, leased, renewed with nobody asking, revoked at the provider, made anew and deleted; others are derived from it',
      async () => {
        await withWorld(
          () => undefined,
          async (world) => {
            await story[0]?.run(world);
            const { http, registrationId, agentId, acme } = world;
            // Ada's, from which others are derived in the end.
            await acme.setAccessTokenTtl(600);
            await story[1]?.run(world);
            await acme.setAccessTokenTtl(accessTokenTtlS);
            try {
              const wanted = {
                registration_id: registrationId,
                grant: { type: 'client_credentials' },
                scopes: ['contacts:read'],
                idempotency_key: 'nightly-import',
              };
              const made = await http.request('POST', '/v1/connections', wanted);
              expect(made).toMatchObject({
                status: 201,
                body: { scope: ['contacts:read'], freshness: { health: 'ok' } },
              });
              const id = String(made.body['connection_id']);
              const again = await http.request('POST', '/v1/connections', wanted);
              expect(again.body['connection_id']).toBe(id);

              const lease = async () =>
                await http.request('POST', `/v1/connections/${id}/token`, { agent_id: agentId, purpose: 'import' });
              const first = await lease();
              expect(first).toMatchObject({ status: 200, body: { token_type: 'Bearer', credential_version: 1 } });
              await heard(world, id, 'AccessTokenRefreshed');
              const second = await lease();
              expect(second.body['access_token']).not.toBe(first.body['access_token']);
              const types = (await eventsOf(world, id)).map(({ type }) => type);
              expect(types).not.toContain('RefreshTokenRotated');
              expect(types).not.toContain('ReauthorizationRequired');

              const revoked = await connections(world, 'revoke', id);
              expect(revoked['freshness']).toMatchObject({ health: 'revoked' });
              expect(await lease()).toMatchObject({ status: 409, body: { code: 'connection.revoked' } });
              expect((await lease()).body).not.toHaveProperty('reauthorize_url');
              expect((await heard(world, id, 'UpstreamRevocationCompleted')).data).toMatchObject({ method: 'rfc7009' });
              const dead = await fetch(acme.endpoints.contacts, {
                headers: { authorization: `Bearer ${String(second.body['access_token'])}` },
              });
              expect(dead.status).toBe(401);
              expect(await connections(world, 'reauthorize', id)).toMatchObject({ code: 'connection.unattended' });

              const grant = ['--grant', 'client_credentials'];
              const anew = await connections(
                world,
                'establish',
                ...grant,
                '--connection',
                id,
                '--scope',
                'contacts:read',
              );
              expect(anew).toMatchObject({ connection_id: id, freshness: { health: 'ok' } });
              expect((await lease()).status).toBe(200);
              expect(await connections(world, 'establish', ...grant, '--registration', registrationId)).toMatchObject({
                code: 'request.malformed',
              });

              await connections(world, 'delete', id);
              await heard(world, id, 'ConnectionKeyShredded');
              expect((await lease()).body['code']).toBe('connection.deleted');
              await byIdentity(world);
              await derivedLife(world);
              await importedLife(world);
              await byUserCode(world);
            } finally {
              await world.listener?.close();
            }
          },
        );
      },
      wholeTimeoutMs,
    );
  },
);

/** An MCP server whose authorization server trusts Ada's identity provider: nobody asks her anything. */
async function byIdentity(world: World): Promise<void> {
  const { http, acme, session, tenantId, registrationId, connectionId: person } = world;
  const elsewhere = await startAcme({ accessTokenTtlS: 600, meetsClients: {}, trustsIdentitiesOf: acme.issuer });
  const server = await startMcpServer(elsewhere);
  try {
    const redirectUris = [redirectUriOf(session, registrationId)];
    const there = await elsewhere.registerClient({ redirectUris, identityAssertions: true });
    const registered = await registerResource(session, {
      ...{ tenantId, displayName: 'Contacts', resource: server.url, scopes: [], clientId: there.clientId },
      tokenEndpointAuthMethod: 'client_secret_basic',
    });
    const secret = Secret.from(there.clientSecret ?? '');
    await storeSecret(session, { tenantId, registrationId: registered.registrationId, kind: 'client_secret', secret });
    const establish = async (more: object = {}, subject = person) =>
      await http.request('POST', '/v1/connections', {
        registration_id: registered.registrationId,
        grant: { type: 'identity_assertion', subject_connection_id: subject, ...more },
        scopes: ['contacts:read'],
      });

    // Ada's provider does not know yet that we are a client there, too.
    expect(await establish()).toMatchObject({ body: { code: 'provider.rejected' } });
    await acme.registerClient({
      ...{ clientId: world.acmeClientId, clientSecret: world.acmeClientSecret.reveal(), redirectUris },
      ...{ clientName: 'Postern demo', clientCredentials: true, tokenExchange: true, deviceFlow: true },
      clientsElsewhere: { [elsewhere.issuer]: there.clientId },
    });
    const made = await connections(
      ...[world, 'establish', '--grant', 'identity_assertion', '--subject', person],
      ...['--registration', registered.registrationId, '--scope', 'contacts:read'],
    );
    expect(made).toMatchObject({ scope: ['contacts:read'], freshness: { health: 'ok' } });
    const id = String(made['connection_id']);
    const lease = async () =>
      await http.request('POST', `/v1/connections/${id}/token`, { agent_id: world.agentId, purpose: 'Ada’s contacts' });
    const count = async () => await callTool(server, 'count_contacts', String((await lease()).body['access_token']));
    expect(await count()).toMatchObject({ status: 200 });
    const renewed = await http.request('POST', `/v1/connections/${id}/refresh`, {});
    expect(renewed).toMatchObject({ status: 200, body: { credential_version: 2 } });
    expect(await count()).toMatchObject({ status: 200 });
    expect(elsewhere.tokenCalls()).toHaveLength(2);

    const who = (await http.request('GET', `/v1/audit/who-did?connection_id=${person}`)).body['uses'];
    for (const agent_id of ['authorization', 'refresh']) {
      const use = { agent_id, purpose: `identity assertion for ${id}`, outcome: 'granted' };
      expect(who).toContainEqual(expect.objectContaining(use));
    }
    expect((await http.request('GET', `/v1/connections/${id}`)).body).toMatchObject({
      delegation: { subject_connection_id: person, actor_connection_id: null },
    });
    await http.request('POST', `/v1/connections/${person}/suspend`, { reason: 'spec' });
    const ended = { status: 409, body: { code: 'connection.delegation_ended' } };
    expect(await lease()).toMatchObject(ended);
    expect(await establish()).toMatchObject(ended);
    await http.request('POST', `/v1/connections/${person}/resume`, {});
    expect(await count()).toMatchObject({ status: 200 });

    const refused = { status: 409, body: { code: 'connection.delegation_refused' } };
    const own = { registration_id: registrationId, grant: { type: 'client_credentials' }, scopes: ['contacts:read'] };
    const service = String((await http.request('POST', '/v1/connections', own)).body['connection_id']);
    expect(await establish({}, service)).toMatchObject(refused);
    const grant = { type: 'identity_assertion', subject_connection_id: person };
    expect(await http.request('POST', '/v1/connections', { registration_id: registrationId, grant })).toMatchObject(
      refused,
    );
    expect(await establish({ resource: ['https://elsewhere.example/'] })).toMatchObject({
      ...{ status: 400, body: { code: 'request.malformed' } },
    });

    const { body } = await lease();
    await http.request('POST', `/v1/connections/${id}/revoke`, {});
    await heard(world, id, 'UpstreamRevocationCompleted');
    expect((await callTool(server, 'count_contacts', String(body['access_token']))).status).toBe(401);
  } finally {
    await server.close();
    await elsewhere.close();
  }
}

/** What another broker held comes through a pipe, is refreshed at once, and is leased like any other. */
async function importedLife(world: World): Promise<void> {
  const { acme, http, agentId, registrationId, session } = world;
  const client = {
    ...{ clientId: world.acmeClientId, tokenEndpointAuthMethod: 'client_secret_basic' as const },
    parameters: { issuer: acme.issuer },
  };
  const held = new ProviderClient({
    ...{ provider: providerOf(loadCatalog(), 'openid-connect'), registration: client },
    ...{ credentials: heldClientSecret(world.acmeClientSecret), allowLoopback: true },
  });
  const tokens = await authorize(held, redirectUriOf(session, registrationId));
  const facts = { registration_id: registrationId, end_user: 'user-4714', scopes: ['contacts:read'] };
  const row = {
    ...{ ...facts, reference: 'nango-1', access_token: tokens.accessToken, refresh_token: tokens.refreshToken },
    expires_at: new Date(Date.now() - 60_000).toISOString(),
  };
  const bad = { ...row, reference: 'nango-2', scopes: ['contacts:all'], access_token: 'x', refresh_token: 'y' };
  const platform = ['--platform', world.platform?.platformId ?? ''];
  const imported = async (rows: readonly object[], ...more: string[]) =>
    await connectionsFrom(
      rows.map((one) => JSON.stringify(one)).join('\n'),
      world,
      'import',
      '-',
      ...platform,
      ...more,
    );
  expect(await imported([row, bad], '--dry-run')).toMatchObject({
    rows: [{ outcome: 'importable' }, { outcome: 'refused', code: 'session.scope_unknown' }],
    position: null,
  });
  expect(await imported([row, bad])).toMatchObject({ code: 'connection.import_refused' });
  const [taken] = (await imported([row]))['rows'] as Record<string, unknown>[];
  expect(taken).toMatchObject({ reference: 'nango-1', outcome: 'imported' });
  const id = String(taken?.['connection_id']);
  await heard(world, id, 'AccessTokenRefreshed');
  const lease = await http.request('POST', `/v1/connections/${id}/token`, { agent_id: agentId, purpose: 'moved' });
  expect(lease).toMatchObject({ status: 200, body: { credential_version: 2 } });
  // By HTTP its tokens come over TLS, more of them than any other request may hold.
  const rows = ['p', 'q', 'r'].map((name) => ({
    ...{ ...row, reference: name, access_token: name.repeat(15_000), refresh_token: name.repeat(14_000) },
  }));
  expect(await http.request('POST', '/v1/connections/import', { rows, dry_run: true })).toMatchObject({
    status: 200,
    body: { rows: rows.map(() => ({ outcome: 'importable' })) },
  });
}

/** Ada enters the code on her phone while the process that asked Acme for it is dead. */
async function byUserCode(world: World): Promise<void> {
  const { http, registrationId, agentId, stack } = world;
  const user = 'user-4713';
  const wanted = { registration_id: registrationId, end_user: user, grant: 'device_code' };
  const started = await http.request('POST', '/v1/connect/sessions', wanted);
  expect(started).toMatchObject({ status: 201, body: { device_authorization: { user_code: expect.any(String) } } });
  expect(started.body).not.toHaveProperty('connect_url');
  const sessionId = String(started.body['session_id']);
  const shown = started.body['device_authorization'] as Record<string, string>;
  process.kill(stack.processes().find(({ name }) => name === 'authorization')?.pid ?? 0, 'SIGKILL');
  const { email, password } = acmeAccounts.ada;
  const decided = { user: email, password, decision: 'allow' as const, userCode: shown['user_code'] ?? '' };
  const last = await acmeEnterUserCode(new ScriptedBrowser(), shown['verification_uri'] ?? '', decided);
  expect(last.text).toContain('Go back to your device');

  const complete = async () =>
    await http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, { end_user: user });
  const completed = await waitFor(
    async () => {
      const answer = await complete();
      return answer.status === 200 ? answer : undefined;
    },
    { describe: 'nobody asked Acme again', timeoutMs: 2 * patientlyMs },
  );
  const id = String(completed.body['connection_id']);
  const pollers = (await eventsOf(world, id)).map(({ data }) => data['pollerId']).filter((one) => one !== undefined);
  expect(new Set(pollers).size).toBe(2);
  const lease = async () =>
    await http.request('POST', `/v1/connections/${id}/token`, { agent_id: agentId, purpose: 'from the phone' });
  expect((await lease()).status).toBe(200);
  expect((await http.request('POST', `/v1/connections/${id}/refresh`, {})).status).toBe(200);
  await heard(world, id, 'RefreshTokenRotated');
  await connections(world, 'revoke', id);
  expect((await heard(world, id, 'UpstreamRevocationCompleted')).data).toMatchObject({ method: 'rfc7009' });
  expect((await lease()).body).toMatchObject({ code: 'connection.revoked' });
  expect((await lease()).body).not.toHaveProperty('reauthorize_url');
}
