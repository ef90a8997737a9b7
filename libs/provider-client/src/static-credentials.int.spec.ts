import { rmSync } from 'node:fs';

import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';
import { temporaryDataDir } from '@postern/servers';
import {
  keyProfiles,
  reachProviders,
  startProviderInternet,
  type KeyProfile,
  type ProviderInternet,
} from '@postern/testing';

import { ProviderClient } from './provider-client.ts';

const dataDir = temporaryDataDir('postern-keys-');
let internet: ProviderInternet;
let goBack: () => void;

beforeAll(async () => {
  internet = await startProviderInternet({ profiles: [], keyProfiles, dataDir });
  goBack = reachProviders(internet);
});

afterAll(async () => {
  goBack();
  await internet.close();
  rmSync(dataDir, { recursive: true, force: true });
});

function clientOf(profile: KeyProfile, wrong: Partial<Provider> = {}): ProviderClient {
  const provider = { ...providerOf(loadCatalog(), profile.provider), ...wrong };
  const parameters = profile.client.parameters ?? {};
  const registration = { clientId: provider.id, tokenEndpointAuthMethod: 'none' as const, parameters };
  return new ProviderClient({ provider, registration, credentials: null, allowLoopback: false });
}

describe.each(keyProfiles.map((profile) => [profile.name, profile] as const))('%s', (_name, profile) => {
  test('a credential that was made by hand is taken while it lives, and called dead afterwards', async () => {
    const client = clientOf(profile);
    const made = await internet.makeSecret(profile.id);
    const adopted = await client.adopt(made);
    if (adopted.kind !== 'refreshed') throw new Error(`${adopted.kind} ${adopted.error}`);
    const accessToken = Secret.from(adopted.tokenSet.accessToken);
    expect(await client.probe(accessToken)).toMatchObject({ kind: 'alive' });
    await internet.endSecret(profile.id, made);
    expect(await client.probe(accessToken)).toMatchObject({ kind: 'dead', httpStatus: 401 });
    expect(await client.adopt(made)).toMatchObject({ kind: 'rejected', error: 'credential_refused', httpStatus: 401 });
    expect(await client.revoke({ token: accessToken, hint: 'access_token' })).toMatchObject({
      kind: 'failed',
      error: 'revocation_unsupported',
      retryable: false,
    });
  });
});

test('a file that is wrong about where it stands does not get along with the provider', async () => {
  const [profile] = keyProfiles.filter(({ id }) => id === 'zendesk-api-token');
  if (profile === undefined) throw new Error('there is no such profile');
  const made = await internet.makeSecret(profile.id);
  const withoutSuffix = { kind: 'basic', usernameSuffix: '', password: 'given' } as const;
  expect(await clientOf(profile, { credential: withoutSuffix }).adopt(made)).toMatchObject({ kind: 'rejected' });
});

test('a provider without an answer takes nothing from anybody; one without a call that would tell is believed', async () => {
  const [profile] = keyProfiles.filter(({ id }) => id === 'gong-api-key');
  if (profile === undefined) throw new Error('there is no such profile');
  const { api } = providerOf(loadCatalog(), profile.provider);
  const secret = { username: 'KEY', password: 'nobody knows it' };
  const away = {
    ...api,
    tokenProbe: api.tokenProbe && { ...api.tokenProbe, url: 'https://away.gong.io/v2/workspaces' },
  };
  expect(await clientOf(profile, { api: away }).adopt(secret)).toMatchObject({ kind: 'failed' });
  expect(await clientOf(profile, { api: { ...api, tokenProbe: null } }).adopt(secret)).toMatchObject({
    kind: 'refreshed',
  });
});
