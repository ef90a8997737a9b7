import { describeWithServer } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { registerResource, storePrivateKey } from '../admin/registrations.ts';
import { authorizeByProxy, callTool, here, knownAs, withMcp } from './mcp-world.ts';
import { story } from './story.ts';
import { withWorld, type World } from './world.ts';

const wholeTimeoutMs = 300_000;
const endUser = 'user-4711';

await describeWithServer('nats-server', 'an MCP server as a provider', () => {
  test(
    'is connected by our metadata document, used, stepped up, refreshed and revoked; a service signs in by itself; its issuer is its only one',
    async () => {
      await withWorld(
        () => undefined,
        async (world) => await withMcp(world, (mcp) => wholeLife(world, mcp)),
        { publicUrl: knownAs },
      );
    },
    wholeTimeoutMs,
  );
});

async function wholeLife(world: World, { acme, server }: Parameters<Parameters<typeof withMcp>[1]>[0]): Promise<void> {
  const { session, tenantId, http, site } = world;
  await story[0]?.run(world);
  const lease = async (connectionId: string) =>
    await http.request('POST', `/v1/connections/${connectionId}/token`, { agent_id: world.agentId, purpose: 'spec' });
  const tokenOf = async (connectionId: string) => {
    const { status, body } = await lease(connectionId);
    expect({ status, body }).toMatchObject({ status: 200 });
    return body as { access_token: string; lease_id: string; credential_version: number };
  };
  const begin = async (registrationId: string) =>
    await http.request('POST', '/v1/connect/sessions', {
      registration_id: registrationId,
      end_user: endUser,
      return_url: site.returnUrl,
    });

  const made = await registerResource(session, { tenantId, displayName: 'Contacts', resource: server.url, scopes: [] });
  const { registrationId, redirectUri, clientId } = made;
  expect(made).toMatchObject({ clientId: `${knownAs}/oauth/clients/${registrationId}`, issuer: acme.issuer });
  const document = await fetch(here(world, clientId));
  expect(document.headers.get('content-type')).toContain('application/json');
  expect(await document.json()).toMatchObject({
    client_id: clientId,
    redirect_uris: [redirectUri],
    token_endpoint_auth_method: 'none',
  });
  // Of a client that a provider knows by another name, nothing is told.
  expect((await fetch(here(world, clientId.replace(registrationId, world.registrationId)))).status).toBe(404);

  const started = await begin(registrationId);
  expect(started.status).toBe(201);
  const connected = await authorizeByProxy(world, {
    connectUrl: String(started.body['connect_url']),
    redirectUri,
    endUser,
  });
  expect(connected).toMatchObject({ status: 200, body: { scope: ['contacts:read'] } });
  const connectionId = String(connected.body['connection_id']);
  const first = await tokenOf(connectionId);
  expect(await callTool(server, 'count_contacts', first.access_token)).toMatchObject({
    status: 200,
    text: expect.stringContaining('"3"') as string,
  });

  // Step-up: what the challenge names is asked for together with what was granted.
  const tooLittle = await callTool(server, 'add_contact', first.access_token);
  expect(tooLittle).toMatchObject({ status: 403, challenge: expect.stringContaining('contacts:write') as string });
  const reported = await http.request('POST', `/v1/connections/${connectionId}/rejections`, {
    lease_id: first.lease_id,
    credential_version: first.credential_version,
    status: tooLittle.status,
    www_authenticate: tooLittle.challenge,
  });
  expect(reported.body).toMatchObject({ outcome: 'scope_missing', missing_scopes: ['contacts:write'] });
  const again = await http.request('POST', `/v1/connections/${connectionId}/reauthorize`, {});
  expect(await callTool(server, 'count_contacts', (await tokenOf(connectionId)).access_token)).toMatchObject({
    status: 200,
  });
  const steppedUp = await authorizeByProxy(world, {
    connectUrl: String(again.body['connect_url']),
    redirectUri,
    endUser,
  });
  expect(steppedUp.body).toMatchObject({ connection_id: connectionId, scope: ['contacts:read', 'contacts:write'] });
  const second = await tokenOf(connectionId);
  for (const tool of ['count_contacts', 'add_contact']) {
    expect(await callTool(server, tool, second.access_token)).toMatchObject({ status: 200 });
  }

  // A refreshed token is for the same server again.
  const refreshed = await http.request('POST', `/v1/connections/${connectionId}/refresh`, {});
  expect(refreshed).toMatchObject({ status: 200 });
  const third = await tokenOf(connectionId);
  expect(third.access_token).not.toBe(second.access_token);
  expect(await acme.tokenOf(third.access_token)).toMatchObject({ clientId, audience: server.url });
  expect(await callTool(server, 'add_contact', third.access_token)).toMatchObject({ status: 200 });

  expect((await http.request('POST', `/v1/connections/${connectionId}/revoke`, {})).status).toBe(200);
  expect((await lease(connectionId)).body['code']).toBe('connection.revoked');
  await waitFor(
    async () => ((await callTool(server, 'count_contacts', third.access_token)).status === 401 ? true : undefined),
    {
      timeoutMs: 60_000,
      describe: 'the authorization server was not told',
    },
  );

  // By itself, with no browser: signed in by a key of the vault's, at the same authorization server.
  const own = await registerResource(session, {
    ...{ tenantId, displayName: 'Contacts, at night', resource: server.url, scopes: [] },
    tokenEndpointAuthMethod: 'private_key_jwt',
  });
  await storePrivateKey(session, { tenantId, registrationId: own.registrationId, key: 'ES256' });
  const established = await http.request('POST', '/v1/connections', {
    ...{ registration_id: own.registrationId, grant: { type: 'client_credentials' }, scopes: ['contacts:read'] },
  });
  expect(established).toMatchObject({ status: 201, body: { scope: ['contacts:read'] } });
  const serviceId = String(established.body['connection_id']);
  const ofService = await tokenOf(serviceId);
  expect(await acme.tokenOf(ofService.access_token)).toMatchObject({ clientId: own.clientId, audience: server.url });
  expect(await callTool(server, 'count_contacts', ofService.access_token)).toMatchObject({ status: 200 });
  expect((await http.request('POST', `/v1/connections/${serviceId}/refresh`, {})).status).toBe(200);
  const renewed = await tokenOf(serviceId);
  expect(renewed.access_token).not.toBe(ofService.access_token);
  expect(await callTool(server, 'count_contacts', renewed.access_token)).toMatchObject({ status: 200 });

  // The server goes over to another authorization server: this registration is of no use any more.
  server.setAuthorizationServers([world.acme.issuer]);
  const late = await begin(registrationId);
  const page = await world.browser.open(here(world, String(late.body['connect_url'])));
  expect((await world.browser.submit(page)).text).toContain('Error code registration.issuer_changed');
  const lateService = await http.request('POST', '/v1/connections', {
    ...{ registration_id: own.registrationId, grant: { type: 'client_credentials' }, scopes: ['contacts:read'] },
  });
  expect(lateService.body['code']).toBe('registration.issuer_changed');
}
