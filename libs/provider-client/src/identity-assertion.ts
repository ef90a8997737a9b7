import { PosternError, type Renewal } from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import type { Provider } from '@postern/provider-catalog';
import type { AuthorizationServer, TokenEndpointResponse } from 'oauth4webapi';

import type { Refreshed, Refusal } from './outcomes.ts';

/** @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4.3.1 */
const idJag = 'urn:ietf:params:oauth:token-type:id-jag';
/** @source RFC 8693 §3 */
const idToken = 'urn:ietf:params:oauth:token-type:id_token';
/** @source draft-ietf-oauth-identity-assertion-authz-grant-04 §7.2 */
const grantProfile = 'urn:ietf:params:oauth:grant-profile:id-jag';
/** @source draft-ietf-oauth-identity-assertion-authz-grant-04 §3.1 */
const mediaType = 'oauth-id-jag+jwt';

/** What an identity provider is asked to assert of a user of its own, and to whom. */
export interface WantedAssertion {
  /** As the provider issued it to our client there. */
  readonly idToken: Secret;
  /** The issuer of the authorization server that will read it. */
  readonly audience: string;
  /** Our client there. */
  readonly clientId: string;
  readonly resource: readonly string[];
  readonly scopes: readonly string[];
}

/** An assertion of somebody's identity, good for one server and one client there. */
export interface Asserted {
  readonly kind: 'asserted';
  readonly assertion: Secret;
  /** Those of which the provider says that it asserts them: fewer than were asked for, perhaps. */
  readonly scopes: readonly string[];
}

/** An ID token that the vault gave for one call, and whose it is. */
export interface ShownIdentity {
  readonly idToken: Secret;
}

/** @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4.3 */
export function identityAssertionForm(
  { idToken: subject, audience, resource, scopes }: WantedAssertion,
  { scopeSeparator }: Provider,
): URLSearchParams {
  const form = new URLSearchParams({
    requested_token_type: idJag,
    subject_token: subject.reveal(),
    subject_token_type: idToken,
    audience,
  });
  for (const one of resource) form.append('resource', one);
  if (scopes.length > 0) form.set('scope', scopes.join(scopeSeparator));
  return form;
}

/**
 * What of an assertion is not as it was asked for, as far as it can be read; undefined where nothing is.
 *
 * Its signature is for the server that reads it: it came from its issuer itself, over TLS. A wrong one is refused here
 * all the same, since showing it elsewhere would tell another server of the user.
 *
 * @source draft-ietf-oauth-identity-assertion-authz-grant-04 §3.1, §4.3.4
 */
