import type { KeyProfile, MadeSecret } from '../key-profile.ts';
import type { ProfileRequest } from '../profile.ts';

const pairOf = ({ basic }: ProfileRequest) => (basic === null ? null : `${basic.user}:${basic.password}`);
const given = (made: MadeSecret) => ('api_key' in made ? made.api_key : `${made.username}:${made.password}`);

/** The name is a person's address with `/token` behind it. */
const zendesk: KeyProfile = {
  ...{ id: 'zendesk-api-token', name: 'Zendesk (API token)', provider: 'zendesk-api-token' },
  documents: ['https://developer.zendesk.com/api-reference/introduction/security-and-auth/'],
  client: { parameters: { subdomain: 'acme' } },
  make: (random) => ({ username: 'ada@acme.example', password: random }),
  shown: (made) => `ada@acme.example/token:${'password' in made ? made.password : ''}`,
  shownBy: pairOf,
  api: {
    at: 'https://acme.zendesk.com/api/v2/users/me.json',
    alive: { user: { id: 7, email: 'ada@acme.example' } },
    dead: { status: 401, body: { error: "Couldn't authenticate you" } },
  },
};

const gong: KeyProfile = {
  ...{ id: 'gong-api-key', name: 'Gong (access key)', provider: 'gong-api-key' },
  documents: ['https://help.gong.io/apidocs/introduction-2'],
  client: {},
  make: (random) => ({ username: `KEY${random.slice(0, 8)}`, password: random }),
  shown: given,
  shownBy: pairOf,
  api: {
    at: 'https://api.gong.io/v2/workspaces',
    alive: { requestId: 'r', workspaces: [] },
    dead: { status: 401, body: { requestId: 'r', errors: ['Wrong access key or secret'] } },
  },
};

/** The key is the name; whoever sends a password is not known. */
const greenhouse: KeyProfile = {
  ...{ id: 'greenhouse-api-key', name: 'Greenhouse (Harvest API key)', provider: 'greenhouse-api-key' },
  documents: ['https://developers.greenhouse.io/harvest.html#authentication'],
  client: {},
  make: (random) => ({ username: random, password: '' }),
  shown: given,
  shownBy: pairOf,
  api: {
    at: 'https://harvest.greenhouse.io/v1/departments',
    alive: [],
    dead: { status: 401, body: { message: 'Invalid Basic Auth credentials' } },
  },
};

const stripe: KeyProfile = {
  ...{ id: 'stripe-api-key', name: 'Stripe (secret key)', provider: 'stripe-api-key' },
  documents: ['https://docs.stripe.com/api/authentication?lang=curl'],
  client: {},
  make: (random) => ({ api_key: `sk_test_${random}` }),
  shown: given,
  shownBy: ({ bearer, basic }) => bearer ?? (basic?.password === '' ? basic.user : null),
  api: {
    at: 'https://api.stripe.com/v1/account',
    alive: { id: 'acct_7', object: 'account' },
    dead: { status: 401, body: { error: { message: 'Invalid API Key provided', type: 'invalid_request_error' } } },
  },
};

/** Credentials of the named providers that people make by hand. */
export const keyProfiles: readonly KeyProfile[] = [gong, zendesk, stripe, greenhouse];
