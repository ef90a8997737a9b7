import { createHash, generateKeyPairSync } from 'node:crypto';
import { rmSync } from 'node:fs';

import {
  limits,
  newId,
  operations,
  type Grant,
  type Renewal,
  type RequestOf,
  type SigningPublicJwk,
} from '@postern/contracts';
import { pkcePair, randomToken, Secret } from '@postern/crypto';
import * as domain from '@postern/domain';
import { createOperator, serverOperatorConfig } from '@postern/nats';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { ProviderClient } from '@postern/provider-client';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import { ClientCredentials, OperationsClient, ServiceIdentity, ServiceKeys } from '@postern/service';
import { acmeAccounts, acmeLoginAndConsent, ScriptedBrowser, startAcme, type Acme } from '@postern/testing';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, EmbeddedJWK, jwtVerify } from 'jose';

import {
  authorized,
  claimed,
  complete,
  deleted,
  exchangingSession,
  promote,
  released,
  storePending,
} from '../spec-journeys.ts';
import { codeOf, specNats, tokenSetOf, VaultWorld, type Customer } from '../spec-world.ts';

const folder = temporaryDataDir('postern-signatures-');
const redirectUri = 'http://127.0.0.1:9/oauth/callback/reg';
const scopes = ['openid', 'offline_access', 'contacts:read'];
let nats: NatsServer;
let postgres: Postgres;
let acme: Acme;
let world: VaultWorld;

beforeAll(async () => {
  const bundle = await createOperator();
  [nats, postgres, acme] = await Promise.all([
    startNatsServer({ dataDir: `${folder}/nats`, config: { operatorMode: serverOperatorConfig(bundle), ...specNats } }),
    startPostgres({ dataDir: `${folder}/postgres` }),
    startAcme(),
  ]);
  await postgres.createDatabase('signatures');
  const places = { natsUrl: nats.url, bundle, ownerUrl: postgres.urlOf('signatures'), serviceRole: 'vault_signatures' };
  world = await VaultWorld.open({ ...places, folder: `${folder}/world` });
  await world.startVault();
}, 240_000);

