import type { ProviderProfile } from '../profile.ts';
import { standardRefusal } from '../standard-routes.ts';

export const greenhouse: ProviderProfile = {
  ...{ id: 'greenhouse', name: 'Greenhouse', provider: 'greenhouse' },
  documents: [
    'https://harvestdocs.greenhouse.io/docs/harvest-partner-oauth',
    'https://harvestdocs.greenhouse.io/docs/authentication',
  ],
  client: { scopes: ['harvest:candidates:list', 'harvest:jobs:list'] },
  authorization: {
    at: 'https://auth.greenhouse.io/authorize',
    scopes: { parameter: 'scope', separator: ' ' },
  },
  pkce: 'ignored',
  token: { at: 'https://auth.greenhouse.io/token', authentication: ['basic'], formats: ['form'] },
  accessTokenTtlS: 3_600,
  refresh: { rotates: true, graceS: 0 },
  tokenAnswer: ({ accessToken, refreshToken }) => ({
    access_token: accessToken,
    refresh_token: refreshToken,
    token_type: 'Bearer',
    expires_in: 3_600,
  }),
  refusal: standardRefusal(),
  api: {
    at: 'https://harvest.greenhouse.io/v3/jobs',
    alive: () => [],
    dead: { status: 401, body: { message: 'Invalid token' } },
  },
  revocable: false,
  routes: [],
  notice: null,
};
