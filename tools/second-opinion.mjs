#!/usr/bin/env node
/**
 * `npm run test:second-opinion`: token exchange against an authorization server that nobody here wrote, the example server
 * of github.com/zitadel/oidc, built by Go from its pinned module. Acme, which the tests use, has its exchange from us.
 * Ends with `N passed, N failed`, and not with 0 when something failed.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';

import { pkcePair, Secret } from '../libs/crypto/dist/index.js';
import { loadCatalog, providerOf } from '../libs/provider-catalog/dist/index.js';
import { heldClientSecret, ProviderClient } from '../libs/provider-client/dist/index.js';
import { freePort, toolCacheDir } from '../libs/servers/dist/index.js';

const folder = join(import.meta.dirname, 'oidc-example');
const version = /zitadel\/oidc\/v3 v(\S+)/.exec(readFileSync(join(folder, 'go.mod'), 'utf8'))?.[1];
const redirectUri = 'http://localhost:9/oauth/callback';
const startTimeoutMs = 30_000;
const connectionId = 'con_01jd0000000000000000000001';
const party = { connectionId, registrationId: 'reg_01jd0000000000000000000001' };

async function built() {
  const cache = toolCacheDir(process.env);
  const program = join(cache, `oidc-example-${version}`);
  if (existsSync(program)) return program;
  console.error('… building the server with go, once');
  mkdirSync(cache, { recursive: true });
  const partial = `${program}.${process.pid}.partial`;
  const goPackage = 'github.com/zitadel/oidc/v3/example/server';
  await promisify(execFile)(
    'go',
    ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-o', partial, goPackage],
    {
      cwd: folder,
      env: { ...process.env, GOWORK: 'off', CGO_ENABLED: '0' },
    },
  );
  renameSync(partial, program);
  return program;
}

async function untilReady(issuer) {
  const deadlineMs = Date.now() + startTimeoutMs;
  for (;;) {
    const ready = await fetch(`${issuer}.well-known/openid-configuration`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return;
    if (Date.now() > deadlineMs) throw new Error('the server did not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function clientsAt(issuer) {
  return (clientId, secret) =>
    new ProviderClient({
      provider: providerOf(loadCatalog(), 'openid-connect'),
      registration: { clientId, tokenEndpointAuthMethod: 'client_secret_basic', parameters: { issuer } },
      credentials: heldClientSecret(Secret.from(secret)),
      allowLoopback: true,
    });
}

/** The user of the example signs in on its page. */
async function userToken(web, issuer) {
  const { codeVerifier, codeChallenge } = pkcePair();
  const asked = { redirectUri, state: 'the state', codeChallenge, scopes: ['openid', 'email'] };
  const follow = async (url, init = {}) => {
    const response = await fetch(url, { ...init, redirect: 'manual' });
    const next = response.headers.get('location');
    if (next === null) throw new Error(`no redirect but ${response.status}: ${(await response.text()).slice(0, 200)}`);
    return new URL(next, issuer);
  };
  const login = await follow(await web.authorizationUrl(asked));
  const form = { id: login.searchParams.get('authRequestID'), username: 'test-user@localhost', password: 'verysecure' };
  const callback = await follow(new URL('/login/username', issuer), {
    method: 'POST',
    body: new URLSearchParams(form),
  });
  const { searchParams: parameters } = await follow(callback);
  const read = await web.readCallback({ parameters, expectedState: asked.state });
  if (read.kind !== 'code') throw new Error(`no code but ${read.error}`);
  const exchange = { callback: read, redirectUri, codeVerifier, nonce: null, requestedScopes: asked.scopes };
  const outcome = await web.exchangeCode(exchange);
  if (outcome.kind !== 'exchanged') throw new Error(`no token but ${outcome.error}`);
  return shownFrom(outcome.tokenSet);
}

const shownFrom = ({ accessToken, grantedScopes }) => ({ accessToken: Secret.from(accessToken), grantedScopes });
const told = (outcome) =>
  outcome.kind === 'refreshed'
    ? { kind: outcome.kind, scopes: outcome.tokenSet.grantedScopes, refreshToken: outcome.tokenSet.refreshToken }
    : { kind: outcome.kind, error: outcome.error };

const port = await freePort();
const issuer = `http://localhost:${port}/`;
const server = spawn(await built(), [], {
  env: { PORT: String(port), REDIRECT_URI: redirectUri },
  stdio: ['ignore', 'ignore', 'ignore'],
});
const results = [];
try {
  await untilReady(issuer);
  const client = clientsAt(issuer);
  const web = client('web', 'secret');
  const own = await client('sid1', 'verysecret').renew({
    ...{ grant: 'client_credentials', scopes: ['openid'], parameters: {} },
  });
  if (own.kind !== 'refreshed') throw new Error(`the service got no token: ${own.error}`);
  const shown = { subject: await userToken(web, issuer), actor: shownFrom(own.tokenSet) };
  const renewal = {
    ...{ grant: 'token_exchange', scopes: ['openid'], audience: ['api'], resource: [], parameters: {} },
    ...{ subject: party, actor: party },
  };
  const refused = (error) => ({ kind: 'rejected', error });
  const got = (scopes) => ({ kind: 'refreshed', scopes, refreshToken: null });
  const rubbish = { ...shown.subject, accessToken: Secret.from('rubbish') };
  const checks = [
    ['a subject and an actor bring a token, narrowed', web.renew(renewal, shown), got(['openid'])],
    ['without scopes it has the subject’s', web.renew({ ...renewal, scopes: [] }, shown), got(['openid', 'email'])],
    ['a subject that is none', web.renew(renewal, { ...shown, subject: rubbish }), refused('invalid_request')],
    ['an actor that is none', web.renew(renewal, { ...shown, actor: rubbish }), refused('invalid_request')],
    [
      'a client that is not the one',
      client('web', 'wrong').renew(renewal, shown),
      { kind: 'client_rejected', error: 'invalid_client' },
    ],
  ];
  for (const [name, asked, expected] of checks) {
    const outcome = told(await asked);
    const holds = isDeepStrictEqual(outcome, expected);
    results.push(holds);
    console.log(`${holds ? 'ok' : 'FAILED'}  ${name}${holds ? '' : `: ${JSON.stringify(outcome)}`}`);
  }
} catch (error) {
  console.error(error);
  results.push(false);
} finally {
  server.kill();
}
const failed = results.filter((holds) => !holds).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