afterAll(async () => {
  await world?.close();
  await Promise.all([nats?.stop(), postgres?.stop(), acme?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

type App = 'authorization' | 'refresh' | 'revocation';

/** A registration that authenticates by assertions, with a key in use. */
async function signing(algorithm: 'ES256' | 'EdDSA' = 'ES256', more: Partial<domain.Registration> = {}) {
  const customer = await world.customer();
  const registrationId = newId('registration');
  const of = { ...customer, registrationId };
  const registration = {
    providerId: 'openid-connect',
    displayName: 'Acme',
    clientId: `client-of-${registrationId}`,
    tokenEndpointAuthMethod: 'private_key_jwt',
    parameters: { issuer: acme.issuer },
    scopes: ['openid'],
    assertionAudience: acme.issuer,
  } as const;
  await world.admin(of.tenantId, domain.registrationEvolver, registrationId, (state) =>
    domain.createRegistration({ ...registration, scopes: [...registration.scopes], ...wishesOf(more) }, state),
  );
  return { ...of, clientId: registration.clientId, publicJwk: await rotated(of, algorithm) };
}

function wishesOf({ tokenEndpointAuthMethod, requireSignedRequestObject }: Partial<domain.Registration>) {
  return {
    ...(tokenEndpointAuthMethod !== undefined && { tokenEndpointAuthMethod }),
    ...(requireSignedRequestObject === true && { requireSignedRequestObject }),
  };
}

const registrationOf = ({ tenantId, registrationId }: Customer) => ({
  tenant_id: tenantId,
  registration_id: registrationId,
});

async function rotated(of: Customer, algorithm: 'ES256' | 'EdDSA' = 'ES256'): Promise<SigningPublicJwk> {
  const request = { ...registrationOf(of), algorithm };
  const made = await world.call('administrator', operations.makePrivateKey, request);
  const { secret_version: secretVersion, public_jwk: publicJwk } = made;
  await world.admin(of.tenantId, domain.registrationEvolver, of.registrationId, (state) =>
    domain.storeRegistrationSecret(
      { kind: 'private_key', secretVersion, publicJwk, overlapMs: 3_600_000, nowMs: Date.now() },
      state,
    ),
  );
  return publicJwk;
}

async function assertion(app: App, of: Customer, refused?: number): Promise<string> {
  const request = { ...registrationOf(of), refused_version: refused };
  const { sealed_assertion } = await world.call(app, operations.signAssertion, request);
  return world.openAs(app, sealed_assertion);
}

describe('a client assertion (RFC 7523 §3)', () => {
  test.each(['ES256', 'EdDSA'] as const)('says who we are, to whom, for a minute, once: %s', async (algorithm) => {
    const of = await signing(algorithm);
    const keys = createLocalJWKSet({ keys: [of.publicJwk] });
    const both = [await assertion('refresh', of), await assertion('refresh', of)];
    const [first, second] = await Promise.all(both.map((jwt) => jwtVerify(jwt, keys, { algorithms: [algorithm] })));
    expect(first?.protectedHeader).toEqual({ alg: algorithm, kid: of.publicJwk.kid });
    const { iat = 0 } = first?.payload ?? {};
    expect(first?.payload).toEqual({
      iss: of.clientId,
      sub: of.clientId,
      aud: acme.issuer,
      jti: expect.stringMatching(/^[\w-]{43}$/),
      iat,
      exp: iat + limits.assertionTtlS,
    });
    expect(Math.abs(Date.now() / 1000 - iat)).toBeLessThan(60);
    expect(second?.payload.jti).not.toBe(first?.payload.jti);
  });

  test('is sealed to the app that asks, and no member of the request changes what is signed', async () => {
    const of = await signing();
    for (const app of ['authorization', 'refresh', 'revocation'] as const) {
      expect(decodeProtectedHeader(await assertion(app, of)).kid).toBe(of.publicJwk.kid);
    }
    const other = { ...registrationOf(of), audience: 'https://evil.example' };
    const asked = world.call('refresh', operations.signAssertion, other as RequestOf<typeof operations.signAssertion>);
    expect(await codeOf(asked)).toBe('request.malformed');
  });

  test('is made with the newest key, and with the one before it when the provider does not know that yet', async () => {
    const of = await signing();
    const newer = await rotated(of);
    expect(decodeProtectedHeader(await assertion('refresh', of)).kid).toBe(newer.kid);
    expect(decodeProtectedHeader(await assertion('refresh', of, 2)).kid).toBe(of.publicJwk.kid);
  });

  test('is not made for a registration that is disabled, but to revoke; nor for one that does not sign', async () => {
    const of = await signing();
    await world.admin(of.tenantId, domain.registrationEvolver, of.registrationId, (state) =>
      domain.disableRegistration({ reason: null }, state),
    );
    expect(await codeOf(assertion('refresh', of))).toBe('registration.disabled');
    expect(decodeProtectedHeader(await assertion('revocation', of)).alg).toBe('ES256');
    const withSecret = await world.customer();
    await rotated(withSecret);
    expect(await codeOf(assertion('refresh', withSecret))).toBe('vault.credential_missing');
    expect(await codeOf(assertion('refresh', { ...of, tenantId: newId('tenant') }))).toBe('registration.not_found');
  });
});

describe('an assertion with which a token is asked for (RFC 7523 §2.1)', () => {
  const audience = 'https://as.example/token';
  const subject = 'ada@acme.example';
  const delegated: Renewal = {
    ...{ grant: 'jwt_bearer', scopes: ['read', 'write'], subject },
    ...{ scopesInAssertion: true, parameters: {} },
  };

  /** An app whose key its provider knows: made elsewhere, and given to us in the file of a service account. */
  async function app(privateKey?: string) {
    const customer = await world.customer();
    const registrationId = newId('registration');
    const of = { ...customer, registrationId, clientId: `app-of-${registrationId}` };
    const { clientId } = of;
    const registered = {
      providerId: 'openid-connect',
      displayName: 'Acme',
      clientId,
      parameters: { issuer: acme.issuer },
    };
    await world.admin(of.tenantId, domain.registrationEvolver, registrationId, (state) =>
      domain.createRegistration(
        { ...registered, tokenEndpointAuthMethod: 'none', scopes: [], assertionAudience: audience },
        state,
      ),
    );
    if (privateKey === undefined) return of;
    const stored = await world.call('administrator', operations.importPrivateKey, {
      ...registrationOf(of),
      sealed_key: world.sealTo('vault', { type: 'service_account', private_key: privateKey }),
    });
    const { secret_version: secretVersion, public_jwk: publicJwk } = stored;
    await world.admin(of.tenantId, domain.registrationEvolver, registrationId, (state) =>
      domain.storeRegistrationSecret(
        { kind: 'private_key', secretVersion, publicJwk, overlapMs: 0, nowMs: Date.now() },
        state,
      ),
    );
    return of;
  }

  /** The log says that a connection is about to be established. */
  async function establishing(of: Customer, grant: Grant) {
    const session = { tenantId: of.tenantId, connectionId: newId('connection'), sessionId: newId('session') };
    const { platformId, registrationId } = of;
    const begun = {
      purpose: 'connect',
      grant,
      platformId,
      providerId: 'acme',
      registrationId,
      endUserDigest: 'digest',
    } as const;
    await world.decide('authorization', session, (state, nowMs) =>
      domain.startEstablishment(
        {
          ...{ sessionId: session.sessionId, ...begun, requestedScopes: [], providerVersion: 1 },
          ...{ expiresAtMs: nowMs + limits.sessionTtlMs, nowMs },
        },
        state,
      ),
    );
    return session;
  }

  async function asked(session: Awaited<ReturnType<typeof establishing>>, renewal: Renewal): Promise<string> {
    const { sealed_assertion } = await world.call('authorization', operations.signGrantAssertion, {
      ...{ tenant_id: session.tenantId, connection_id: session.connectionId, session_id: session.sessionId },
      sealed_renewal: world.sealTo('vault', renewal),
    });
    return world.openAs('authorization', sealed_assertion);
  }

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const rsaPem = rsa.privateKey.export({ format: 'pem', type: 'pkcs1' }).toString();

  test('names issuer, subject and audience, lives a minute, and is signed by the key that the provider knows', async () => {
    const of = await app(rsaPem);
    const session = await establishing(of, 'jwt_bearer');
    const jwts = [await asked(session, delegated), await asked(session, delegated)];
    const [first, second] = await Promise.all(jwts.map((jwt) => jwtVerify(jwt, rsa.publicKey)));
    // By which name the provider knows this key, only the provider knows.
    expect(first?.protectedHeader).toEqual({ alg: 'RS256', typ: 'JWT' });
    const { iat = 0, jti } = first?.payload ?? {};
    expect(first?.payload).toEqual({
      ...{
        iss: of.clientId,
        sub: subject,
        aud: audience,
        scope: 'read write',
        jti: expect.stringMatching(/^[\w-]{43}$/),
      },
      ...{ iat, exp: iat + limits.assertionTtlS },
    });
    expect(Math.abs(Date.now() / 1000 - iat)).toBeLessThan(60);
    expect(second?.payload.jti).not.toBe(jti);
  });

  test('says no more than was asked: nobody where nobody is impersonated, scopes beside it, a key of the vault by name', async () => {
    const of = await app();
    const { kid } = await rotated(of);
    const session = await establishing(of, 'jwt_bearer');
    const jwt = await asked(session, { ...delegated, subject: null, scopesInAssertion: false } as Renewal);
    expect(decodeProtectedHeader(jwt)).toEqual({ alg: 'ES256', typ: 'JWT', kid });
    expect(Object.keys(decodeJwt(jwt)).toSorted()).toEqual(['aud', 'exp', 'iat', 'iss', 'jti']);
  });

  test('of a GitHub App names the app, is a minute old and lives less than ten', async () => {
    const of = await app(rsaPem);
    const session = await establishing(of, 'installation');
    const jwt = await asked(session, { grant: 'installation', scopes: [], installation_id: '7' });
    const { payload } = await jwtVerify(jwt, rsa.publicKey, { algorithms: ['RS256'] });
    const { iat = 0, exp = 0 } = payload;
    expect(payload).toEqual({ iss: of.clientId, iat, exp, jti: expect.any(String) });
    expect(exp - iat).toBeLessThan(600);
    expect(Math.abs(Date.now() / 1000 - iat - 60)).toBeLessThan(60);
  });

  test('is signed for a beginning that stands in the log, with its grant, and not for a registration that is disabled', async () => {
    const of = await app(rsaPem);
    const session = await establishing(of, 'jwt_bearer');
    const elsewhere = { ...session, sessionId: newId('session') };
    expect(await codeOf(asked(elsewhere, delegated))).toBe('session.not_found');
    expect(await codeOf(asked(await establishing(of, 'installation'), delegated))).toBe('session.not_found');
    const given: Renewal = { grant: 'client_credentials', scopes: [], parameters: {} };
    expect(await codeOf(asked(await establishing(of, 'client_credentials'), given))).toBe('session.not_found');
    expect(await codeOf(asked(await establishing(await app(), 'jwt_bearer'), delegated))).toBe(
      'vault.credential_missing',
    );
    await world.admin(of.tenantId, domain.registrationEvolver, of.registrationId, (state) =>
      domain.disableRegistration({ reason: null }, state),
    );
    expect(await codeOf(asked(session, delegated))).toBe('registration.disabled');
  });

  test('goes along with each release for a claim, another one each time, for whom the connection was made', async () => {
    const of = await app(rsaPem);
    const session = await establishing(of, 'jwt_bearer');
    const set = { ...tokenSetOf('a'), refreshToken: null, renewal: delegated };
    await storePending(world, session, set);
    await complete(world, session, await promote(world, session), 'jwt_bearer');
    const claimId = await claimed(world, session);
    const parts = [await released(world, session, claimId), await released(world, session, claimId)].map(
      ({ sealed_refresh_token: sealed }) =>
        JSON.parse(world.openAs('refresh', sealed)) as { renewal: Renewal; assertion: string },
    );
    const claims = parts.map(({ assertion: jwt }) => decodeJwt(jwt));
    expect(parts[0]?.renewal).toEqual(delegated);
    expect(claims[0]).toMatchObject({ iss: of.clientId, sub: subject, aud: audience });
    expect(claims[0]?.jti).not.toBe(claims[1]?.jti);
  });
});

describe('private_key_jwt at a real authorization server', () => {
  async function clientAs(app: App, { tenantId, registrationId, clientId }: Awaited<ReturnType<typeof signing>>) {
    const jwk = (kind: 'signing' | 'sealing') => Secret.from(JSON.stringify(world.keys[app][kind].privateJwk));
    const keys = new ServiceKeys(app, { signingKey: jwk('signing'), sealingKey: jwk('sealing') });
    const identity = new ServiceIdentity({ app, instanceId: 'spec' });
    const credentials = new ClientCredentials(identity, new OperationsClient(world.buses[app]), keys);
    const tokenEndpointAuthMethod = 'private_key_jwt';
    return new ProviderClient({
      provider: providerOf(loadCatalog(), 'openid-connect'),
      registration: { clientId, tokenEndpointAuthMethod, parameters: { issuer: acme.issuer } },
      credentials: await credentials.of({ tenantId, registrationId, tokenEndpointAuthMethod }),
      allowLoopback: true,
    });
  }

  async function register({ clientId }: { clientId: string }, ...keys: SigningPublicJwk[]): Promise<void> {
    const jwks = { keys };
    await acme.registerClient({
      clientId,
      redirectUris: [redirectUri],
      tokenEndpointAuthMethod: 'private_key_jwt',
      jwks,
    });
  }

  /** Goes through Acme's pages, and spends the code. */
  async function authorize(of: Awaited<ReturnType<typeof signing>>) {
    const client = await clientAs('authorization', of);
    const [state, nonce] = [randomToken(), randomToken()];
    const { codeVerifier, codeChallenge } = pkcePair();
    const url = await client.authorizationUrl({ redirectUri, state, codeChallenge, scopes, nonce });
    const { email: user, password } = acmeAccounts.ada;
    const journey = { user, password, decision: 'allow' as const, returnUrl: redirectUri };
    const { searchParams: parameters } = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
    const callback = await client.readCallback({ parameters, expectedState: state });
    if (callback.kind !== 'code') throw new Error('Acme denied');
    return client.exchangeCode({ callback, redirectUri, codeVerifier, nonce, requestedScopes: scopes });
  }

  async function refreshTokenOf(of: Awaited<ReturnType<typeof signing>>): Promise<Secret> {
    const outcome = await authorize(of);
    if (outcome.kind !== 'exchanged') throw new Error(`not exchanged: ${outcome.error}`);
    return Secret.from(outcome.tokenSet.refreshToken ?? '');
  }

  test.each(['ES256', 'EdDSA'] as const)('a code, a refresh and revocations, with %s', async (algorithm) => {
    const of = await signing(algorithm);
    await register(of, of.publicJwk);
    const refreshing = await clientAs('refresh', of);
    const refreshed = await refreshing.refresh({ refreshToken: await refreshTokenOf(of), grantedScopes: scopes });
    if (refreshed.kind !== 'refreshed') throw new Error(`not refreshed: ${refreshed.error}`);
    expect(refreshed.rotated).toBe(true);
    const { accessToken, refreshToken } = refreshed.tokenSet;
    const revoking = await clientAs('revocation', of);
    // Two calls of one client: an assertion that came twice would be refused as a replay.
    expect(await revoking.revoke({ token: Secret.from(accessToken), hint: 'access_token' })).toEqual({
      kind: 'revoked',
    });
    const token = Secret.from(refreshToken ?? '');
    expect(await revoking.revoke({ token, hint: 'refresh_token' })).toEqual({ kind: 'revoked' });
    const again = await (await clientAs('refresh', of)).refresh({ refreshToken: token, grantedScopes: scopes });
    expect(again).toMatchObject({ kind: 'rejected', error: 'invalid_grant' });
  });

  test('a new key that the provider does not know yet, and an old one that it knows no more, fail no refresh', async () => {
    const of = await signing();
    await register(of, of.publicJwk);
    let refreshToken = await refreshTokenOf(of);
    const refresh = async () => {
      const before = acme.tokenCalls().length;
      const outcome = await (await clientAs('refresh', of)).refresh({ refreshToken, grantedScopes: scopes });
      if (outcome.kind !== 'refreshed') throw new Error(`not refreshed: ${outcome.error}`);
      refreshToken = Secret.from(outcome.tokenSet.refreshToken ?? '');
      return acme.tokenCalls().length - before;
    };
    expect(await refresh()).toBe(1);
    // The client was ready to go when the rotation came.
    const underWay = await clientAs('refresh', of);
    const newer = await rotated(of);
    expect(await refresh()).toBe(2);
    await register(of, newer);
    expect(await underWay.refresh({ refreshToken, grantedScopes: scopes })).toMatchObject({ kind: 'refreshed' });
  });

  test('a provider that knows none of our keys is asked no more than twice', async () => {
    const of = await signing();
    await register(of, of.publicJwk);
    const refreshToken = await refreshTokenOf(of);
    await rotated(of);
    await register(of, (await signing()).publicJwk);
    const before = acme.tokenCalls().length;
    const outcome = await (await clientAs('refresh', of)).refresh({ refreshToken, grantedScopes: scopes });
    expect(outcome).toMatchObject({ kind: 'client_rejected', error: 'invalid_client' });
    expect(acme.tokenCalls().length - before).toBe(2);
  });
});

describe('a DPoP proof (RFC 9449 §4.2)', () => {
  const htu = 'https://acme.example/token';
  type ProofRequest = RequestOf<typeof operations.signDpopProof>;

  async function prove(of: { tenantId: string; connectionId: string }, more: Partial<ProofRequest> = {}) {
    const request = { tenant_id: of.tenantId, connection_id: of.connectionId, htm: 'POST', htu, ...more };
    return await world.call('refresh', operations.signDpopProof, request);
  }

  test('shows the key it is signed with, and binds method, URL, nonce and access token', async () => {
    const session = await exchangingSession(world, await world.customer());
    const ath = createHash('sha256').update('an access token').digest('base64url');
    const { proof, jkt } = await prove(session, { nonce: 'n-1', ath });
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt' });
    expect(protectedHeader).toEqual({
      typ: 'dpop+jwt',
      alg: 'ES256',
      jwk: { kty: 'EC', crv: 'P-256', x: expect.any(String), y: expect.any(String) },
    });
    const jti = expect.stringMatching(/^[\w-]{43}$/);
    expect(payload).toEqual({ jti, htm: 'POST', htu, iat: expect.any(Number), nonce: 'n-1', ath });
    expect(Math.abs(Date.now() / 1000 - (payload.iat ?? 0))).toBeLessThan(60);
    const bare = await jwtVerify((await prove(session)).proof, EmbeddedJWK);
    expect(Object.keys(bare.payload).toSorted()).toEqual(['htm', 'htu', 'iat', 'jti']);
    expect(bare.payload.jti).not.toBe(payload.jti);
    expect((await prove(session)).jkt).toBe(jkt);
  });

  test('is made with one key a connection, whoever asks first', async () => {
    const customer = await world.customer();
    const [one, two] = [await exchangingSession(world, customer), await exchangingSession(world, customer)];
    const thumbprints = (await Promise.all([1, 2, 3, 4].map(() => prove(one)))).map(({ jkt }) => jkt);
    expect(new Set(thumbprints).size).toBe(1);
    expect((await prove(two)).jkt).not.toBe(thumbprints[0]);
  });

  test('is not made for anything but a request to a place one may send a token to', async () => {
    const session = await exchangingSession(world, await world.customer());
    for (const more of [
      { htu: `${htu}?query` },
      { htu: `${htu}#fragment` },
      { htu: 'http://acme.example/token' },
      { htu: 'no url' },
      { htm: 'post' },
      { nonce: 'with space' },
      { ath: 'short' },
    ]) {
      expect(await codeOf(prove(session, more))).toBe('request.malformed');
    }
    expect(await codeOf(prove({ ...session, connectionId: newId('connection') }))).toBe('connection.not_found');
    expect(await codeOf(prove({ ...session, tenantId: newId('tenant') }))).toBe('connection.not_found');
  });

  test('is never made again once the connection was shredded', async () => {
    const session = await exchangingSession(world, await world.customer());
    const { tenantId, connectionId } = await authorized(world, session, tokenSetOf('bound'));
    await prove(session);
    await deleted(world, session);
    const request = { tenant_id: tenantId, connection_id: connectionId };
    await world.call('revocation', operations.shredConnectionKey, request);
    expect(await codeOf(prove(session))).toBe('connection.deleted');
  });
});

describe('a signed authorization request (RFC 9101)', () => {
  const requestOf = (of: Customer & { clientId: string }, more: Record<string, string> = {}) => ({
    ...registrationOf(of),
    parameters: { client_id: of.clientId, response_type: 'code', state: 's', claims: '{"id_token":{}}', ...more },
  });
  const signed = async (of: Customer & { clientId: string }, more?: Record<string, string>) =>
    (await world.call('authorization', operations.signRequestObject, requestOf(of, more))).request_object;
  const plain = { tokenEndpointAuthMethod: 'none', requireSignedRequestObject: true } as const;

  test.each(['ES256', 'EdDSA'] as const)(
    '§4 says the whole request, whose it is and for whom, for five minutes, and is of a type of its own: %s',
    async (algorithm) => {
      const of = await signing(algorithm, plain);
      const keys = createLocalJWKSet({ keys: [of.publicJwk] });
      const { payload, protectedHeader } = await jwtVerify(await signed(of), keys, { algorithms: [algorithm] });
      expect(protectedHeader).toEqual({ alg: algorithm, kid: of.publicJwk.kid, typ: 'oauth-authz-req+jwt' });
      const { iat = 0 } = payload;
      expect(payload).toEqual({
        ...{ client_id: of.clientId, response_type: 'code', state: 's', claims: { id_token: {} } },
        ...{ iss: of.clientId, aud: acme.issuer, jti: expect.stringMatching(/^[\w-]{43}$/) },
        ...{ iat, nbf: iat, exp: iat + limits.requestObjectTtlS },
      });
    },
  );

  test('§10.8 is no client assertion, and none is signed for a client that does not authenticate by one', async () => {
    const of = await signing('ES256', plain);
    for (const name of ['sub', 'aud', 'exp', 'request_uri', 'client_assertion']) {
      expect(await codeOf(signed(of, { [name]: of.clientId }))).toBe('request.malformed');
    }
    expect(await codeOf(assertion('authorization', of))).toBe('vault.credential_missing');
  });

  test('is signed for its own client, for who sends browsers away, and only where its requests are signed', async () => {
    const of = await signing('ES256', plain);
    expect(await codeOf(signed(of, { client_id: 'another' }))).toBe('request.malformed');
    expect(await codeOf(signed(of, { claims: '{' }))).toBe('request.malformed');
    expect(await codeOf(signed(of, { authorization_details: '[' }))).toBe('request.malformed');
    expect(await codeOf(world.call('refresh', operations.signRequestObject, requestOf(of)))).toBe('auth.forbidden');
    expect(await codeOf(signed(await signing()))).toBe('vault.credential_missing');
  });
});
