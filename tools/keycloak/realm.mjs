/** The realm of the checks: one person, and a client for each thing that is tried. */
import { generateJwtKey, jwtSigner } from '../../libs/crypto/dist/index.js';

export const redirectUri = 'http://localhost:9/oauth/callback';
export const person = { username: 'ada', password: 'verysecure' };
export const secret = 'the secret of the client';
export const keys = { client: jwtSigner(generateJwtKey('ES256')), other: jwtSigner(generateJwtKey('ES256')) };

const confidential = (clientId, more = {}) => ({
  clientId,
  ...{ secret, protocol: 'openid-connect', redirectUris: [redirectUri], standardFlowEnabled: true },
  ...more,
  attributes: { 'pkce.code.challenge.method': 'S256', ...more.attributes },
});
const jwks = { 'use.jwks.string': 'true', 'jwks.string': JSON.stringify({ keys: [keys.client.publicJwk] }) };
/** Whoever exchanges a token has to stand in its audience. */
const exchangedBy = (clientId) => ({
  name: `may be exchanged by ${clientId}`,
  protocol: 'openid-connect',
  protocolMapper: 'oidc-audience-mapper',
  config: { 'included.client.audience': clientId, 'access.token.claim': 'true' },
});
const exchanging = { 'standard.token.exchange.enabled': 'true' };
export const realm = {
  ...{ realm: 'postern', enabled: true, sslRequired: 'none', revokeRefreshToken: true, refreshTokenMaxReuse: 0 },
  users: [
    {
      ...{ username: person.username, enabled: true, email: 'ada@example.com', emailVerified: true },
      ...{ firstName: 'Ada', lastName: 'Lovelace' },
      credentials: [{ type: 'password', value: person.password, temporary: false }],
    },
  ],
  clients: [
    confidential('plain', { protocolMappers: ['exchanger', 'narrowing'].map(exchangedBy) }),
    confidential('pushing', { attributes: { 'require.pushed.authorization.requests': 'true' } }),
    confidential('signing', {
      attributes: {
        ...jwks,
        'request.object.signature.alg': 'ES256',
        'request.object.required': 'request or request_uri',
      },
    }),
    confidential('bound', { attributes: { 'dpop.bound.access.tokens': 'true' } }),
    confidential('asserting', {
      clientAuthenticatorType: 'client-jwt',
      serviceAccountsEnabled: true,
      attributes: jwks,
    }),
    // Where it demands PKCE, it does so of devices too, for which there is none.
    confidential('device', {
      attributes: { 'oauth2.device.authorization.grant.enabled': 'true', 'pkce.code.challenge.method': '' },
    }),
    confidential('exchanger', { attributes: exchanging }),
    confidential('narrowing', {
      attributes: exchanging,
      ...{ defaultClientScopes: ['basic'], optionalClientScopes: ['email', 'profile'] },
    }),
    confidential('elsewhere'),
  ],
};
