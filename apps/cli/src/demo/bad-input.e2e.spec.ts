import { newId } from '@postern/contracts';
import { createTenant, tenantEvolver } from '@postern/domain';
import { describeWithServer } from '@postern/servers';
import { acmeAccounts, acmeLoginAndConsent, ScriptedBrowser, type PlatformSite } from '@postern/testing';

import { decideAdmin } from '../admin/decide.ts';
import { createPlatformWithAccess } from '../admin/platforms.ts';
import { oneWorld } from '../spec-support/one-world.ts';
import { PlatformHttp, requestTokens, type HttpAnswer } from './platform-client.ts';
import { story } from './story.ts';
import { endUser, goThroughConnect, type World } from './world.ts';

const wholeTimeoutMs = 300_000;

/** A second platform, of the same tenant when none is given: it must see nothing of the first one's. */
async function stranger(world: World, site: PlatformSite, tenantId = world.tenantId): Promise<PlatformHttp> {
  const { session, stack } = world;
  const access = await createPlatformWithAccess(session, { tenantId, name: 'Stranger', returnUrls: [site.returnUrl] });
  const http = new PlatformHttp(stack.url);
  for (let status = 0; status !== 200;) ({ status } = await http.authenticate(access.platformId, access.clientSecret));
  return http;
}

async function anotherTenant({ session }: World): Promise<string> {
  const tenantId = newId('tenant');
  await decideAdmin(session, { evolver: tenantEvolver, tenantId, id: tenantId }, (state) =>
    createTenant({ name: 'Elsewhere' }, state),
  );
  return tenantId;
}

