import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { newId, operations, type EventView } from '@postern/contracts';
import { acmeAccounts, acmeRevokeApp, ScriptedBrowser, waitFor } from '@postern/testing';
import { agentEvolver, createAgent } from '@postern/domain';

import { decideAdmin } from '../admin/decide.ts';
import { createPlatformWithAccess } from '../admin/platforms.ts';
import { expectThat, type Proof } from './expect-that.ts';
import { listen, requestTokens, type PlatformOnBus } from './platform-client.ts';
import { hearFromOutside } from './hear-from-outside.ts';
import { tellThePast } from './tell-the-past.ts';
import { accessTokenTtlS, endUser, goThroughConnect, scopes, type World } from './world.ts';

/** One step of the story: what it is, and how it is done and proved. Throws when it does not hold. */
export interface Step {
  readonly title: string;
  readonly run: (world: World) => Promise<Proof>;
}

const parallelRequests = 100;
const longTtlS = 600;
/** Too short to be kept ahead of its end: refreshed when it is asked for. */
const endingTtlS = 2;

/** The steps of one connection's whole life, and of the sudden end of two others. */
export const story: readonly Step[] = [
  { title: 'a platform is created and gets its token and its NATS credentials', run: createPlatform },
  { title: 'Ada connects her Acme account: PKCE, consent, callback, completion', run: connect },
  {
    title: 'the platform leases the token over NATS and over HTTP, and Acme accepts it; Grace connects hers',
    run: lease,
  },
  {
    title: `refreshed before its end, unasked; once ended, ${parallelRequests} requests refresh it once`,
    run: refresh,
  },
  { title: 'Ada revokes the app at Acme; the next refresh finds out', run: findRevocation },
  { title: 'Ada authorizes again, in place', run: reauthorize },
  { title: 'the platform disconnects: Acme is told, requests are refused', run: disconnect },
  { title: 'Acme says that Grace is gone, Slack that a token was revoked: both are refused', run: hearFromOutside },
  { title: 'the log tells it all again, and a changed byte is found', run: tellThePast },
];

async function createPlatform(world: World): Promise<Proof> {
  const { session, tenantId, site, http, stack } = world;
  const access = await createPlatformWithAccess(session, {
    tenantId,
    name: 'Acme Agents',
    returnUrls: [site.returnUrl],
  });
  const credsFile = join(world.dataRoot, 'platform.creds');
  writeFileSync(credsFile, access.natsCreds.reveal());
  chmodSync(credsFile, 0o600);
  const platform: PlatformOnBus = { natsUrl: stack.natsUrl, credsFile, tenantId, platformId: access.platformId };
  const agentId = newId('agent');
  await decideAdmin(session, { evolver: agentEvolver, tenantId, id: agentId }, (state) =>
    createAgent({ platformId: access.platformId, name: 'night shift' }, state),
  );
  const { status, body } = await waitFor(
    async () => {
      const answer = await http.authenticate(access.platformId, access.clientSecret);
      return answer.status === 200 ? answer : undefined;
    },
    { timeoutMs: 10_000, describe: 'the gateway gave no access token' },
  );
  world.platform = platform;
  world.platformSecret = access.clientSecret;
  world.agentId = agentId;
  world.listener = await listen(platform);
  expectThat('the access token lives 15 minutes', body['expires_in'] === 900);
  return {
    platform_id: access.platformId,
    agent_id: agentId,
    token_endpoint: status,
    expires_in_s: body['expires_in'],
  };
}

async function connect(world: World): Promise<Proof> {
  const started = await world.http.request('POST', '/v1/connect/sessions', {
    registration_id: world.registrationId,
    end_user: endUser,
    return_url: world.site.returnUrl,
    scopes,
  });
  expectThat('the session was begun', started.status === 201, started);
  const { sessionId, code } = await goThroughConnect(world, String(started.body['connect_url']));
  const early = await world.http.request('GET', '/v1/connections');
  const listed = early.body['connections'] as { authorization: string }[];
  expectThat(
    'nothing can be leased before the completion',
    listed.every(({ authorization }) => authorization === 'pending'),
    listed,
  );
  const completed = await world.http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, {
    code,
    end_user: endUser,
  });
  expectThat('the platform completed it', completed.status === 200, completed);
  world.connectionId = String(completed.body['connection_id']);
  return { connection_id: world.connectionId, session_id: sessionId, scope: completed.body['scope'] };
}

