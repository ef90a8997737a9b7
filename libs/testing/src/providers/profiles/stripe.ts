import type { ProfileGrant, ProfileNotice, ProfileTokens, ProviderProfile } from '../profile.ts';
import { standardRefusal } from '../standard-routes.ts';

const accountOf = ({ account }: ProfileGrant) => `acct_${account}`;
const expired = {
  error: { type: 'invalid_request_error', code: 'api_key_expired', message: 'Expired API Key provided' },
};

/** @source https://docs.stripe.com/webhooks/signature */
function deauthorized(grant: ProfileGrant): ProfileNotice {
  return {
    body: {
      id: `evt_${grant.number}`,
      object: 'event',
      account: accountOf(grant),
      created: Math.floor(Date.now() / 1_000),
      data: { object: { id: 'ca_1', object: 'application', name: 'Postern' } },
      type: 'account.application.deauthorized',
    },
    headers: async (payload, secret) => {
      const { default: Stripe } = await import('stripe');
      return { 'stripe-signature': new Stripe('sk_test_x').webhooks.generateTestHeaderString({ payload, secret }) };
    },
  };
}

const refusal = standardRefusal({
  code: { error_description: 'Authorization code does not exist' },
  refresh_token: { error_description: 'Refresh token does not exist' },
});

const api: ProviderProfile['api'] = {
  at: 'https://api.stripe.com/v1/account',
  alive: (grant) => ({ id: accountOf(grant), object: 'account' }),
  dead: { status: 401, body: expired },
};

function answer({ accessToken, refreshToken, grant }: ProfileTokens): object {
  return {
    access_token: accessToken,
    livemode: false,
    ...(refreshToken !== null && { refresh_token: refreshToken }),
    token_type: 'bearer',
    stripe_publishable_key: 'pk_test_1',
    stripe_user_id: accountOf(grant),
    scope: grant.scopes.join(' '),
  };
}

/** Keys without an end; the platform's secret key is the client's secret, and ends an account by its id. */
export const stripeConnect: ProviderProfile = {
  ...{ id: 'stripe', name: 'Stripe Connect', provider: 'stripe' },
  documents: [
    'https://docs.stripe.com/connect/oauth-reference',
    'https://docs.stripe.com/connect/oauth-standard-accounts',
    'https://docs.stripe.com/webhooks/signature',
  ],
  client: { scopes: ['read_write'] },
  authorization: {
    at: 'https://connect.stripe.com/oauth/authorize',
    scopes: { parameter: 'scope', separator: ' ' },
  },
  pkce: 'ignored',
  token: { at: 'https://connect.stripe.com/oauth/token', authentication: ['post'], formats: ['form'] },
  accessTokenTtlS: null,
  refresh: { rotates: false, graceS: 0 },
  tokenAnswer: answer,
  refusal,
  api,
  revocable: true,
  routes: [
    {
      method: 'POST',
      at: 'https://connect.stripe.com/oauth/deauthorize',
      answer: ({ bearer, members }, desk) => {
        const client = desk.clientWith(bearer ?? '');
        if (client === undefined) return { status: 401, body: { error: 'invalid_client' } };
        const grants = desk.grantsOf(client.clientId).filter((one) => accountOf(one) === members['stripe_user_id']);
        if (members['client_id'] !== client.clientId || grants.length === 0) {
          const description = 'This application is not connected to the account';
          return { status: 401, body: { error: 'invalid_client', error_description: description } };
        }
        for (const grant of grants) desk.endGrant(grant);
        return { status: 200, body: { stripe_user_id: members['stripe_user_id'] } };
      },
    },
  ],
  notice: deauthorized,
};

/** One hour, which the answer does not say; the secret key stands where the name of the user would. */
export const stripeApps: ProviderProfile = {
  ...{ id: 'stripe-apps', name: 'Stripe Apps', provider: 'stripe-apps' },
  documents: ['https://docs.stripe.com/stripe-apps/api-authentication/oauth'],
  client: { scopes: [] },
  authorization: { at: 'https://marketplace.stripe.com/oauth/v2/authorize', scopes: null },
  pkce: 'ignored',
  token: { at: 'https://api.stripe.com/v1/oauth/token', authentication: ['secret_as_user'], formats: ['form'] },
  accessTokenTtlS: 3_600,
  refresh: { rotates: true, graceS: 0 },
  tokenAnswer: answer,
  refusal,
  api,
  revocable: false,
  routes: [],
  notice: deauthorized,
};
