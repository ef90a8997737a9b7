import { randomBytes, type KeyObject } from 'node:crypto';

import type { KoaContext } from 'oidc-provider';

import type { AccountBook } from './acme-accounts.ts';
import { sessionTtlS } from './acme-connected-apps.ts';
import { sendPage } from './acme-html.ts';
import { devicePages } from './acme-device.ts';
import { errorPage } from './acme-pages.ts';
import { acmeSigningKeyId } from './acme-identities.ts';
import { mtlsAuthMethods, mtlsFeature, type AcmeMtls, type MtlsDoor } from './acme-mtls.ts';
import type { AcmeStore } from './acme-store.ts';
import { actClaim } from './acme-token-exchange.ts';

interface Ingredients {
  readonly store: AcmeStore;
  readonly accounts: AccountBook;
  readonly cookieKey: string;
  readonly refreshTokenTtlS: number;
  readonly accessTokenTtlS: () => number;
  readonly meetsClients: MeetsClients | undefined;
  readonly invalidTarget: new () => Error;
  /** Does each proof of a key need a nonce of this server? @source RFC 9449 §8 */
  readonly dpopNonces: boolean;
  readonly mtls: { readonly options: AcmeMtls; readonly door: MtlsDoor } | undefined;
  readonly invalidRequest: new (description: string) => Error;
  /** It signs with this, RS256. */
  readonly signingKey: KeyObject;
  /** What it says of itself beside what oidc-provider says. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly detailTypes: AcmeDetailTypes | undefined;
}

/** What it grants of an authorization detail of each type that it takes; undefined for nothing. @source RFC 9396 §7.1 */
export type AcmeDetailTypes = Readonly<Record<string, (asked: AcmeDetail) => AcmeDetail | undefined>>;
type AcmeDetail = Readonly<Record<string, unknown>> & { readonly type: string };

/** How an Acme takes clients that nobody registered, and issues tokens for other servers than its own. */
export interface MeetsClients {
  /** Reads the document that a client's id is the URL of; absent: it takes none. */
  readonly fetchDocument?: (url: string) => Promise<Response>;
  /** @source RFC 7591 */
  readonly dynamicRegistration?: boolean;
}

interface Owner {
  readonly clientId: string;
}

/**
 * What makes a bare oidc-provider into Acme CRM.
 *
 * PKCE for every client (S256 is the only method it knows), refresh tokens that rotate at every use unless the
 * client's rule is `stable`, opaque access
 * tokens since no resource server asks for another format, no clock tolerance so that an expired token is expired.
 *
 * @source RFC 9700 §2.1.1, §4.14.2
 */
export function acmeConfiguration(ingredients: Ingredients): Record<string, unknown> {
  const { store, accounts, cookieKey, refreshTokenTtlS, accessTokenTtlS, invalidRequest } = ingredients;
  const { meetsClients, invalidTarget, mtls, signingKey, metadata } = ingredients;
  const { fetchDocument } = meetsClients ?? {};

  return {
    ...(fetchDocument && { fetch: (url: URL | string) => fetchDocument(String(url)) }),
    adapter: (model: string) => store.adapter(model),
    ...(mtls && { clientAuthMethods: mtlsAuthMethods }),
    discovery: { ...metadata, ...(mtls && mtls.door.metadata) },
    ...(ingredients.detailTypes && {
      clientDefaults: { authorization_details_types: Object.keys(ingredients.detailTypes) },
    }),
    clockTolerance: 0,
    jwks: { keys: [{ ...signingKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: acmeSigningKeyId }] },
    cookies: {
      keys: [cookieKey],
      names: { session: 'acme_session', interaction: 'acme_interaction', resume: 'acme_resume' },
    },
    scopes: ['openid', 'offline_access', 'contacts:read', 'contacts:write'],
    claims: { openid: ['sub', 'email', 'name'] },
    pkce: { required: () => true },
    rotateRefreshToken: ({ oidc }: KoaContext) => store.reuseRuleOf(oidc?.client?.clientId) !== 'stable',
    extraTokenClaims: actClaim,
    issueRefreshToken: async () => true,
    expiresWithSession: async () => false,
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      clientIdMetadataDocument: { enabled: fetchDocument !== undefined, ack: 'draft-02' },
      registration: { enabled: meetsClients?.dynamicRegistration === true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: async () => false,
        // Details belong to a resource here; where nobody names one, they are for the contacts.
        defaultResource: async ({ oidc }: KoaContext, _client: unknown, oneOf?: readonly string[]) =>
          oneOf ?? (oidc?.params?.['authorization_details'] === undefined ? undefined : 'urn:acme:contacts'),
        getResourceServerInfo: async (_ctx: unknown, audience: string) => {
          const hasDetails = ingredients.detailTypes !== undefined;
          if (meetsClients === undefined && mtls === undefined && !hasDetails) throw new invalidTarget();
          const accessTokenFormat = mtls?.options.jwt === true ? 'jwt' : 'opaque';
          const scope = 'contacts:read contacts:write';
          return { scope, audience, accessTokenTTL: accessTokenTtlS(), accessTokenFormat };
        },
      },
      clientCredentials: { enabled: true },
      requestObjects: { enabled: true },
      ...(ingredients.detailTypes && { richAuthorizationRequests: detailsFeature(ingredients.detailTypes) }),
      deviceFlow: { enabled: true, ...devicePages },
      ...(mtls && { mTLS: mtlsFeature }),
      ...(ingredients.dpopNonces && {
        dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      }),
      introspection: {
        enabled: true,
        allowedPolicy: async (_ctx: unknown, client: Owner, token: Owner) => client.clientId === token.clientId,
      },
      revocation: {
        enabled: true,
        allowedPolicy: async (_ctx: unknown, client: Owner, token: Owner) => {
          if (client.clientId === token.clientId) return true;
          throw new invalidRequest('the token was issued to another client');
        },
      },
    },
    ttl: {
      AccessToken: accessTokenTtlS,
      AuthorizationCode: 60,
      DeviceCode: 600,
      ClientCredentials: accessTokenTtlS,
      RefreshToken: refreshTokenTtlS,
      Grant: sessionTtlS,
      IdToken: 3600,
      Interaction: 600,
      Session: sessionTtlS,
    },
    interactions: { url: (_ctx: unknown, interaction: { uid: string }) => `/interaction/${interaction.uid}` },
    findAccount: async (_ctx: unknown, accountId: string) => {
      const account = accounts.byId(accountId);
      if (!account) return undefined;
      return { accountId, claims: async () => ({ sub: accountId, email: account.email, name: account.name }) };
    },
    renderError: (ctx: KoaContext, out: { error: string; error_description?: string }) =>
      sendPage(ctx, errorPage(out.error, out.error_description), ctx.status),
  };
}

/** As an authorization server whose end users grant each detail in the way of its type. */
function detailsFeature(types: AcmeDetailTypes): Record<string, unknown> {
  return {
    enabled: true,
    types: Object.fromEntries(Object.keys(types).map((type) => [type, { validate: () => undefined }])),
    authorizationDetailsForGrantSource: ({ oidc }: KoaContext) => {
      const asked = JSON.parse(oidc?.params?.['authorization_details'] ?? '[]') as AcmeDetail[];
      return asked.flatMap((detail) => types[detail.type]?.(detail) ?? []);
    },
    authorizationDetailsForAccessToken: (_ctx: unknown, _token: unknown, source?: { readonly rar?: AcmeDetail[] }) =>
      source?.rar,
    authorizationDetailsForIntrospection: (_ctx: unknown, token: { readonly rar?: AcmeDetail[] }) => token.rar,
  };
}
