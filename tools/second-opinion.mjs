#!/usr/bin/env node
/**
 * `npm run test:second-opinion`: token exchange and JWT bearer against an authorization server that nobody here wrote, the
 * example server of github.com/zitadel/oidc, built by Go from its pinned module. Acme, which the tests use, has its exchange
 * from us. Connections by JWT bearer are Postern's own, as processes: its vault signs. An identity is asserted (ID-JAG) by
 * the servers of MCP's conformance suite, from the package registry by its own lockfile; its Acme is ours, too.
 * Ends with `N passed, N failed`, and not with 0 when something failed.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';

import { jwtBearerStory } from '../apps/cli/dist/index.js';
import { jwtSigner, parseJwtKey, pkcePair, Secret } from '../libs/crypto/dist/index.js';
import { loadCatalog, providerOf } from '../libs/provider-catalog/dist/index.js';
import { heldClientSecret, ProviderClient } from '../libs/provider-client/dist/index.js';
import { freePort, toolCacheDir } from '../libs/servers/dist/index.js';

const folder = join(import.meta.dirname, 'oidc-example');
const sources = ['go.mod', 'go.sum', 'main.go'].map((name) => readFileSync(join(folder, name)));
const version = createHash('sha256').update(Buffer.concat(sources)).digest('hex').slice(0, 16);
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
  await promisify(execFile)('go', ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-o', partial, '.'], {
    cwd: folder,
    env: { ...process.env, GOWORK: 'off', CGO_ENABLED: '0' },
  });
  renameSync(partial, program);
  return program;
}

const suite = join(import.meta.dirname, 'mcp-conformance');

/** Where the suite of MCP is installed, once for each lockfile. */
async function suiteInstalled() {
  const lock = readFileSync(join(suite, 'package-lock.json'));
  const name = `mcp-conformance-${createHash('sha256').update(lock).digest('hex').slice(0, 16)}`;
  const place = join(toolCacheDir(process.env), name);
  if (existsSync(place)) return place;
  console.error('… installing the conformance suite of MCP, once');
  const partial = `${place}.${process.pid}.partial`;
  mkdirSync(partial, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) cpSync(join(suite, file), join(partial, file));
  await promisify(execFile)('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: partial });
  renameSync(partial, place);
  return place;
}

/** Its identity provider, its authorization server and its MCP server, and what they think of us. @source MCP, SEP-990 */
async function crossAppAccess() {
  const place = await suiteInstalled();
  const program = join(place, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');
  const command = `"${process.execPath}" "${join(suite, 'client.mjs')}"`;
  const scenario = 'auth/cross-app-access-complete-flow';
  const run = promisify(execFile)(process.execPath, [program, 'client', '--command', command, '--scenario', scenario], {
    cwd: place,
  });
  const { stdout, stderr } = await run.catch((failed) => failed);
  const said = `${stdout}${stderr}`;
  return /^Passed: .*$/m.exec(said)?.[0] ?? said.slice(-500);
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

/** By a JWT that the key of the server's service user signs; each differs in one thing. */
async function asserted(client, { key, ...claims }) {
  const now = Math.floor(Date.now() / 1000);
  const made = { iss: serviceUser, sub: serviceUser, aud: issuer, jti: randomUUID(), iat: now, exp: now + 60 };
  const assertion = jwtSigner(key).sign({ header: { typ: 'JWT' }, claims: { ...made, ...claims } });
  const renewal = { grant: 'jwt_bearer', scopes: ['openid'], subject: serviceUser, scopesInAssertion: false };
  return await client.renew({ ...renewal, parameters: {} }, { assertion: Secret.from(assertion) });
}

const pemOf = ({ privateKey }) => Secret.from(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());

const shownFrom = ({ accessToken, grantedScopes }) => ({ accessToken: Secret.from(accessToken), grantedScopes });
const told = (outcome) =>
  outcome.kind === 'refreshed'
    ? { kind: outcome.kind, scopes: outcome.tokenSet.grantedScopes, refreshToken: outcome.tokenSet.refreshToken }
    : { kind: outcome.kind, error: outcome.error };

const serviceUser = 'service';
const [servicePair, otherPair] = [1, 2].map(() => generateKeyPairSync('rsa', { modulusLength: 2_048 }));
const work = mkdtempSync(join(tmpdir(), 'postern-second-opinion-'));
const keyFile = join(work, 'service.pem');
writeFileSync(keyFile, servicePair.publicKey.export({ format: 'pem', type: 'spki' }));
const port = await freePort();
const issuer = `http://localhost:${port}/`;
const server = spawn(await built(), [], {
  env: { PORT: String(port), REDIRECT_URI: redirectUri, SERVICE_KEY_FILE: keyFile },
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
  const service = new ProviderClient({
    provider: providerOf(loadCatalog(), 'openid-connect'),
    registration: { clientId: serviceUser, tokenEndpointAuthMethod: 'none', parameters: { issuer } },
    credentials: null,
    allowLoopback: true,
  });
  const key = parseJwtKey(pemOf(servicePair).reveal());
  const otherKey = parseJwtKey(pemOf(otherPair).reveal());
  const past = Math.floor(Date.now() / 1000) - 7_200;
  // Where RFC 7523 §3.1 has invalid_grant, this server says invalid_request: ours to mend, as it is.
  const notTaken = { kind: 'client_rejected', error: 'invalid_request' };
  checks.push(
    ['an assertion brings a token', asserted(service, { key }), got(['openid'])],
    ['of another key none', asserted(service, { key: otherKey }), notTaken],
    ['for another audience none', asserted(service, { key, aud: 'https://elsewhere.example' }), notTaken],
    ['after its end none', asserted(service, { key, iat: past, exp: past + 60 }), notTaken],
    ['for another subject none', asserted(service, { key, sub: 'somebody' }), notTaken],
  );
  process.env.POSTERN_ALLOW_LOOPBACK_PROVIDERS = 'true';
  const life = jwtBearerStory(
    { issuer, clientId: serviceUser, key: pemOf(servicePair), scopes: ['openid'] },
    { otherKey: pemOf(otherPair), onProgress: (text) => console.error(`… ${text}`) },
  );
  const step = (name) => life.then((story) => story[name]);
  const refusedThere = /^502 provider\.client_rejected .*invalid_request: assertion invalid/;
  checks.push(
    ['a connection by JWT bearer', step('established'), /^201$/],
    ['is leased', step('leased'), /^200$/],
    ['is renewed', step('renewed'), /^200, another token$/],
    ['is not made with another key', step('otherKey'), refusedThere],
    ['nor for another audience', step('otherAudience'), refusedThere],
    [
      'an identity, asserted to an MCP server’s authorization server',
      crossAppAccess(),
      /^Passed: (\d+)\/\1, 0 failed, 0 warnings$/,
    ],
  );
  for (const [name, asked, expected] of checks) {
    const came = await asked;
    const outcome = typeof came === 'string' ? came : told(came);
    const holds = expected instanceof RegExp ? expected.test(outcome) : isDeepStrictEqual(outcome, expected);
    results.push(holds);
    console.log(`${holds ? 'ok' : 'FAILED'}  ${name}${holds ? '' : `: ${JSON.stringify(outcome)}`}`);
  }
} catch (error) {
  console.error(error);
  results.push(false);
} finally {
  server.kill();
  rmSync(work, { recursive: true, force: true });
}
const failed = results.filter((holds) => !holds).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