export function unfitAssertion(
  { issued_token_type: issued, token_type: type, access_token: assertion }: TokenEndpointResponse,
  wanted: WantedAssertion,
  { issuer, nowMs }: { readonly issuer: string; readonly nowMs: number },
): string | undefined {
  if (issued !== idJag) return 'its issued_token_type is another one';
  if (type !== 'n_a') return 'its token_type is not N_A';
  const parts = assertion.split('.');
  // Encrypted, it is for the other server alone.
  if (parts.length === 5) return undefined;
  const [header, claims] = [objectIn(parts[0]), objectIn(parts[1])];
  if (parts.length !== 3 || header === undefined || claims === undefined) return 'it is no JWT';
  if (
    String(header['typ'])
      .replace(/^application\//i, '')
      .toLowerCase() !== mediaType
  )
    return `its typ is not ${mediaType}`;
  if (claims['iss'] !== issuer) return 'its iss is not the identity provider';
  if (!isOnly(claims['aud'], wanted.audience)) return 'its aud is not the server that was named';
  if (claims['client_id'] !== wanted.clientId) {
    return 'its client_id is not our client at that server: the identity provider has to know both';
  }
  for (const name of ['sub', 'jti']) if (typeof claims[name] !== 'string') return `it has no ${name}`;
  if (typeof claims['iat'] !== 'number') return 'it has no iat';
  if (typeof claims['exp'] !== 'number' || claims['exp'] * 1_000 <= nowMs) return 'it has ended';
  return unfitTarget(claims, wanted);
}

/** For nothing else than was asked for. */
function unfitTarget(claims: Claims, { resource, scopes }: WantedAssertion): string | undefined {
  const named = [claims['resource'] ?? []].flat();
  if (resource.length > 0 && named.some((one) => !resource.some((wanted) => wanted === one)))
    return 'its resource is another one';
  const scope = typeof claims['scope'] === 'string' ? claims['scope'].split(' ').filter((one) => one !== '') : [];
  if (scopes.length > 0 && scope.some((one) => !scopes.includes(one))) return 'its scope is wider than was asked for';
  return undefined;
}

/** An assertion that is not as it was asked for: no fault of the credentials that were shown for it. */
export interface Unfit {
  readonly kind: 'unfit';
  readonly why: string;
}

/** With which a provider says that it does not assert this user's identity, to this server or at this time. */
const aboutTheUser: readonly string[] = [
  'invalid_request',
  'invalid_target',
  'invalid_scope',
  'access_denied',
  'insufficient_user_authentication',
];

/**
 * What an identity provider says, told apart from what the other server says.
 *
 * @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4.3.4, RFC 8693 §2.2.2
 */
export function identityOutcome(outcome: Asserted | Unfit | Refusal): Asserted | Refusal {
  if (outcome.kind === 'asserted') return outcome;
  if (outcome.kind === 'unfit') {
    const errorDescription = `The assertion is not used: ${outcome.why}.`;
    return { kind: 'client_rejected', error: 'assertion_unfit', errorDescription, httpStatus: 200 };
  }
  const { error, errorDescription: words, httpStatus } = outcome;
  const errorDescription = words === null ? 'said the identity provider' : `said the identity provider: ${words}`;
  const isVerdict = httpStatus !== null && httpStatus < 500 && aboutTheUser.includes(error);
  if (isVerdict) return { kind: 'rejected', error, errorDescription, httpStatus };
  return { ...outcome, errorDescription };
}

/**
 * Refuses servers whose metadata says that they do not do this; most say nothing.
 *
 * @throws {PosternError} `provider.feature_unsupported`
 * @source draft-ietf-oauth-identity-assertion-authz-grant-04 §7
 */
export function requireProfile(server: AuthorizationServer, { name }: Provider, part: 'asserts' | 'takes'): void {
  const [member, value] =
    part === 'asserts'
      ? ['identity_chaining_requested_token_types_supported', idJag]
      : ['authorization_grant_profiles_supported', grantProfile];
  const supported: unknown = server[member];
  if (!Array.isArray(supported) || supported.includes(value)) return;
  const why = part === 'asserts' ? 'asserts no identity to others' : 'takes no assertions of identities';
  throw new PosternError('provider.feature_unsupported', `${name} ${why}, as its metadata says.`);
}

/** The two servers of it, and what is asked. */
interface Asking {
  /** At which the user signed in. */
  readonly identityProvider: {
    assertIdentity(wanted: WantedAssertion): Promise<Asserted | Refusal>;
  };
  /** For whose resource the token is. */
  readonly resourceServer: {
    readonly clientId: string;
    resourceOf(renewal: IdentityRenewal): readonly string[];
    discover(): Promise<{ readonly issuer: string }>;
    renew(
      renewal: Renewal,
      shown: { readonly assertion: Secret; readonly scopes: readonly string[] },
    ): Promise<Refreshed | Refusal>;
  };
  readonly renewal: IdentityRenewal;
  readonly idToken: Secret;
  /** Called between the two: may throw where there is no time left for the second. */
  readonly between?: () => void;
}

export type IdentityRenewal = Extract<Renewal, { readonly grant: 'identity_assertion' }>;

/**
 * Has an identity provider assert a user's identity to another server, and asks that one for a token with it.
 *
 * Nothing is spent: an assertion that is lost is asked for again.
 *
 * @throws {PosternError} as `discover`; what `between` throws
 * @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4
 */
export async function renewByIdentity(asking: Asking): Promise<Refreshed | Refusal> {
  const { identityProvider, resourceServer, renewal, idToken: shown, between } = asking;
  const { issuer: audience } = await resourceServer.discover();
  const asserted = await identityProvider.assertIdentity({
    ...{ idToken: shown, audience, clientId: resourceServer.clientId, scopes: renewal.scopes },
    resource: resourceServer.resourceOf(renewal),
  });
  if (asserted.kind !== 'asserted') return asserted;
  between?.();
  return await resourceServer.renew(renewal, asserted);
}

type Claims = Readonly<Record<string, unknown>>;

function objectIn(part: string | undefined): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined;
  } catch {
    return undefined;
  }
}

const isOnly = (value: unknown, wanted: string) =>
  value === wanted || (Array.isArray(value) && value.length === 1 && value[0] === wanted);

/** Those that an assertion is for: what its provider says, and never more than was asked for. */
export function scopesWithin(
  told: readonly string[] | undefined,
  { scopes: asked }: WantedAssertion,
): readonly string[] {
  if (told === undefined) return asked;
  return asked.length === 0 ? told : told.filter((scope) => asked.includes(scope));
}
