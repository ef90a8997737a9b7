import { createHash, X509Certificate } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

import { isPosternError } from '@postern/contracts';
import { pkcePair, randomToken, Secret } from '@postern/crypto';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';
import {
  acmeAccounts,
  acmeLoginAndConsent,
  ScriptedBrowser,
  startAcme,
  TestAuthority,
  type Acme,
  type AcmeMtls,
  type TestCertificate,
} from '@postern/testing';

import {
  AddressGuard,
  callErrorReason,
  guardedFetch,
  ProviderClient,
  type ClientCredentialSource,
  type ClientRegistration,
} from './index.ts';
import { redirectUri } from './spec-support/oauth-server.ts';

const name = 'postern.example';
const scopes = ['openid', 'offline_access', 'contacts:read'];
const hourMs = 3_600_000;

let authority: TestAuthority;
/** Of the client, of one with another name, of one that no authority knows, and one that has ended. */
let own: TestCertificate,
  successor: TestCertificate,
  wrong: TestCertificate,
  lone: TestCertificate,
  ended: TestCertificate;
let server: TestCertificate;
let restore: () => void;

beforeAll(async () => {
  authority = await TestAuthority.make();
  [own, successor, wrong, lone, ended, server] = await Promise.all([
    authority.issue(name),
    authority.issue(name),
    authority.issue('another.example'),
    authority.selfSigned(name),
    authority.issue(name, { days: -1 }),
    authority.issue('acme.example'),
  ]);
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, authority.ca]);
  restore = () => setDefaultCACertificates(before);
});
afterAll(() => {
  restore();
  authority.close();
});

const x5tS256Of = ({ certificate }: TestCertificate) =>
  createHash('sha256').update(new X509Certificate(certificate).raw).digest('base64url');

/** The newest first, as the vault gives them. */
const having =
  (...certificates: readonly TestCertificate[]): ClientCredentialSource =>
  async (refusedVersion) => {
    const at = refusedVersion === undefined ? 0 : certificates.findIndex((_, index) => index + 1 !== refusedVersion);
    const { pem } = certificates[Math.max(at, 0)] as TestCertificate;
    return { version: Math.max(at, 0) + 1, certificate: Secret.from(pem) };
  };

interface Wanted {
  readonly credentials: ClientCredentialSource;
  readonly registration?: Partial<ClientRegistration>;
  readonly provider?: Partial<Provider>;
  readonly addresses?: AddressGuard;
  readonly nowMs?: () => number;
}

function clientAt(acme: Acme, clientId: string, { credentials, registration, provider, ...rest }: Wanted) {
  return new ProviderClient({
    provider: { ...providerOf(loadCatalog(), 'openid-connect'), ...provider },
    registration: {
      ...{ clientId, tokenEndpointAuthMethod: 'tls_client_auth', parameters: { issuer: acme.issuer } },
      ...registration,
    },
    credentials,
    allowLoopback: true,
    ...rest,
  });
}

const byOwn = { grant: 'client_credentials' as const, scopes: ['contacts:read'], parameters: {} };
const bindsToCertificate = { tlsClientCertificateBoundAccessTokens: true };
const api = 'https://api.acme.example/v1';

async function withAcme(options: Partial<AcmeMtls>, act: (acme: Acme) => Promise<void>): Promise<void> {
  const acme = await startAcme({ accessTokenTtlS: 600, mtls: { server, ca: authority.ca, ...options } });
  try {
    await act(acme);
  } finally {
    await acme.close();
  }
}

