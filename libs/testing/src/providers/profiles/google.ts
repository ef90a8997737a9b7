import type { ProfileGrant, ProviderProfile } from '../profile.ts';
import { revocationRoute, standardRefusal } from '../standard-routes.ts';
import { IdentityKey } from './identity.ts';

const issuer = 'https://accounts.google.com';
const key = new IdentityKey('google-1');
const subjectOf = ({ account }: ProfileGrant) => `1000000000000${account}`;

/** Offline access is asked for with parameters of its own; a refresh token stays the same. */
export const google: ProviderProfile = {
  ...{ id: 'google', name: 'Google Workspace', provider: 'google' },
  documents: [
    'https://developers.google.com/identity/protocols/oauth2/web-server',
    'https://developers.google.com/identity/openid-connect/openid-connect',
    'https://developers.google.com/identity/protocols/risc',
  ],
  client: { scopes: ['openid', 'https://www.googleapis.com/auth/calendar.events'] },
  authorization: {
    at: `${issuer}/o/oauth2/v2/auth`,
    wants: { access_type: 'offline', prompt: 'consent' },
    scopes: { parameter: 'scope', separator: ' ' },
  },
  pkce: 'checked',
  token: { at: 'https://oauth2.googleapis.com/token', authentication: ['post', 'basic'], formats: ['form'] },
  accessTokenTtlS: 3_600,
  refresh: { rotates: false, graceS: 0 },
  tokenAnswer: async ({ accessToken, refreshToken, grant }) => ({
    access_token: accessToken,
    expires_in: 3_599,
    scope: grant.scopes.join(' '),
    token_type: 'Bearer',
    ...(refreshToken !== null && { refresh_token: refreshToken }),
    id_token: await key.idToken({
      ...{ iss: issuer, aud: grant.clientId, azp: grant.clientId, sub: subjectOf(grant) },
      ...(refreshToken !== null && grant.nonce !== null && { nonce: grant.nonce }),
    }),
  }),
  refusal: standardRefusal({
    client: { error_description: 'The provided client secret is invalid.' },
    code: { error_description: 'Malformed auth code.' },
    refresh_token: { error_description: 'Token has been expired or revoked.' },
  }),
  api: {
    at: 'https://www.googleapis.com/calendar/v3/users/me/calendarList',
    alive: () => ({ items: [] }),
    dead: { status: 401, body: { error: { code: 401, message: 'Invalid Credentials', status: 'UNAUTHENTICATED' } } },
  },
  revocable: true,
  routes: [
    {
      method: 'GET',
      at: `${issuer}/.well-known/openid-configuration`,
      answer: () => ({
        status: 200,
        body: {
          issuer,
          authorization_endpoint: `${issuer}/o/oauth2/v2/auth`,
          token_endpoint: 'https://oauth2.googleapis.com/token',
          userinfo_endpoint: 'https://openidconnect.googleapis.com/v1/userinfo',
          revocation_endpoint: 'https://oauth2.googleapis.com/revoke',
          jwks_uri: 'https://www.googleapis.com/oauth2/v3/certs',
          response_types_supported: ['code', 'token', 'id_token'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256'],
          token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
          code_challenge_methods_supported: ['plain', 'S256'],
        },
      }),
    },
    {
      method: 'GET',
      at: 'https://www.googleapis.com/oauth2/v3/certs',
      answer: async () => ({ status: 200, body: await key.jwks() }),
    },
    revocationRoute({
      at: 'https://oauth2.googleapis.com/revoke',
      ...{ authentication: 'none', ends: 'grant' },
      unknown: { status: 400, body: { error: 'invalid_token', error_description: 'Token expired or revoked' } },
    }),
  ],
  transmitter: { issuer: `${issuer}/`, jwksUri: 'https://www.googleapis.com/oauth2/v3/certs' },
  notice: async (grant) => ({
    body: await key.securityEvent({
      ...{ iss: `${issuer}/`, aud: grant.clientId, jti: `event-${grant.number}` },
      events: {
        'https://schemas.openid.net/secevent/oauth/event-type/tokens-revoked': {
          subject: { subject_type: 'iss-sub', iss: `${issuer}/`, sub: subjectOf(grant) },
        },
      },
    }),
    headers: () => ({ 'content-type': 'application/secevent+jwt', accept: 'application/json' }),
  }),
};