async function lease(world: World): Promise<Proof> {
  const api = world.acme.endpoints.contacts;
  const overNats = await requestTokens(platformOf(world), { ...leaseFor(world), api });
  expectThat('Acme accepts the token leased over NATS', overNats.api_status === 200, overNats);
  const overHttp = await world.http.request('POST', `/v1/connections/${world.connectionId}/token`, {
    agent_id: world.agentId,
    purpose: 'demo: read contacts',
    receipt: true,
  });
  expectThat('the lease over HTTP was granted', overHttp.status === 200, overHttp.status);
  world.leaseReceipt = String(overHttp.body['receipt']);
  const called = await fetch(api, { headers: { authorization: `Bearer ${String(overHttp.body['access_token'])}` } });
  expectThat('Acme accepts the token leased over HTTP', called.status === 200, called.status);
  await connectGrace(world);
  return {
    nats_lease: overNats.lease_id,
    http_lease: overHttp.body['lease_id'],
    ...{
      contacts_api: [overNats.api_status, called.status],
      freshness: overHttp.body['freshness'],
    },
  };
}

/** Long enough before anything is said about her, and for long enough not to be refreshed meanwhile. */
async function connectGrace(world: World): Promise<void> {
  await world.acme.setAccessTokenTtl(longTtlS);
  const other = { browser: new ScriptedBrowser(), account: acmeAccounts.grace };
  const [user, url] = ['user-4712', world.site.returnUrl];
  const asked = { registration_id: world.registrationId, end_user: user, return_url: url, scopes };
  const started = await world.http.request('POST', '/v1/connect/sessions', asked);
  const { sessionId, code } = await goThroughConnect(world, String(started.body['connect_url']), other);
  const completion = { code, end_user: user };
  const completed = await world.http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, completion);
  expectThat('Grace connected hers', completed.status === 200, completed);
  await world.acme.setAccessTokenTtl(accessTokenTtlS);
  world.otherConnectionId = String(completed.body['connection_id']);
}

async function refresh(world: World): Promise<Proof> {
  return { ...(await refreshUnasked(world)), ...(await refreshOnce(world)) };
}

/** Nobody asks: the schedule is all that moves. It leaves a token that is too short-lived to be scheduled again. */
async function refreshUnasked(world: World): Promise<Proof> {
  await world.acme.setAccessTokenTtl(endingTtlS);
  const { events, last, before } = await waitFor(
    async () => {
      const request = { connection_id: world.connectionId };
      const told = await world.session.call(operations.listEvents, world.tenantId, request);
      const bought = told.events.filter(({ data }) => typeof data['accessTokenExpiresAtMs'] === 'number');
      const [older, newest] = bought.slice(-2);
      if (older === undefined || newest === undefined) return undefined;
      const livesMs = endOf(newest) - Date.parse(newest.at);
      return livesMs <= endingTtlS * 1_000 ? { events: told.events, last: newest, before: older } : undefined;
    },
    { timeoutMs: 30_000, describe: 'nothing was refreshed unasked' },
  );
  const aheadMs = endOf(before) - Date.parse(last.at);
  expectThat('the token was refreshed before its end', aheadMs > 0, { aheadMs });
  const claim = events.findLast(({ type }) => type === 'RefreshStarted');
  expectThat('it was the schedule that did it', claim?.data['reason'] === 'scheduled', claim);
  return { unasked: `refreshed ${aheadMs} ms before its end` };
}

const endOf = ({ data }: EventView) => Number(data['accessTokenExpiresAtMs']);

async function refreshOnce(world: World): Promise<Proof> {
  const expired = await waitFor(
    async () => {
      const { body } = await world.http.request('GET', `/v1/connections/${world.connectionId}`);
      const expiresAt = (body['freshness'] as { credential_expires_at: string }).credential_expires_at;
      return Date.parse(expiresAt) < Date.now() ? expiresAt : undefined;
    },
    { timeoutMs: 30_000, describe: 'the access token did not expire' },
  );
  // Not before: on a slow machine a lease near the token's end has refreshed it, and that one must expire as well.
  await world.acme.setAccessTokenTtl(longTtlS);
  const before = await world.acme.report();
  const each = parallelRequests / 2;
  const [left, right] = await Promise.all([
    requestTokens(platformOf(world), { ...leaseFor(world), count: each }),
    requestTokens(platformOf(world), { ...leaseFor(world), count: each, api: world.acme.endpoints.contacts }),
  ]);
  const after = await world.acme.report();
  const calls = after.tokenCalls.slice(before.tokenCalls.length);
  const fingerprints = new Set([...left.fingerprints, ...right.fingerprints]);
  expectThat('Acme counted exactly one call at its token endpoint', calls.length === 1, calls);
  expectThat('every request got a token', left.granted + right.granted === parallelRequests, [
    left.granted,
    right.granted,
  ]);
  expectThat('all got the same new token', fingerprints.size === 1, [...fingerprints]);
  const [call] = calls;
  expectThat(
    'the refresh token rotated',
    call?.issuedRefreshToken !== undefined && call.issuedRefreshToken !== call.presentedRefreshToken,
    call,
  );
  expectThat('the new token works', right.api_status === 200, right.api_status);
  return {
    expired_at: expired,
    requests: parallelRequests,
    processes: 2,
    token_endpoint_calls: calls.length,
    refresh_token: `${call?.presentedRefreshToken} → ${call?.issuedRefreshToken}`,
  };
}

