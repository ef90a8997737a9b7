import type { AssertionProfile, AssertionRefusal } from '../assertion-profile.ts';
import type { ProfileAnswer } from '../profile.ts';
import { google } from './google.ts';
import { salesforce } from './salesforce.ts';

const refuse = (error: string, errorDescription: string, status = 400): ProfileAnswer => ({
  status,
  body: { error, error_description: errorDescription },
});

const badTime =
  'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.';
const notDelegated =
  'Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.';

const googleRefusals: Readonly<Record<AssertionRefusal, ProfileAnswer>> = {
  client: refuse('invalid_grant', 'Invalid grant: account not found'),
  signature: refuse('invalid_grant', 'Invalid JWT Signature.'),
  audience: refuse('invalid_grant', 'Invalid JWT: Failed audience check.'),
  time: refuse('invalid_grant', badTime),
  subject: refuse('invalid_grant', 'Invalid email or User ID'),
  not_approved: refuse('unauthorized_client', notDelegated, 401),
  scope: refuse('invalid_scope', 'Invalid OAuth scope or ID token audience provided.'),
  request: refuse('invalid_request', 'Missing parameter: assertion'),
};

/** Scopes are claims; whom a domain's administrator delegated is named as `sub`. Nothing else proves the account. */
const googleServiceAccount: AssertionProfile = {
  ...{ id: 'google-service-account', name: 'Google (service account)', provider: 'google-service-account' },
  documents: ['https://developers.google.com/identity/protocols/oauth2/service-account'],
  client: { clientId: (number) => `agents-${number}@acme-crm.iam.gserviceaccount.com` },
  token: { at: 'https://oauth2.googleapis.com/token' },
  audience: 'https://oauth2.googleapis.com/token',
  assertionTtlSMax: 3_600,
  subject: 'ada@acme.example',
  wantsSubject: false,
  scopes: { from: 'claim', approved: ['https://www.googleapis.com/auth/calendar.readonly'] },
  accessTokenTtlS: 3_600,
  tokenAnswer: ({ accessToken, scopes }) => ({
    ...{ access_token: accessToken, scope: scopes.join(' '), token_type: 'Bearer', expires_in: 3_599 },
  }),
  refusal: (why) => googleRefusals[why],
  api: { at: google.api.at, alive: { items: [] }, dead: google.api.dead },
  revocation: null,
};

const salesforceRefusals: Readonly<Record<AssertionRefusal, ProfileAnswer>> = {
  client: refuse('invalid_client_id', 'client identifier invalid'),
  signature: refuse('invalid_grant', 'invalid assertion'),
  audience: refuse('invalid_grant', 'audience is invalid'),
  time: refuse('invalid_grant', 'expired authorization code'),
  subject: refuse('invalid_grant', "user hasn't approved this consumer"),
  not_approved: refuse('invalid_app_access', 'user is not admin approved to access this app'),
  scope: refuse('invalid_request', 'scope parameter not supported'),
  request: refuse('invalid_grant', 'invalid assertion'),
};

/** A user is always named, and what was approved for the app decides what the token may do. No answer says for how long. */
const salesforceJwt: AssertionProfile = {
  ...{ id: 'salesforce-jwt', name: 'Salesforce (JWT bearer)', provider: 'salesforce' },
  documents: ['https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_jwt_flow.htm'],
  client: { parameters: { login: 'login' }, clientId: (number) => `3MVG9consumer${number}` },
  token: salesforce.token,
  audience: 'https://login.salesforce.com',
  assertionTtlSMax: 180,
  subject: 'ada@acme.example',
  wantsSubject: true,
  scopes: { from: 'approval', approved: ['api', 'id'] },
  accessTokenTtlS: null,
  tokenAnswer: ({ accessToken, scopes }) => ({
    access_token: accessToken,
    scope: scopes.join(' '),
    instance_url: 'https://acme.my.salesforce.com',
    id: 'https://login.salesforce.com/id/00D/005',
    token_type: 'Bearer',
  }),
  refusal: (why) => salesforceRefusals[why],
  api: { at: salesforce.api.at, alive: { user_id: '005' }, dead: salesforce.api.dead },
  revocation: { at: 'https://login.salesforce.com/services/oauth2/revoke' },
};

/** The named providers that issue tokens for the assertions of a key. */
export const assertionProfiles: readonly AssertionProfile[] = [googleServiceAccount, salesforceJwt];