describe('at a real authorization server that knows clients by certificates', () => {
  let acme: Acme;
  const ids = new Map<string, string>();
  const register = async (key: string, more: Partial<Parameters<Acme['registerClient']>[0]>) => {
    const common = { redirectUris: [redirectUri], clientCredentials: true };
    ids.set(key, (await acme.registerClient({ ...common, ...more })).clientId);
  };
  const client = (key: string, wanted: Wanted) => clientAt(acme, ids.get(key) ?? '', wanted);

  beforeAll(async () => {
    acme = await startAcme({ accessTokenTtlS: 600, mtls: { server, ca: authority.ca } });
    const byName = { tokenEndpointAuthMethod: 'tls_client_auth' as const, tlsName: name };
    await register('plain', byName);
    await register('bound', { ...byName, bindsToCertificate: true });
    const x5c = (one: TestCertificate) => {
      const { publicKey, raw } = new X509Certificate(one.certificate);
      return { ...publicKey.export({ format: 'jwk' }), x5c: [raw.toString('base64')] };
    };
    const jwks = { keys: [x5c(lone)] };
    await register('lone', { tokenEndpointAuthMethod: 'self_signed_tls_client_auth', jwks });
    await register('secret', { clientSecret: 'the client secret', bindsToCertificate: true });
  });
  afterAll(() => acme.close());

  async function connect(provided: ProviderClient) {
    const { codeVerifier, codeChallenge } = pkcePair();
    const [state, nonce] = [randomToken(), randomToken()];
    const url = await provided.authorizationUrl({ redirectUri, state, codeChallenge, scopes, nonce });
    const { email: user, password } = acmeAccounts.ada;
    const journey = { user, password, decision: 'allow' as const, returnUrl: redirectUri };
    const { searchParams: parameters } = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
    const callback = await provided.readCallback({ parameters, expectedState: state });
    if (callback.kind !== 'code') throw new Error(callback.error);
    const outcome = await provided.exchangeCode({
      callback,
      redirectUri,
      codeVerifier,
      nonce,
      requestedScopes: scopes,
    });
    if (outcome.kind !== 'exchanged') throw new Error(outcome.error);
    return outcome.tokenSet;
  }

  test('§2 each call is made with the certificate and names the client, at the endpoints of §5', async () => {
    const bound = client('bound', { credentials: having(own), registration: bindsToCertificate });
    const from = acme.mtlsPaths().length;
    const tokenSet = await connect(bound);
    expect(tokenSet).toMatchObject({ tokenType: 'Bearer', boundTo: 'mtls' });
    const refreshToken = Secret.from(tokenSet.refreshToken ?? '');
    const refreshed = await bound.refresh({ refreshToken, grantedScopes: tokenSet.grantedScopes });
    if (refreshed.kind !== 'refreshed') throw new Error(refreshed.error);
    expect(refreshed.tokenSet.boundTo).toBe('mtls');
    const token = Secret.from(refreshed.tokenSet.accessToken);
    const told = await bound.introspect({ token, hint: 'access_token' });
    expect(told).toMatchObject({ kind: 'active', x5tS256: x5tS256Of(own) });
    expect(await bound.probe(token)).toMatchObject({ kind: 'alive' });
    expect(await bound.revoke({ token, hint: 'access_token' })).toEqual({ kind: 'revoked' });
    expect(await bound.introspect({ token, hint: 'access_token' })).toEqual({ kind: 'inactive' });
    expect(acme.mtlsPaths().slice(from)).toEqual([
      ...['/request', '/token', '/token/introspection', '/token', '/token/introspection', '/me'],
      ...['/token/revocation', '/token/introspection'],
    ]);
  });

  test('§2.1 a certificate of another name, or of no authority, is not this client’s', async () => {
    for (const other of [wrong, lone]) {
      const outcome = await client('plain', { credentials: having(other) }).renew(byOwn);
      expect(outcome).toMatchObject({ kind: 'client_rejected', error: 'invalid_client', httpStatus: 401 });
    }
    expect(await client('plain', { credentials: having(own) }).renew(byOwn)).toMatchObject({ kind: 'refreshed' });
  });

  test('§2.2 a certificate that nobody signed is known by itself', async () => {
    const registration = { tokenEndpointAuthMethod: 'self_signed_tls_client_auth' as const };
    const lonely = client('lone', { credentials: having(lone), registration });
    expect(await lonely.renew(byOwn)).toMatchObject({ kind: 'refreshed' });
    const other = client('lone', { credentials: having(own), registration });
    expect(await other.renew(byOwn)).toMatchObject({ kind: 'client_rejected', error: 'invalid_client' });
  });

  test('within an overlap the certificate that the server takes is found, whichever it is', async () => {
    const old = client('plain', { credentials: having(wrong, own) });
    expect(await old.renew(byOwn)).toMatchObject({ kind: 'refreshed' });
    const both = client('bound', { credentials: having(successor, own), registration: bindsToCertificate });
    expect(await both.renew(byOwn)).toMatchObject({ kind: 'refreshed', tokenSet: { boundTo: 'mtls' } });
    const neither = client('plain', { credentials: having(wrong, lone) });
    expect(await neither.renew(byOwn)).toMatchObject({ kind: 'client_rejected', error: 'invalid_client' });
  });

  test('one that has ended is not shown; the one before it is, as long as it lives', async () => {
    const from = acme.mtlsPaths().length;
    const dead = client('plain', { credentials: having(ended) });
    const outcome = await dead.renew(byOwn);
    expect(outcome).toMatchObject({ kind: 'client_rejected', error: 'client_certificate_expired', httpStatus: null });
    const later = client('plain', { credentials: having(own), nowMs: () => Date.now() + 31 * 24 * hourMs });
    expect(await later.renew(byOwn)).toMatchObject({ error: 'client_certificate_expired' });
    expect(acme.mtlsPaths().slice(from)).toEqual([]);
    expect(await client('plain', { credentials: having(ended, own) }).renew(byOwn)).toMatchObject({
      kind: 'refreshed',
    });
  });

  test('§3 a client that authenticates by a secret may have its tokens bound as well', async () => {
    const credentials = async () => ({
      ...{ version: 1, clientSecret: Secret.from('the client secret'), certificate: Secret.from(own.pem) },
    });
    const registration = { ...bindsToCertificate, tokenEndpointAuthMethod: 'client_secret_basic' as const };
    const secret = client('secret', { credentials, registration });
    const outcome = await secret.renew(byOwn);
    expect(outcome).toMatchObject({ kind: 'refreshed', tokenSet: { boundTo: 'mtls' } });
    const none = async () => ({ version: 1, clientSecret: Secret.from('the client secret') });
    const bare = client('secret', { credentials: none, registration });
    expect(await bare.renew(byOwn)).not.toMatchObject({ kind: 'refreshed' });
  });

  test('§3.2 a token that a server binds though nobody asked is known for it by what the server tells', async () => {
    const outcome = await client('bound', { credentials: having(own) }).renew(byOwn);
    expect(outcome).toMatchObject({ kind: 'refreshed', tokenSet: { boundTo: 'mtls' } });
    const plain = await client('plain', { credentials: having(own) }).renew(byOwn);
    expect(plain.kind === 'refreshed' && plain.tokenSet.boundTo).toBe(undefined);
  });

  test('addresses stay pinned: what is no public one is not connected to with a certificate either', async () => {
    const credentials = having(own);
    const guarded = client('plain', { credentials, addresses: new AddressGuard() });
    expect(await guarded.renew(byOwn)).toMatchObject({ kind: 'client_rejected', error: 'address_refused' });
    // Also where the metadata came from a public place, and name another one.
    const certificate = Secret.from(own.pem);
    const rebinding = new AddressGuard([], (_name, done) => done(null, [{ address: '10.0.0.1', family: 4 }]));
    const from = acme.mtlsPaths().length;
    for (const [addresses, host] of [
      [new AddressGuard(), '127.0.0.1'],
      [rebinding, 'acme.example'],
    ] as const) {
      const send = guardedFetch({ allowLoopback: true, certificate, addresses });
      const sent = send(acme.mtlsUrl('/token').replace('127.0.0.1', host), { method: 'POST', headers: {} });
      expect(await sent.catch(callErrorReason)).toBe('address_refused');
    }
    expect(acme.mtlsPaths().slice(from)).toEqual([]);
    const allowed = client('plain', { credentials, addresses: new AddressGuard(['127.0.0.1']) });
    expect(await allowed.renew(byOwn)).toMatchObject({ kind: 'refreshed' });
  });

  test('nothing of the certificate’s key is in what a refusal says', async () => {
    const outcome = await client('plain', { credentials: having(wrong) }).renew(byOwn);
    expect(JSON.stringify(outcome)).not.toContain('PRIVATE KEY');
  });
});

