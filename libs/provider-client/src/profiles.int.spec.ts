import { rmSync } from 'node:fs';

import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';
import { temporaryDataDir } from '@postern/servers';
import { providerProfiles, reachProviders, startProviderInternet, type ProviderInternet } from '@postern/testing';

import { ProfileWalk } from './spec-profile-walk.ts';

const catalog = loadCatalog();
const dataDir = temporaryDataDir('postern-profiles-');
let internet: ProviderInternet;
let goBack: () => void;

beforeAll(async () => {
  internet = await startProviderInternet({ profiles: providerProfiles, dataDir });
  goBack = reachProviders(internet);
});

afterAll(async () => {
  goBack();
  await internet.close();
  rmSync(dataDir, { recursive: true, force: true });
});

describe('what the catalog says of a provider is what the provider does', () => {
  test.each(providerProfiles.map((profile) => [profile.name, profile] as const))('%s', async (_name, profile) => {
    const problems = await new ProfileWalk(profile, providerOf(catalog, profile.provider), internet).take();
    const said = (await internet.complaints()).filter(({ profileId }) => profileId === profile.id || profileId === null);
    expect({ problems, said: problems.length > 0 ? said : [] }).toEqual({ problems: [], said: [] });
  });
});