/** The platform's own access token, to be changed. */
async function accessTokenOf({ stack, platform, platformSecret }: World): Promise<string> {
  const answer = await fetch(`${stack.url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: platform?.platformId ?? '',
      client_secret: platformSecret?.reveal() ?? '',
    }),
  });
  return ((await answer.json()) as { access_token: string }).access_token;
}

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The parts of a signed token put together anew, as whoever has no key can. */
function forgedFrom(token: string): string[] {
  const [header = '', claims = '', signature = ''] = token.split('.');
  const said = JSON.parse(Buffer.from(claims, 'base64url').toString()) as object;
  const other = encoded({ ...said, sub: newId('platform'), tenant_id: newId('tenant') });
  const none = encoded({ alg: 'none', typ: 'at+jwt' });
  return [
    'made-up',
    `${header}.${claims}.${signature.slice(0, -2)}`,
    `${header}.${other}.${signature}`,
    `${header}.${encoded({ ...said, exp: 4_000_000_000 })}.${signature}`,
    `${none}.${claims}.`,
    `${none}.${claims}.${signature}`,
  ];
}

const seen = ({ status, body }: HttpAnswer) => [status, body['code'] ?? body['error']];

await describeWithServer('nats-server', 'bad input', () => {
  // A platform and a connection.
  const connected = oneWorld(async (world) => {
    for (const step of story.slice(0, 2)) await step.run(world);
  });

  test(
    'gets its coded error, changes nothing, and does not tell a stranger what exists',
    async () => {
      const world = connected();
      const { http, connectionId, agentId, stack, session, site, registrationId } = world;
      const headBefore = await session.connections.head();
      const strangers = [await stranger(world, site), await stranger(world, site, await anotherTenant(world))] as const;
      const lease = { agent_id: agentId, purpose: 'x' };
      const unknown = newId('connection');
      const at = (id: string, path = '') => `/v1/connections/${id}${path}`;
      const anonymous = new PlatformHttp(stack.url);
      const begin = { registration_id: registrationId, end_user: 'u', return_url: site.returnUrl };

      // No token, a made-up one, a wrong secret, an unknown client, another grant type.
      expect(seen(await anonymous.request('GET', '/v1/connections'))).toEqual([401, 'auth.token_missing']);
      for (const [body, wanted] of [
        ['grant_type=client_credentials&client_id=plt_x&client_secret=y', [401, 'invalid_client']],
        [
          `grant_type=client_credentials&client_id=${world.platform?.platformId}&client_secret=wrong`,
          [401, 'invalid_client'],
        ],
        ['grant_type=password&client_id=a&client_secret=b', [400, 'unsupported_grant_type']],
        ['', [400, 'invalid_request']],
      ] as const) {
        const headers = { 'content-type': 'application/x-www-form-urlencoded' };
        const answer = await fetch(`${stack.url}/oauth/token`, { method: 'POST', headers, body });
        const { error } = (await answer.json()) as { error: string };
        expect([answer.status, error]).toEqual(wanted);
      }

      // Access tokens that we did not sign, or not so.
      const good = await accessTokenOf(world);
      const asked = async (token: string) => {
        const answer = await fetch(`${stack.url}/v1/connections`, { headers: { authorization: `Bearer ${token}` } });
        return [answer.status, ((await answer.json()) as { code?: string }).code];
      };
      expect(await asked(good)).toEqual([200, undefined]);
      for (const token of forgedFrom(good)) expect(await asked(token)).toEqual([401, 'auth.token_invalid']);

      // A connection of another platform or another tenant answers exactly as one that does not exist.
      for (const [method, path, body] of [
        ['GET', ''],
        ['GET', '/events'],
        ['POST', '/token', lease],
        ['POST', '/refresh', {}],
        ['POST', '/suspend', {}],
        ['POST', '/revoke', {}],
        ['POST', '/reauthorize', {}],
        ['DELETE', ''],
      ] as const) {
        for (const other of strangers) {
          const foreign = await other.request(method, at(connectionId, path), body);
          const missing = await other.request(method, at(unknown, path), body);
          // The stranger's agent is not its own either: it is told about the agent in both cases.
          expect([path, seen(foreign)]).toEqual([path, seen(missing)]);
          expect([403, 404]).toContain(foreign.status);
        }
      }
      for (const other of strangers) {
        expect((await other.request('GET', '/v1/connections')).body['connections']).toEqual([]);
      }

      // Malformed, oversized, wildcards, unknown fields, unknown agents.
      for (const id of ['con_*', '%3E', 'con_..', newId('tenant')]) {
        expect(seen(await http.request('POST', at(id, '/token'), lease))).toEqual([400, 'request.malformed']);
      }
      expect(seen(await http.request('POST', at(connectionId, '/token'), { ...lease, x: 1 }))).toEqual([
        400,
        'request.malformed',
      ]);
      expect(seen(await http.request('POST', at(connectionId, '/token'), { ...lease, min_ttl_s: -1 }))).toEqual([
        400,
        'request.malformed',
      ]);
      expect(
        seen(await http.request('POST', at(connectionId, '/token'), { ...lease, agent_id: newId('agent') })),
      ).toEqual([404, 'agent.not_found']);
      expect(
        seen(await http.request('POST', at(connectionId, '/token'), { ...lease, scopes: ['contacts:write'] })),
      ).toEqual([403, 'lease.scope_missing']);
      expect(
        seen(await http.request('POST', at(connectionId, '/token'), { ...lease, purpose: 'x'.repeat(100_000) })),
      ).toEqual([413, 'request.too_large']);
      expect(seen(await http.request('GET', '/v1/nothing'))).toEqual([404, 'request.not_found']);

      // Sessions: a foreign return URL, an unknown registration or scope, an unknown session.
      expect(
        seen(await http.request('POST', '/v1/connect/sessions', { ...begin, return_url: 'https://evil.example/' })),
      ).toEqual([400, 'session.return_url_unknown']);
      expect(
        seen(await http.request('POST', '/v1/connect/sessions', { ...begin, registration_id: newId('registration') })),
      ).toEqual([404, 'registration.not_found']);
      expect(seen(await strangers[1].request('POST', '/v1/connect/sessions', begin))).toEqual([
        404,
        'registration.not_found',
      ]);
      expect(seen(await http.request('POST', '/v1/connect/sessions', { ...begin, scopes: ['admin'] }))).toEqual([
        400,
        'session.scope_unknown',
      ]);
      expect(
        seen(
          await http.request('POST', `/v1/connect/sessions/${newId('session')}/complete`, {
            code: 'x',
            end_user: 'u',
          }),
        ),
      ).toEqual([404, 'session.not_found']);

      expect(await session.connections.head()).toBe(headBefore);
    },
    wholeTimeoutMs,
  );

  test(
    'a session is completed by its own platform, for its own user, with its own code, once, and in one browser',
    async () => {
      const world = connected();
      const { http, site, registrationId, browser, stack } = world;
      const strangers = [await stranger(world, site), await stranger(world, site, await anotherTenant(world))] as const;
      const begin = { registration_id: registrationId, end_user: endUser, return_url: site.returnUrl };
      const complete = (platform: PlatformHttp, sessionId: string, body: object) =>
        platform.request('POST', `/v1/connect/sessions/${sessionId}/complete`, body);
      const started = await http.request('POST', '/v1/connect/sessions', begin);
      const { sessionId, code } = await goThroughConnect(world, String(started.body['connect_url']));

      for (const other of strangers) {
        const completing = await complete(other, sessionId, { code, end_user: endUser });
        expect(seen(completing)).toEqual([404, 'session.not_found']);
      }
      expect(seen(await complete(http, sessionId, { code, end_user: 'somebody else' }))).toEqual([
        403,
        'session.end_user_mismatch',
      ]);
      expect(seen(await complete(http, sessionId, { code: `${code}x`, end_user: endUser }))).toEqual([
        400,
        'session.code_invalid',
      ]);

      // The callback again, as a back button or a thief would send it; with a wrong state; in another browser.
      const callback = browser.history.map(({ url }) => url).find((url) => url.includes('/oauth/callback/')) ?? '';
      const headers = { accept: 'text/html' };
      const again = await browser.open(callback);
      const stolen = await new ScriptedBrowser().open(callback);
      const forged = await fetch(callback.replace(/state=[^&]+/, 'state=forged'), { headers, redirect: 'manual' });
      expect([again.status, stolen.status, forged.status].every((status) => status >= 400 && status < 500)).toBe(true);
      expect(again.text + stolen.text).toMatch(/session\./);

      expect((await complete(http, sessionId, { code, end_user: endUser })).status).toBe(200);
      // A repeat by the same platform for the same user answers the same: an answer may be lost.
      expect((await complete(http, sessionId, { code, end_user: endUser })).status).toBe(200);

      // Denied at the provider.
      const next = await http.request('POST', '/v1/connect/sessions', begin);
      const { ada } = acmeAccounts;
      const back = await acmeLoginAndConsent(new ScriptedBrowser(), String(next.body['connect_url']), {
        user: ada.email,
        password: ada.password,
        decision: 'deny',
        returnUrl: site.returnUrl,
      });
      expect(back.searchParams.get('error')).toBe('access_denied');
      const denied = await complete(http, String(next.body['session_id']), { code: 'x', end_user: endUser });
      expect(seen(denied)).toEqual([400, 'session.code_invalid']);

      // Pages for strangers are all alike.
      const pages = await Promise.all(
        [newId('session'), newId('connection'), 'con_*', 'nothing'].map((id) =>
          fetch(`${stack.url}/connect/${id}`, { headers }),
        ),
      );
      const texts = await Promise.all(pages.map((page) => page.text()));
      expect(pages.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
      expect(new Set(texts.map((text) => text.replaceAll(/cor_\w+/g, ''))).size).toBe(1);
    },
    wholeTimeoutMs,
  );

  test(
    'on NATS a platform reaches its own subjects only',
    async () => {
      const world = connected();
      const { platform, connectionId, agentId } = world;
      if (platform === undefined) throw new Error('no platform');
      const foreign = { ...platform, platformId: newId('platform') };
      await expect(requestTokens(foreign, { connectionId, agentId })).rejects.toThrow(/ermission|timeout/);
      const missing = await requestTokens(platform, { connectionId: newId('connection'), agentId });
      expect(missing.refused[0]?.['code']).toBe('connection.not_found');
      const malformed = await requestTokens(platform, { connectionId: 'con_>', agentId });
      expect(malformed.refused[0]?.['code']).toBe('request.malformed');
    },
    wholeTimeoutMs,
  );
});
