import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

import { acmeAccounts } from '../acme/acme-accounts.ts';
import { readText } from '../acme/http-body.ts';
import { acmeLoginAndConsent } from '../acme/acme-journeys.ts';
import { startAcme } from '../acme/start-acme.ts';
import { closeServer, listenOnLoopback } from '../loopback.ts';
import { startPlatformSite } from '../platform-site.ts';
import { ScriptedBrowser } from './scripted-browser.ts';

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(closeServer));
});

async function serve(
  answer: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>,
): Promise<string> {
  const server = createServer((request, response) => void answer(request, response));
  servers.push(server);
  return `http://127.0.0.1:${await listenOnLoopback(server)}`;
}

function html(response: ServerResponse, body: string): void {
  response.writeHead(200, { 'content-type': 'text/html' }).end(body);
}

test('a posted form carries its fields, the pressed button, the cookies and where it comes from', async () => {
  const seen: Record<string, unknown>[] = [];
  const origin = await serve(async (request, response) => {
    if (request.method === 'POST') {
      const { cookie, origin, 'sec-fetch-site': site } = request.headers;
      seen.push({ url: request.url, body: await readText(request), cookie, origin, site });
      return void response.writeHead(303, { location: '/done', 'set-cookie': 'step=2; Path=/' }).end();
    }
    if (request.url === '/done') return html(response, `<p>${request.headers.cookie} ${request.headers.origin}</p>`);
    response.setHeader('set-cookie', 'step=1; Path=/; HttpOnly');
    return html(
      response,
      `<form method="post" action="/act"><input type="hidden" name="h" value="1"><input name="who">
      <button name="d" value="no">No</button><button name="d" value="yes">Yes</button></form>`,
    );
  });
  const browser = new ScriptedBrowser();
  const page = await browser.submit(await browser.open(origin), { fields: { who: 'Ada & co' }, button: 'yes' });

  expect(seen).toEqual([
    { url: '/act', body: 'h=1&who=Ada+%26+co&d=yes', cookie: 'step=1', origin, site: 'same-origin' },
  ]);
  expect(page.text).toBe('step=2 undefined');
  expect(browser.history.map(({ method, url, status }) => `${method} ${new URL(url).pathname} ${status}`)).toEqual([
    'GET / 200',
    'POST /act 303',
    'GET /done 200',
  ]);
  await expect(browser.submit(page)).rejects.toThrow('has no form');
});

test('a 307 repeats the post, and a loop of redirects ends', async () => {
  const origin = await serve(async (request, response) => {
    if (request.url === '/loop') return void response.writeHead(302, { location: '/loop' }).end();
    if (request.url === '/first') return void response.writeHead(307, { location: '/second' }).end();
    if (request.url === '/second') return html(response, `${request.method} ${await readText(request)}`);
    return html(response, '<form method="post" action="/first"><input name="a" value="1"><button>Go</button></form>');
  });
  const browser = new ScriptedBrowser();
  expect((await browser.submit(await browser.open(origin))).text).toBe('POST a=1');
  await expect(browser.open(`${origin}/loop`)).rejects.toThrow('more than 20 redirects');
});

test.each(['GET', 'POST'])(
  'a journey goes from our one-button page (%s) over Acme to the return URL, which stays unfetched',
  async (method) => {
    const acme = await startAcme();
    const site = await startPlatformSite();
    try {
      const ours: { start?: URL } = {};
      const origin = await serve((request, response) => {
        const url = new URL(request.url ?? '/', 'http://postern.example');
        if (url.pathname === '/callback') {
          const outcome = url.searchParams.get('error') ?? 'code';
          return void response.writeHead(302, { location: `${site.returnUrl}?session_id=ses_1&${outcome}=x` }).end();
        }
        if (url.pathname === '/go') return void response.writeHead(303, { location: ours.start?.href ?? '' }).end();
        return html(response, `<form method="${method}" action="/go"><button>Connect Acme CRM</button></form>`);
      });
      const { clientId } = await acme.registerClient({ redirectUris: [`${origin}/callback`] });
      ours.start = new URL(acme.endpoints.authorization);
      ours.start.search = new URLSearchParams({
        client_id: clientId,
        redirect_uri: `${origin}/callback`,
        response_type: 'code',
        scope: 'openid offline_access contacts:read',
        prompt: 'consent',
        state: 's',
        code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
        code_challenge_method: 'S256',
      }).toString();

      const browser = new ScriptedBrowser();
      const person = { user: acmeAccounts.ada.email, password: acmeAccounts.ada.password, returnUrl: site.returnUrl };
      const arrival = await acmeLoginAndConsent(browser, origin, { ...person, decision: 'allow' });
      expect(arrival.href).toBe(`${site.returnUrl}?session_id=ses_1&code=x`);
      expect(site.visits()).toEqual([]);
      await browser.open(arrival);
      expect(await site.visitOf('ses_1')).toMatchObject({ sessionId: 'ses_1', code: 'x', error: undefined });

      const denied = await acmeLoginAndConsent(browser, origin, { ...person, decision: 'deny' });
      expect(denied.searchParams.get('access_denied')).toBe('x');
    } finally {
      await Promise.all([acme.close(), site.close()]);
    }
  },
);
