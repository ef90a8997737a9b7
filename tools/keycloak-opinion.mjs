#!/usr/bin/env node
/**
 * `npm run test:keycloak`: pushed and signed authorization requests, PKCE, tokens bound by DPoP, the device flow, token
 * exchange, assertions as client credential, introspection and revocation against Keycloak, which nobody here wrote.
 * Needs Java 17 and Maven. Ends with `N passed, N failed`, and not with 0 when something failed.
 */
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { pkcePair, Secret } from '../libs/crypto/dist/index.js';
import { loadCatalog, providerOf } from '../libs/provider-catalog/dist/index.js';
import { DpopNonces, heldClientSecret, nextIntervalS, ProviderClient } from '../libs/provider-client/dist/index.js';
import { ScriptedBrowser } from '../libs/testing/dist/index.js';
import { keys, person, realm, redirectUri, secret } from './keycloak/realm.mjs';
import { startKeycloak } from './keycloak/start-keycloak.mjs';

const party = { connectionId: 'con_01jd0000000000000000000001', registrationId: 'reg_01jd0000000000000000000001' };

function proverOf({ publicJwk, sign }) {
  const { kid: jkt, alg: _alg, use: _use, ...jwk } = publicJwk;
  return async ({ htm, htu, nonce, accessToken }) => {
    const ath = accessToken && createHash('sha256').update(accessToken.reveal()).digest('base64url');
    const claims = { jti: randomUUID(), htm, htu, iat: Math.floor(Date.now() / 1000), nonce, ath };
    return { proof: sign({ header: { typ: 'dpop+jwt', jwk }, claims }), jkt };
  };
}

function signedBy({ publicJwk, sign }, { typ, ...claims }) {
  const iat = Math.floor(Date.now() / 1000);
  const times = { jti: randomUUID(), iat, nbf: iat, exp: iat + 60 };
  return sign({ header: { typ, kid: publicJwk.kid }, claims: { ...times, ...claims } });
}

function clientsAt(issuer) {
  const requestSigner = (key) => async (parameters) =>
    signedBy(key, { typ: 'oauth-authz-req+jwt', ...parameters, iss: parameters.client_id, aud: issuer });
  return (clientId, { key, password = secret, features = {}, prove, method = 'client_secret_basic' } = {}) =>
    new ProviderClient({
      provider: providerOf(loadCatalog(), 'openid-connect'),
      registration: { clientId, tokenEndpointAuthMethod: method, parameters: { issuer }, ...features },
      credentials:
        method === 'private_key_jwt'
          ? async () => ({
              version: 1,
              clientAssertion: Secret.from(signedBy(key, { typ: 'JWT', iss: clientId, sub: clientId, aud: issuer })),
            })
          : heldClientSecret(Secret.from(password)),
      signRequest: key && requestSigner(key),
      prove,
      dpopNonces: new DpopNonces(),
      allowLoopback: true,
    });
}

/** Ada signs in, consents where she is asked, and is sent back: what the callback brings, and what it was asked with. */
async function authorize(client, { scopes = ['openid', 'email'], dpopJkt } = {}) {
  await client.requireFeatures();
  const { codeVerifier, codeChallenge } = pkcePair();
  const [state, nonce] = [randomUUID(), randomUUID()];
  const url = await client.authorizationUrl({ redirectUri, state, codeChallenge, scopes, nonce, dpopJkt });
  const browser = new ScriptedBrowser();
  const until = ({ href }) => href.startsWith(redirectUri);
  const login = await browser.open(url, { until });
  const back = login.stopped ? login : await browser.submit(login, { fields: person, until });
  if (!back.stopped) throw new Error(`not sent back: ${back.status} ${back.text.slice(0, 200)}`);
  const callback = await client.readCallback({ parameters: new URL(back.url).searchParams, expectedState: state });
  return { url, callback, exchange: { callback, redirectUri, codeVerifier, nonce, requestedScopes: scopes } };
}

async function tokensOf(client, options) {
  const { exchange } = await authorize(client, options);
  const outcome = await client.exchangeCode(exchange);
  if (outcome.kind !== 'exchanged') throw new Error(`no tokens: ${JSON.stringify(outcome)}`);
  const { accessToken, refreshToken, grantedScopes, tokenType } = outcome.tokenSet;
  return {
    ...{ account: outcome.account, tokenType, grantedScopes },
    access: Secret.from(accessToken),
    refresh: Secret.from(refreshToken ?? ''),
  };
}