async function findRevocation(world: World): Promise<Proof> {
  const { ada } = acmeAccounts;
  await acmeRevokeApp(world.browser, world.acme.endpoints.connectedApps, {
    user: ada.email,
    password: ada.password,
    clientId: world.acmeClientId,
  });
  const refreshed = await world.http.request('POST', `/v1/connections/${world.connectionId}/refresh`, {});
  expectThat(
    'the refresh says that only Ada can help',
    refreshed.body['code'] === 'connection.reauthorization_required',
    refreshed,
  );
  const refused = await world.http.request('POST', `/v1/connections/${world.connectionId}/token`, {
    agent_id: world.agentId,
    purpose: 'demo: read contacts',
  });
  const overNats = await requestTokens(platformOf(world), leaseFor(world));
  expectThat(
    'HTTP refuses with 409 and the code',
    refused.status === 409 && refused.body['code'] === 'connection.reauthorization_required',
    refused,
  );
  expectThat(
    'NATS refuses with the same code',
    overNats.refused[0]?.['code'] === 'connection.reauthorization_required',
    overNats,
  );
  world.reauthorizeUrl = String(refused.body['reauthorize_url']);
  expectThat('the refusal says where to re-authorize', URL.canParse(world.reauthorizeUrl), refused);
  const wanted = () =>
    (world.listener?.heard ?? []).filter(({ type }) => type === 'connection.reauthorization_required');
  await waitFor(() => wanted().length > 0 || undefined, { timeoutMs: 10_000, describe: 'no notification came' });
  expectThat('the owner is told once', wanted().length === 1, wanted());
  return {
    http: refused.status,
    code: refused.body['code'],
    reauthorize_url: world.reauthorizeUrl,
    ...{
      notifications: wanted().length,
      evidence: wanted()[0]?.['evidence'],
    },
  };
}

async function reauthorize(world: World): Promise<Proof> {
  const { sessionId, code } = await goThroughConnect(world, world.reauthorizeUrl);
  const completed = await world.http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, {
    code,
    end_user: endUser,
  });
  expectThat('the platform completed it', completed.status === 200, completed);
  expectThat('the connection is the same one', completed.body['connection_id'] === world.connectionId, completed);
  const again = await requestTokens(platformOf(world), { ...leaseFor(world), api: world.acme.endpoints.contacts });
  expectThat('its token works', again.api_status === 200, again);
  return { connection_id: completed.body['connection_id'], contacts_api: again.api_status };
}

async function disconnect(world: World): Promise<Proof> {
  const before = await world.http.request('POST', `/v1/connections/${world.connectionId}/token`, {
    agent_id: world.agentId,
    purpose: 'demo: the last one',
  });
  const token = String(before.body['access_token']);
  const revoked = await world.http.request('POST', `/v1/connections/${world.connectionId}/revoke`, {
    reason: 'the demo ends',
  });
  expectThat(
    'the vault confirmed the revocation',
    revoked.status === 200 && (revoked.body['confirmed_by'] as string[]).length > 0,
    revoked,
  );
  const refused = await requestTokens(platformOf(world), leaseFor(world));
  expectThat('requests are refused', refused.refused[0]?.['code'] === 'connection.revoked', refused);
  const told = await waitFor(
    async () => {
      const { revocations } = await world.acme.report();
      return revocations > 0 ? revocations : undefined;
    },
    { timeoutMs: 15_000, describe: 'Acme was not told' },
  );
  const dead = await waitFor(
    async () => {
      const { status } = await fetch(world.acme.endpoints.contacts, { headers: { authorization: `Bearer ${token}` } });
      return status === 401 ? status : undefined;
    },
    { timeoutMs: 15_000, describe: 'the token still works at Acme' },
  );
  return {
    confirmed_by: revoked.body['confirmed_by'],
    confirmation_ms: revoked.body['confirmation_ms'],
    ...{
      code: refused.refused[0]?.['code'],
      acme_revocations: told,
      token_at_acme: dead,
    },
  };
}

function platformOf({ platform }: World): PlatformOnBus {
  if (platform === undefined) throw new Error('the story begins with its first step');
  return platform;
}

const leaseFor = ({ connectionId, agentId }: World) => ({ connectionId, agentId });