describe('at a server whose tokens everybody can read', () => {
  test('§3.1 a token is bound to our certificate, or it is not taken', async () => {
    await withAcme({ jwt: true, silent: true }, async (acme) => {
      const common = { redirectUris: [redirectUri], clientCredentials: true, tlsName: name };
      const method = { tokenEndpointAuthMethod: 'tls_client_auth' as const };
      const { clientId: bound } = await acme.registerClient({ ...common, ...method, bindsToCertificate: true });
      const { clientId: plain } = await acme.registerClient({ ...common, ...method });
      const resource = { resource: api };
      const credentials = having(own);
      // Neither asked for nor announced, and seen all the same.
      const unasked = await clientAt(acme, bound, { credentials, registration: resource }).renew(byOwn);
      expect(unasked).toMatchObject({ kind: 'refreshed', tokenSet: { boundTo: 'mtls' } });
      const registration = { ...resource, ...bindsToCertificate };
      const unbound = await clientAt(acme, plain, { credentials, registration }).renew(byOwn);
      expect(unbound).toMatchObject({ kind: 'failed', error: 'invalid_answer' });
      const free = await clientAt(acme, plain, { credentials, registration: resource }).renew(byOwn);
      expect(free).toMatchObject({ kind: 'refreshed' });
      expect(free.kind === 'refreshed' && free.tokenSet.boundTo).toBe(undefined);
    });
  });
});

