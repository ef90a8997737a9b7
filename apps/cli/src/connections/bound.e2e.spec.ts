import { getCACertificates, setDefaultCACertificates } from 'node:tls';

import { newId, type EventView } from '@postern/contracts';
import { describeWithServer } from '@postern/servers';
import { Secret } from '@postern/crypto';
import { acmeAccounts, acmeLoginAndConsent, startAcme, TestAuthority, waitFor, type Acme } from '@postern/testing';

import {
  createClientRegistration,
  redirectUriOf,
  retireSecret,
  storeCertificate,
  storePrivateKey,
} from '../admin/registrations.ts';
import { story } from '../demo/story.ts';
import { withWorld, type World } from '../demo/world.ts';

const wholeTimeoutMs = 300_000;
const endUser = 'user-4711';

await describeWithServer(
  'nats-server',
  'a connection whose tokens are bound to a key (RFC 9449, with requests signed by RFC 9101) or to a certificate (RFC 8705)',
  () => {
    test(
      'is authorized, refreshed with the key that only the vault has, leased to nobody, and revoked',
      async () => {
        // A server that wants its nonce in each proof, as those do that mean it.
        const acme = await startAcme({ accessTokenTtlS: 600, dpopNonces: true });
        const authority = await TestAuthority.make();
        const before = getCACertificates('default');
        process.env['NODE_EXTRA_CA_CERTS'] = authority.caPath;
        setDefaultCACertificates([...before, authority.ca]);
        try {
          await withWorld(
            () => undefined,
            async (world) => {
              await wholeLife(world, acme);
              await lifeByCertificate(world, authority);
            },
          );
        } finally {
          setDefaultCACertificates(before);
          delete process.env['NODE_EXTRA_CA_CERTS'];
          authority.close();
          await acme.close();
        }
      },
      wholeTimeoutMs,
    );
  },
);

async function wholeLife(world: World, acme: Acme): Promise<void> {
  const { http, site, session, tenantId, browser } = world;
  await story[0]?.run(world);
  try {
    const registrationId = newId('registration');
    const redirectUris = [redirectUriOf(session, registrationId)];
    const clientId = 'app_bound';
    await createClientRegistration(session, {
      ...{ tenantId, registrationId, clientId, providerId: 'openid-connect', displayName: 'Acme' },
      ...{ tokenEndpointAuthMethod: 'none', parameters: { issuer: acme.issuer } },
      scopes: ['openid', 'offline_access', 'contacts:read'],
      dpopBoundAccessTokens: true,
      requireSignedRequestObject: true,
    });
    const { publicJwk } = await storePrivateKey(session, { tenantId, registrationId, key: 'ES256' });
    // A public client: only of such a one are the refresh tokens bound as well.
    await acme.registerClient({
      ...{ clientId, redirectUris, tokenEndpointAuthMethod: 'none', signsRequests: true },
      jwks: { keys: [publicJwk] },
    });
    const started = await http.request('POST', '/v1/connect/sessions', {
      ...{ registration_id: registrationId, end_user: endUser, return_url: site.returnUrl },
    });
    const { email: user, password } = acmeAccounts.ada;
    const back = await acmeLoginAndConsent(browser, String(started.body['connect_url']), {
      ...{ user, password, decision: 'allow', returnUrl: site.returnUrl },
    });
    const { code, session_id: sessionId } = Object.fromEntries(back.searchParams);
    const completed = await http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, {
      ...{ code, end_user: endUser },
    });
    expect(completed).toMatchObject({ status: 200, body: { freshness: { health: 'ok' } } });
    const pushed = acme.pushedRequests().at(-1) ?? {};
    expect(Object.keys(pushed).toSorted()).toEqual(['client_id', 'request']);
    const [, payload = ''] = String(pushed['request']).split('.');
    const request = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
    expect(request).toMatchObject({ iss: clientId, aud: acme.issuer, dpop_jkt: expect.stringMatching(/^.{43}$/) });

    const id = String(completed.body['connection_id']);
    const at = `/v1/connections/${id}`;
    const eventsOf = async () => (await http.request('GET', `${at}/events`)).body['events'] as EventView[];
    const authorized = (await eventsOf()).find(({ type }) => type === 'ConnectionAuthorized');
    expect(authorized?.data).toMatchObject({ senderConstrained: 'dpop' });
    const lease = async () => await http.request('POST', `${at}/token`, { agent_id: world.agentId, purpose: 'spec' });
    const refused = await lease();
    expect(refused).toMatchObject({ status: 409, body: { code: 'lease.sender_constrained' } });
    expect(refused.body).not.toHaveProperty('access_token');

    // The refresh token is bound as well: Acme takes it with the same key alone.
    const refreshed = await http.request('POST', `${at}/refresh`, {});
    expect(refreshed).toMatchObject({ status: 200, body: { credential_version: 2, freshness: { health: 'ok' } } });
    expect((await eventsOf()).map(({ type }) => type)).toContain('RefreshTokenRotated');
    expect((await lease()).body['code']).toBe('lease.sender_constrained');

    expect((await http.request('POST', `${at}/revoke`, {})).status).toBe(200);
    const told = async () => (await eventsOf()).find(({ type }) => type === 'UpstreamRevocationCompleted');
    await waitFor(told, { describe: 'Acme was not told', timeoutMs: 60_000 });
    expect((await lease()).body['code']).toBe('connection.revoked');
  } finally {
    await world.listener?.close();
  }
}

