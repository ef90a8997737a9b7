import { randomUUID, type KeyObject } from 'node:crypto';

import { createLocalJWKSet, createRemoteJWKSet, jwtVerify, SignJWT, type JWK, type JWTPayload } from 'jose';
import type { KoaContext, Provider, ProviderErrors } from 'oidc-provider';

import type { AccountBook } from './acme-accounts.ts';

const grantType = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const mediaType = 'oauth-id-jag+jwt';
const assertionTtlS = 300;

/** The one key that an Acme signs ID tokens with. */
export const acmeSigningKeyId = 'acme-1';
/** @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4.3 */
export const idJag = 'urn:ietf:params:oauth:token-type:id-jag';
const idTokenType = 'urn:ietf:params:oauth:token-type:id_token';

/** Our client at other authorization servers, by their issuers: an identity provider has to know both. */
export type ClientsElsewhere = Readonly<Record<string, string>>;

interface Ingredients {
  readonly issuer: string;
  readonly signingKey: KeyObject;
  readonly accounts: AccountBook;
  readonly errors: ProviderErrors;
  /** Whose users it takes for its own, by their address; absent: nobody's. */
  readonly trusts: string | undefined;
}

type Params = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * Both parts of asserting an identity, from the draft's own examples: as identity provider Acme asserts who its user is to
 * another authorization server, and as that other server it issues tokens for what the one that it trusts asserts. It does
 * not do both for the same assertion (§9.3).
 *
 * @source draft-ietf-oauth-identity-assertion-authz-grant-04
 */
export class AcmeIdentities {
  readonly #acme: Ingredients;
  readonly #elsewhere = new Map<string, ClientsElsewhere>();
  readonly #seen = new Set<string>();

  constructor(ingredients: Ingredients) {
    this.#acme = ingredients;
  }

  /** What its metadata says of it. */
  static metadata(trusts: string | undefined): Readonly<Record<string, unknown>> {
    return {
      identity_chaining_requested_token_types_supported: [idJag],
      authorization_grant_profiles_supported:
        trusts === undefined ? [] : ['urn:ietf:params:oauth:grant-profile:id-jag'],
    };
  }

  know(clientId: string, elsewhere: ClientsElsewhere): void {
    this.#elsewhere.set(clientId, elsewhere);
  }

  /** An exchange that asks for an assertion, §4.3. */
  async assert(ctx: KoaContext, clientId: string, params: Params): Promise<void> {
    const { issuer, errors, signingKey } = this.#acme;
    const { audience, resource, scope, subject_token: shown, subject_token_type: type, actor_token: actor } = params;
    if (type !== idTokenType || actor !== undefined) throw new errors.InvalidRequest('an ID token, and no actor');
    const { sub, email } = await this.#user(String(shown), clientId);
    const known = this.#elsewhere.get(clientId)?.[String(audience)];
    if (known === undefined) throw new errors.InvalidTarget();
    const assertion = await new SignJWT({
      ...{ client_id: known, email },
      ...(resource !== undefined && { resource }),
      ...(scope !== undefined && { scope }),
    })
      .setProtectedHeader({ alg: 'RS256', typ: mediaType, kid: acmeSigningKeyId })
      .setIssuer(issuer)
      .setSubject(sub)
      .setAudience(String(audience))
      .setJti(randomUUID())
      .setIssuedAt()
      .setExpirationTime(`${assertionTtlS}s`)
      .sign(signingKey);
    ctx.body = {
      ...{ access_token: assertion, issued_token_type: idJag, token_type: 'N_A', expires_in: assertionTtlS },
      ...(scope !== undefined && { scope }),
    };
  }

  /** The user of an ID token that it issued to this client. */
  async #user(idToken: string, audience: string): Promise<{ sub: string; email: string }> {
    const { issuer, accounts, errors, signingKey } = this.#acme;
    const keys = createLocalJWKSet({ keys: [publicJwk(signingKey)] });
    const { payload } = await jwtVerify(idToken, keys, { issuer, audience }).catch((): never => {
      throw new errors.InvalidGrant('the ID token is not one of this client that lives');
    });
    const account = accounts.byId(payload.sub ?? '');
    if (account === undefined) throw new errors.InvalidGrant('there is no such user');
    return { sub: payload.sub ?? '', email: account.email };
  }

  /** Issues tokens for what the identity provider asserts that it trusts, §4.4. */
  addGrant(provider: Provider): void {
    const { trusts } = this.#acme;
    if (trusts === undefined) return;
    const keys = createRemoteJWKSet(new URL(`${trusts}/jwks`));
    const handler = async (ctx: KoaContext) => {
      const { client, params = {} } = ctx.oidc ?? {};
      if (client === undefined) throw new this.#acme.errors.InvalidRequest('there is no client');
      const claims = await this.#taken(params['assertion'] ?? '', { keys, issuer: trusts, clientId: client.clientId });
      const account = this.#acme.accounts.byEmail(String(claims['email']));
      if (account === undefined) throw new this.#acme.errors.InvalidGrant('nobody here has this address');
      const granted = scopesOf(claims, params['scope']);
      const token = new provider.AccessToken({
        ...{ client, accountId: account.accountId, scope: granted.join(' '), gty: 'jwt_bearer' },
        grantId: await new provider.Grant({ accountId: account.accountId, clientId: client.clientId }).save(),
      });
      if (typeof claims['resource'] === 'string') token.aud = claims['resource'];
      const value = await token.save();
      ctx.body = {
        ...{ access_token: value, token_type: 'Bearer', expires_in: token.expiration, scope: granted.join(' ') },
      };
    };
    provider.registerGrantType(grantType, handler, ['assertion', 'scope', 'resource']);
  }

  async #taken(
    assertion: string,
    from: { keys: ReturnType<typeof createRemoteJWKSet>; issuer: string; clientId: string },
  ): Promise<JWTPayload> {
    const { errors, issuer: audience } = this.#acme;
    const options = { typ: mediaType, issuer: from.issuer, audience };
    const { payload } = await jwtVerify(assertion, from.keys, options).catch((error: unknown): never => {
      throw new errors.InvalidGrant(error instanceof Error ? error.message : 'not verified');
    });
    if (payload['client_id'] !== from.clientId) throw new errors.InvalidGrant('the client_id is another one');
    const { jti = '' } = payload;
    if (jti === '' || this.#seen.has(jti)) throw new errors.InvalidGrant('the assertion was used before');
    this.#seen.add(jti);
    return payload;
  }
}

function publicJwk(key: KeyObject): JWK {
  const { kty, n, e } = key.export({ format: 'jwk' }) as { kty: string; n: string; e: string };
  return { kty, n, e, kid: acmeSigningKeyId, alg: 'RS256' };
}

/** Of those that were asserted the ones that are asked for. */
function scopesOf({ scope }: JWTPayload, asked: string | undefined): string[] {
  const asserted = typeof scope === 'string' ? scope.split(' ') : [];
  const wanted = asked?.split(' ');
  return wanted === undefined ? asserted : asserted.filter((one) => wanted.includes(one));
}