/** A server of OpenSSL's own, which tells in the handshake what it thinks of a certificate. */
async function withStrictServer(version: string, act: (url: string) => Promise<void>): Promise<void> {
  const { certPath, keyPath } = authority.write(server);
  const child = spawn('openssl', [
    ...['s_server', '-accept', '127.0.0.1:0', '-cert', certPath, '-key', keyPath, '-CAfile', authority.caPath],
    ...['-Verify', '2', '-verify_return_error', '-www', version],
  ]);
  const exited = once(child, 'exit');
  try {
    for await (const line of createInterface(child.stdout)) {
      const port = /^ACCEPT .*:(\d+)$/.exec(line)?.[1];
      if (port === undefined) continue;
      await act(`https://127.0.0.1:${port}/`);
      break;
    }
  } finally {
    child.kill();
    await exited;
  }
}

describe.each(['-tls1_2', '-tls1_3'])('at a server that ends the handshake, with %s', (version) => {
  test('a certificate that is refused there is ours to mend, and nothing counts as spent', async () => {
    await withStrictServer(version, async (url) => {
      const outcomeOf = async (shown: TestCertificate | undefined) => {
        const certificate = shown && Secret.from(shown.pem);
        const send = guardedFetch({ allowLoopback: true, certificate });
        return await send(url, { method: 'GET', headers: {} }).then(
          ({ status }) => status,
          (error: unknown) => callErrorReason(error),
        );
      };
      expect(await outcomeOf(own)).toBe(200);
      for (const other of [lone, ended]) expect(await outcomeOf(other)).toBe('client_certificate_refused');
    });
  });
});

describe('before anybody is sent there', () => {
  test.each([
    ['its metadata say so', {}, {}, undefined],
    ['its metadata do not', { silent: true }, {}, 'provider.feature_unsupported'],
    ['its file knows better', { silent: true }, { certificateBoundTokens: 'supported' as const }, undefined],
    ['its file says no', {}, { certificateBoundTokens: 'unsupported' as const }, 'provider.feature_unsupported'],
  ])('§3.3 bound tokens are asked for where they can be had: %s', async (_what, options, provider, code) => {
    await withAcme(options, async (acme) => {
      const credentials = having(own);
      const asking = clientAt(acme, 'app', { credentials, provider, registration: bindsToCertificate });
      const outcome = await asking.requireFeatures().then(
        () => undefined,
        (error: unknown) => (isPosternError(error) ? error.code : error),
      );
      expect(outcome).toBe(code);
      await clientAt(acme, 'app', { credentials, provider }).requireFeatures();
    });
  });
});