/** Acme knows the client by its certificate, and binds tokens to it though the registration does not ask for that. */
async function lifeByCertificate(world: World, authority: TestAuthority): Promise<void> {
  const { http, site, session, tenantId, browser } = world;
  const server = await authority.issue('acme.example');
  const acme = await startAcme({ accessTokenTtlS: 600, mtls: { server, ca: authority.ca } });
  try {
    const registrationId = newId('registration');
    const tokenEndpointAuthMethod = 'tls_client_auth';
    const { clientId } = await acme.registerClient({
      redirectUris: [redirectUriOf(session, registrationId)],
      ...{ tokenEndpointAuthMethod, tlsName: 'postern.example', bindsToCertificate: true },
    });
    await createClientRegistration(session, {
      ...{ tenantId, registrationId, clientId, providerId: 'openid-connect', displayName: 'Acme' },
      ...{ tokenEndpointAuthMethod, parameters: { issuer: acme.issuer } },
      scopes: ['openid', 'offline_access', 'contacts:read'],
    });
    const give = async (name: string) => {
      const { pem } = await authority.issue(name);
      return await storeCertificate(session, { tenantId, registrationId, certificate: Secret.from(pem) });
    };
    await give('postern.example');
    const started = await http.request('POST', '/v1/connect/sessions', {
      ...{ registration_id: registrationId, end_user: endUser, return_url: site.returnUrl },
    });
    const { email: user, password } = acmeAccounts.ada;
    const back = await acmeLoginAndConsent(browser, String(started.body['connect_url']), {
      ...{ user, password, decision: 'allow', returnUrl: site.returnUrl },
    });
    const { code, session_id: sessionId } = Object.fromEntries(back.searchParams);
    const completed = await http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, {
      ...{ code, end_user: endUser },
    });
    expect(completed).toMatchObject({ status: 200, body: { freshness: { health: 'ok' } } });

    const at = `/v1/connections/${String(completed.body['connection_id'])}`;
    const eventsOf = async () => (await http.request('GET', `${at}/events`)).body['events'] as EventView[];
    const authorized = (await eventsOf()).find(({ type }) => type === 'ConnectionAuthorized');
    expect(authorized?.data).toMatchObject({ senderConstrained: 'mtls' });
    const lease = async () => await http.request('POST', `${at}/token`, { agent_id: world.agentId, purpose: 'spec' });
    expect(await lease()).toMatchObject({ status: 409, body: { code: 'lease.sender_constrained' } });

    // Acme does not know the new one yet: within the overlap the old one is found.
    expect((await give('unknown.example')).secretVersion).toBe(2);
    const refreshed = await http.request('POST', `${at}/refresh`, {});
    expect(refreshed).toMatchObject({ status: 200, body: { credential_version: 2, freshness: { health: 'ok' } } });
    expect((await give('postern.example')).secretVersion).toBe(3);
    for (const secretVersion of [1, 2]) {
      await retireSecret(session, { tenantId, registrationId, kind: 'tls_certificate', secretVersion });
    }
    expect((await http.request('POST', `${at}/refresh`, {})).body).toMatchObject({ credential_version: 3 });
    expect((await lease()).body['code']).toBe('lease.sender_constrained');

    expect((await http.request('POST', `${at}/revoke`, {})).status).toBe(200);
    const told = async () => (await eventsOf()).find(({ type }) => type === 'UpstreamRevocationCompleted');
    await waitFor(told, { describe: 'Acme was not told', timeoutMs: 60_000 });
    expect(acme.mtlsPaths()).toContain('/token/revocation');
  } finally {
    await acme.close();
  }
}
