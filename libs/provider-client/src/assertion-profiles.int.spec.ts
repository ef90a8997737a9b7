import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { rmSync } from 'node:fs';

import type { Renewal } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf, resolveProvider, type Provider } from '@postern/provider-catalog';
import { temporaryDataDir } from '@postern/servers';
import {
  assertionProfiles,
  providerProfiles,
  reachProviders,
  startProviderInternet,
  type AssertionProfile,
  type ProviderInternet,
} from '@postern/testing';
import { SignJWT } from 'jose';

import { ProviderClient } from './provider-client.ts';

const catalog = loadCatalog();
const dataDir = temporaryDataDir('postern-assertions-');
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
let internet: ProviderInternet;
let goBack: () => void;

beforeAll(async () => {
  internet = await startProviderInternet({ profiles: providerProfiles, assertionProfiles, dataDir });
  goBack = reachProviders(internet);
});

afterAll(async () => {
  goBack();
  await internet.close();
  rmSync(dataDir, { recursive: true, force: true });
});

/** One asking, by what the provider's file says of assertions. */
interface Asking {
  readonly profile: AssertionProfile;
  readonly provider: Provider;
  readonly clientId: string;
  readonly key?: KeyObject;
  readonly subject?: string;
  readonly audience?: string;
  readonly endsInS?: number;
}

async function ask({ profile, provider, clientId, key = privateKey, endsInS = 60, ...other }: Asking) {
  const { audience: aimed, scopes: where } = provider.assertion;
  const resolved = resolveProvider(provider, profile.client.parameters ?? {});
  const usual =
    aimed === 'token_endpoint' && resolved.kind === 'known' ? resolved.endpoints.tokenEndpoint : resolved.issuer;
  const scopes = where === 'approval' ? [] : [...profile.scopes.approved];
  const nowS = Math.floor(Date.now() / 1_000);
  const subject = other.subject ?? profile.subject;
  const assertion = await new SignJWT({ ...(where === 'claim' && { scope: scopes.join(' ') }) })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
    .setIssuer(clientId)
    .setSubject(subject)
    .setAudience(other.audience ?? usual)
    .setJti(randomUUID())
    .setIssuedAt(nowS - 1)
    .setExpirationTime(nowS + endsInS)
    .sign(key);
  const client = new ProviderClient({
    provider,
    registration: { clientId, tokenEndpointAuthMethod: 'none', parameters: profile.client.parameters ?? {} },
    credentials: null,
    allowLoopback: false,
  });
  const renewal: Renewal = {
    ...{ grant: 'jwt_bearer', scopes, subject, scopesInAssertion: where === 'claim', parameters: {} },
  };
  return await client.renew(renewal, { assertion: Secret.from(assertion) });
}

/** What came of it, in a line. */
async function story(asking: Asking): Promise<string> {
  const outcome = await ask(asking);
  if (outcome.kind !== 'refreshed') return `${outcome.kind}: ${outcome.error}`;
  const { accessTokenExpiresAtMs: endsAtMs, grantedScopes } = outcome.tokenSet;
  const livesS = endsAtMs === null ? null : Math.round((endsAtMs - Date.now()) / 100_000) * 100;
  return `a token for ${grantedScopes.join(' ')}, ${livesS} s`;
}

const others = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey;

describe.each(assertionProfiles.map((profile) => [profile.name, profile] as const))('%s', (_name, profile) => {
  const provider = providerOf(catalog, profile.provider);
  const registered = async () => await internet.registerKey(profile.id, publicKey.export({ format: 'jwk' }));

  test('what the catalog says of assertions is what the provider takes, for as long as it says', async () => {
    const asked = { profile, provider, clientId: await registered() };
    expect(await story(asked)).toBe(`a token for ${profile.scopes.approved.join(' ')}, ${profile.accessTokenTtlS} s`);
  });

  test.each<readonly [string, Partial<Asking>, RegExp]>([
    ['another key', { key: others }, /^rejected: invalid_grant$/],
    ['another audience', { audience: 'https://elsewhere.example/token' }, /^rejected: invalid_grant$/],
    ['one that has expired', { endsInS: 0 }, /^rejected: invalid_grant$/],
    ['one that lives too long', { endsInS: 7_200 }, /^rejected: invalid_grant$/],
    ['a user that nobody approved', { subject: 'grace@elsewhere.example' }, /^rejected: invalid_grant$/],
    [
      'a client that nobody knows',
      { clientId: 'somebody' },
      /^(rejected: invalid_grant|client_rejected: invalid_client_id)$/,
    ],
  ])('%s is refused, in words that are understood', async (_what, other, said) => {
    expect(await story({ profile, provider, clientId: await registered(), ...other })).toMatch(said);
  });

  test('an approval that was taken back is a verdict on the connection, and calls no operator', async () => {
    const clientId = await registered();
    await internet.withdrawApproval(clientId);
    expect(await story({ profile, provider, clientId })).toMatch(
      /^rejected: (unauthorized_client|invalid_app_access)$/,
    );
  });
});

test.each<readonly [string, string, (right: Provider) => Partial<Provider>, RegExp]>([
  ['google-service-account', 'the audience is the issuer', withAssertion({ audience: 'issuer' }), /^rejected/],
  [
    'google-service-account',
    'scopes stand beside it',
    withAssertion({ scopes: 'parameter' }),
    /^rejected: invalid_scope/,
  ],
  ['google-service-account', 'its words are unknown', () => ({ answers: [] }), /^client_rejected/],
  ['salesforce-jwt', 'the audience is the token endpoint', withAssertion({ audience: 'token_endpoint' }), /^rejected/],
  ['salesforce-jwt', 'its tokens live an hour', () => ({ accessTokenDefaultTtlS: 3_600 }), /3600 s$/],
  ['salesforce-jwt', 'its words are unknown', () => ({ answers: [] }), /^failed/],
])('a file that is wrong in one thing does not get along with %s: %s', async (id, slip, wrong, said) => {
  const profile = assertionProfiles.find((one) => one.id === id);
  if (profile === undefined) throw new Error('there is no such profile');
  const right = providerOf(catalog, profile.provider);
  const clientId = await internet.registerKey(id, publicKey.export({ format: 'jwk' }));
  if (slip.includes('words')) await internet.withdrawApproval(clientId);
  expect(await story({ profile, provider: { ...right, ...wrong(right) }, clientId })).toMatch(said);
});

function withAssertion(wrong: Partial<Provider['assertion']>) {
  return ({ assertion }: Provider): Partial<Provider> => ({ assertion: { ...assertion, ...wrong } });
}