async function deviceTokens(client) {
  const begun = await client.authorizeDevice({ scopes: ['openid'] });
  if (begun.kind !== 'device_authorized') throw new Error(`no user code: ${JSON.stringify(begun)}`);
  const { deviceCode: code } = begun;
  const question = { deviceCode: Secret.from(code.deviceCode), requestedScopes: ['openid'] };
  const first = await client.askForDevice(question);
  const browser = new ScriptedBrowser();
  const asked = await browser.open(`${code.verificationUri}?user_code=${code.userCode}`);
  const consent = await browser.submit(asked, { fields: person });
  const done = await browser.submit(consent, { button: 'Yes' });
  if (done.status !== 200) throw new Error(`the device was not let in: ${done.status} ${done.text.slice(0, 200)}`);
  await delay(nextIntervalS(begun.intervalS, { kind: 'undecided', slowDown: false }) * 1_000);
  return `${first.kind}, ${(await client.askForDevice(question)).kind}`;
}

/** Named checks: what is done, and what has to come of it. */
function checksAt(issuer) {
  const client = clientsAt(issuer);
  const plain = client('plain');
  const boundTo = (key) => client('bound', { prove: proverOf(key), features: { dpopBoundAccessTokens: true } });
  const asserting = (key) => client('asserting', { method: 'private_key_jwt', key });
  const signing = (key) => client('signing', { key, features: { requireSignedRequestObject: true } });
  const own = { grant: 'client_credentials', scopes: ['openid'], parameters: {} };
  const exchangeOf = async (more = {}, clientId = 'exchanger') => {
    const { access, grantedScopes } = await tokensOf(plain);
    const renewal = { grant: 'token_exchange', scopes: [], audience: [], resource: [], parameters: {}, ...more };
    const shown = { subject: { accessToken: access, grantedScopes }, actor: null };
    return await client(clientId).renew({ ...renewal, subject: party }, shown);
  };
  const refreshTwice = async () => {
    const { refresh } = await tokensOf(plain);
    const grantedScopes = ['openid', 'email'];
    const first = await plain.refresh({ refreshToken: refresh, grantedScopes });
    const again = await plain.refresh({ refreshToken: refresh, grantedScopes });
    return `${first.kind}, rotated ${first.rotated}; ${again.kind} ${again.error}`;
  };
  const lifeOf = async (end) => {
    const { access, refresh } = await tokensOf(plain);
    const before = await plain.introspect({ token: refresh, hint: 'refresh_token' });
    const ended = await end({ access, refresh });
    const after = await plain.introspect({ token: refresh, hint: 'refresh_token' });
    return `${before.kind}, ${ended.kind}, ${after.kind}`;
  };
  const kindAndError = ({ kind, error }) => (error === undefined ? kind : `${kind} ${error}`);
  return [
    [
      'a code by PKCE brings tokens and the account',
      async () => {
        const { account, tokenType, grantedScopes } = await tokensOf(plain);
        return `${account?.issuer === issuer} ${tokenType} ${grantedScopes.includes('email')}`;
      },
      'true Bearer true',
    ],
    [
      'the callback names the issuer (RFC 9207)',
      async () => (await authorize(plain)).callback.parameters.get('iss'),
      issuer,
    ],
    [
      'another verifier brings none (RFC 7636)',
      async () => {
        const { exchange } = await authorize(plain);
        const { codeVerifier } = pkcePair();
        return kindAndError(await plain.exchangeCode({ ...exchange, codeVerifier }));
      },
      'rejected invalid_grant',
    ],
    [
      'a code is spent once',
      async () => {
        const { exchange } = await authorize(plain);
        await plain.exchangeCode(exchange);
        return kindAndError(await plain.exchangeCode(exchange));
      },
      'rejected invalid_grant',
    ],
    [
      'a refresh token rotates, and the old one is refused',
      refreshTwice,
      'refreshed, rotated true; rejected invalid_grant',
    ],
    [
      'a wrong secret is the client’s matter',
      async () =>
        kindAndError(
          await client('plain', { password: 'wrong' }).refresh({
            refreshToken: Secret.from('rubbish'),
            grantedScopes: [],
          }),
        ),
      'client_rejected unauthorized_client',
    ],
    [
      'the request is pushed where it has to be (RFC 9126)',
      async () => {
        const pushing = client('pushing');
        const { url, callback } = await authorize(pushing);
        return `${[...url.searchParams.keys()]} ${callback.kind}`;
      },
      'client_id,request_uri code',
    ],
    ['the request is signed (RFC 9101)', async () => (await tokensOf(signing(keys.client))).tokenType, 'Bearer'],
    [
      'one of another key is refused',
      async () =>
        await authorize(signing(keys.other)).then(
          (authorized) => authorized.callback.kind,
          (error) => error.code,
        ),
      'provider.client_rejected',
    ],
    ['tokens are bound to a key (RFC 9449)', async () => (await tokensOf(boundTo(keys.client))).tokenType, 'DPoP'],
    [
      'and are when they are renewed',
      async () => {
        const { refresh } = await tokensOf(boundTo(keys.client));
        const renewed = await boundTo(keys.client).refresh({ refreshToken: refresh, grantedScopes: ['openid'] });
        return `${kindAndError(renewed)} ${renewed.tokenSet?.tokenType}`;
      },
      'refreshed DPoP',
    ],
    [
      'the API takes a bound token with its proof, and with no other',
      async () => {
        const { access } = await tokensOf(boundTo(keys.client));
        const [mine, others] = [await boundTo(keys.client).probe(access), await boundTo(keys.other).probe(access)];
        return `${mine.kind} ${others.kind === 'alive'}`;
      },
      'alive false',
    ],
    ['a device is let in (RFC 8628)', async () => await deviceTokens(client('device')), 'undecided, exchanged'],
    ['a token is exchanged (RFC 8693)', async () => kindAndError(await exchangeOf()), 'refreshed'],
    [
      'narrowed to a scope',
      async () => {
        const outcome = await exchangeOf({ scopes: ['email'] }, 'narrowing');
        return `${kindAndError(outcome)} ${outcome.tokenSet?.grantedScopes}`;
      },
      'refreshed email',
    ],
    [
      'one that is good for more than was asked for is not taken',
      async () => kindAndError(await exchangeOf({ scopes: ['email'] })),
      'failed wider_scope',
    ],
    [
      'for an audience where it may not be used it is not',
      async () => kindAndError(await exchangeOf({ audience: ['elsewhere'] })),
      /^rejected (invalid_request|invalid_target|access_denied)$|^client_rejected/,
    ],
    [
      'a client proves itself by an assertion (RFC 7523)',
      async () => kindAndError(await asserting(keys.client).renew(own)),
      'refreshed',
    ],
    [
      'and not by one of another key',
      async () => kindAndError(await asserting(keys.other).renew(own)),
      /^client_rejected (invalid_client|unauthorized_client)$/,
    ],
    [
      'what is revoked is not active any more (RFC 7009, RFC 7662)',
      async () => await lifeOf(({ refresh }) => plain.revoke({ token: refresh, hint: 'refresh_token' })),
      'active, revoked, inactive',
    ],
    [
      'to revoke it twice is no failure',
      async () =>
        await lifeOf(async ({ refresh }) => {
          await plain.revoke({ token: refresh, hint: 'refresh_token' });
          return await plain.revoke({ token: refresh, hint: 'refresh_token' });
        }),
      'active, revoked, inactive',
    ],
  ];
}

const holds = (came, expected) =>
  expected instanceof RegExp ? expected.test(came) : JSON.stringify(came) === JSON.stringify(expected);

const { issuer, stop } = await startKeycloak(realm);
const counts = { passed: 0, failed: 0 };
try {
  for (const [name, ask, expected] of checksAt(issuer)) {
    const came = await ask().catch((error) => `threw ${error.stack}`);
    const well = holds(came, expected);
    counts[well ? 'passed' : 'failed'] += 1;
    console.log(`${well ? 'ok' : 'FAILED'}  ${name}${well ? '' : `: ${JSON.stringify(came)}`}`);
  }
} finally {
  await stop();
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 ? 1 : 0;
