import type { z } from 'zod';
import type { TokenEndpointAuthMethod } from '@postern/contracts';

import type { AnswerRow } from './answer-table.ts';
import { apiFrom, type ProviderApi } from './api.ts';
import type { Fact } from './fact.ts';
import type { ProviderFile } from './provider-file.ts';
import { revocationFrom, type ProviderRevocation } from './revocation.ts';
import { scopeMatrixFrom, type ScopeMatrix } from './scope-matrix.ts';
import type { StrategyName } from './strategies.ts';
import type { TokenFingerprint } from './subject-identifiers.ts';
import type { Parameter } from './url-template.ts';
import { accountNameFrom, webhookFrom, type AccountName, type ProviderWebhook } from './webhook.ts';

/** A provider as code sees it: the file with its defaults, frozen. Member names are the file's, in camelCase. */
export interface Provider {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly parameters: Readonly<Record<string, ProviderParameter>>;
  /** Null where the endpoints are known. */
  readonly discoveryIssuer: string | null;
  /** Where the issuer's metadata stands. @source OpenID Connect Discovery 1.0 §4, RFC 8414 §3 */
  readonly discoveryMetadata: 'openid-configuration' | 'oauth-authorization-server' | 'either';
  /** Is every token asked for with the resource that it is for, and is that resource what names the issuer? */
  readonly namesResource: boolean;
  /** What every token is for, where that is the same for everybody; null: it is not said. @source RFC 8707 §2 */
  readonly resource: string | null;
  /** Does it take authorization requests that are signed? @source RFC 9101 */
  readonly signedRequestObjects: Support;
  /** As which a provider with known endpoints names itself; null: the origin of its authorization endpoint. */
  readonly issuer: string | null;
  readonly endpoints: ProviderEndpoints | null;
  readonly tokenEndpointAuthMethods: readonly z.infer<typeof TokenEndpointAuthMethod>[];
  /** None where credentials are made by hand. */
  readonly grantTypes: readonly string[];
  /** What somebody makes at the provider by hand; null where tokens are had by OAuth. */
  readonly credential: StaticCredential | null;
  /** After how long such a credential should be replaced; null: not known. */
  readonly rotateAfterS: number | null;
  /** How tokens are had with a JWT. @source RFC 7523 §2.1 */
  readonly assertion: AssertionPolicy;
  /** What only this provider does, by the name of the code that does it with it. */
  readonly strategies: readonly StrategyName[];
  /** Is PKCE left out, since the provider is known to break on it? @source RFC 7636 */
  readonly withoutPkce: boolean;
  /** Does each authorization response carry `iss`? @source RFC 9207 §3 */
  readonly authorizationResponseIss: boolean;
  /** Are authorization requests sent to the provider itself before the browser goes there? @source RFC 9126 */
  readonly pushedAuthorizationRequests: Support;
  /** Are its tokens bound to a key of ours? @source RFC 9449 */
  readonly dpop: Support;
  /** Are its tokens bound to our client certificate? @source RFC 8705 §3 */
  readonly certificateBoundTokens: Support;
  /** Which types of authorization details it takes, beside those that its metadata name. @source RFC 9396 §10 */
  readonly authorizationDetailsTypes: readonly string[];
  readonly scopeSeparator: ' ' | ',';
  readonly scopeParameter: 'scope' | 'user_scope';
  /** Null where nobody has written down what the scopes allow. */
  readonly scopeMatrix: ScopeMatrix | null;
  readonly authorizationParameters: Readonly<Record<string, string>>;
  readonly accessTokenDefaultTtlS: number | null;
  /** How lifetimes are written here; null where nothing is known: seconds, as the standard has it. */
  readonly expiresIn: { readonly unit: 's' | 'ms'; readonly maxS: number } | null;
  /** In lower case, beside `bearer`. */
  readonly bearerTokenTypes: readonly string[];
  readonly refresh: RefreshPolicy;
  /** The provider's own rows, above the general rule. */
  readonly answers: readonly AnswerRow[];
  readonly account: 'id_token_sub' | 'none';
  /** How the answer of the token endpoint names who authorized. */
  readonly accountKeys: readonly AccountName[];
  /** What is asked with a new access token to learn whose it is; null where the token endpoint says enough. */
  readonly accountProbe: { readonly url: string; readonly names: readonly AccountName[] } | null;
  /** How a signal may name the refresh token itself. */
  readonly tokenFingerprints: readonly TokenFingerprint[];
  readonly api: ProviderApi;
  /** How often it is asked about grants of which nothing was heard; null: never. */
  readonly polling: { readonly everyS: number; readonly perMinuteMax: number } | null;
  /** How it is told that an authorization is over. */
  readonly revocation: ProviderRevocation;
  /** Null where the provider has none that we know of. */
  readonly webhook: ProviderWebhook | null;
  /** What its file leaves open, in words. */
  readonly doubts: readonly string[];
  /** Every judged statement of the file by its dotted name, for people who ask how we know. */
  readonly facts: Readonly<Record<string, Fact<unknown>>>;
}

/** What is in an assertion with which a token is asked for. */
export interface AssertionPolicy {
  readonly audience: 'issuer' | 'token_endpoint';
  /** `approval`: they are chosen where the client is approved, and nothing in the request names them. */
  readonly scopes: 'parameter' | 'claim' | 'approval';
  /** `refused`: somebody must be named. */
  readonly subjectOtherwise: 'client' | 'nobody' | 'refused';
}

/** A credential that is none of OAuth's: its form, and where a request carries it. */
export type StaticCredential =
  | { readonly kind: 'api_key'; readonly in: 'header' | 'query'; readonly name: string; readonly prefix: string }
  | { readonly kind: 'basic'; readonly usernameSuffix: string; readonly password: 'given' | 'empty' }
  | { readonly kind: 'headers'; readonly names: readonly string[] };

/** What is known of something that a provider may have; `unknown` leaves it to the provider's metadata. */
export type Support = 'unsupported' | 'supported' | 'required' | 'unknown';

export type ProviderParameter = Readonly<Parameter>;

/** Endpoints as URL templates, or as URLs once resolved. */
export interface ProviderEndpoints {
  /** Null where nobody can be sent. */
  readonly authorizationEndpoint: string | null;
  readonly tokenEndpoint: string;
  readonly revocationEndpoint: string | null;
  readonly introspectionEndpoint: string | null;
  /** Absent where no authorization request is pushed. @source RFC 9126 §5 */
  readonly pushedAuthorizationRequestEndpoint?: string | undefined;
  /** Absent where no user codes are given. @source RFC 8628 §3.1 */
  readonly deviceAuthorizationEndpoint?: string | undefined;
}

/** What is known of refreshing here, with cautious values for what is not. */
export interface RefreshPolicy {
  readonly issued: 'always' | 'never' | 'depends';
  readonly rotation: 'none' | 'each_use' | 'unknown';
  /** Within this time a spent refresh token may be sent again; 0: never. */
  readonly reuseGraceS: number;
  readonly endsAccessToken: boolean;
  /** How long the access token of before lives on after a refresh that ends it. */
  readonly endedAccessTokenGraceS: number;
  /** How long before the access token's end to refresh. */
  readonly leadS: number;
  /** A refresh token that rests for so long ends; null: not known to. */
  readonly idleTtlS: number | null;
  /** The authorization ends so long after it was given; null: not known to. */
  readonly absoluteTtlS: number | null;
}

/** How many seconds before its end an access token is refreshed, where nothing is known to speak against it. */
export const leadDefaultS = 300;
/** The same, where refreshing early is known to cost something: the provider's goodwill, or the access token of before. */
const leadCostlyS = 60;

/** Lifts a checked file to what code uses. */
export function providerFrom(file: ProviderFile): Provider {
  return deepFreeze({
    id: file.id,
    name: file.name,
    version: file.version,
    parameters: file.parameters,
    discoveryIssuer: file.discovery?.value.issuer ?? null,
    discoveryMetadata: file.discovery?.value.metadata ?? 'openid-configuration',
    namesResource: file.resource?.value === '{resource}',
    resource: file.resource === undefined || file.resource.value === '{resource}' ? null : file.resource.value,
    signedRequestObjects: file.signed_request_objects.value,
    issuer: file.endpoints?.value.issuer ?? null,
    endpoints: endpointsFrom(file),
    tokenEndpointAuthMethods: file.credential === undefined ? file.token_endpoint_auth_methods.value : ['none'],
    grantTypes: file.credential === undefined ? file.grant_types.value : [],
    credential: credentialFrom(file),
    assertion: assertionFrom(file),
    rotateAfterS: file.rotate_after_s?.value ?? null,
    strategies: file.strategies.map(({ value }) => value),
    withoutPkce: file.code_challenge_method.value === 'none',
    authorizationResponseIss: file.authorization_response_iss_parameter_supported.value,
    pushedAuthorizationRequests: file.pushed_authorization_requests.value,
    dpop: file.dpop.value,
    certificateBoundTokens: file.tls_client_certificate_bound_access_tokens.value,
    authorizationDetailsTypes: file.authorization_details_types_supported.value,
    scopeSeparator: file.scope_separator.value,
    scopeParameter: file.scope_parameter.value,
    scopeMatrix: scopeMatrixFrom(file.scope_matrix),
    authorizationParameters: file.authorization_parameters?.value ?? {},
    accessTokenDefaultTtlS: file.access_token.default_ttl_s.value,
    expiresIn: expiresInFrom(file),
    bearerTokenTypes: (file.access_token.bearer_token_types?.value ?? []).map((type) => type.toLowerCase()),
    refresh: refreshPolicyFrom(file.refresh_token),
    answers: file.answers.map(answerFrom),
    account: file.account.value,
    accountKeys: (file.account_keys?.value ?? []).map(accountNameFrom),
    accountProbe: file.account_probe === undefined ? null : probeFrom(file.account_probe.value),
    tokenFingerprints: file.token_fingerprints?.value ?? [],
    api: apiFrom(file.api),
    polling: pollingFrom(file),
    revocation: revocationFrom(file.revocation),
    webhook: file.webhook === undefined ? null : webhookFrom(file.webhook),
    doubts: file.doubts,
    facts: Object.fromEntries(factsOf(file)),
  });
}

function refreshPolicyFrom(token: ProviderFile['refresh_token']): RefreshPolicy {
  return {
    issued: token.issued.value,
    rotation: token.rotation.value,
    reuseGraceS: token.reuse_grace_s.value,
    endsAccessToken: token.refresh_ends_access_token.value ?? true,
    endedAccessTokenGraceS: token.ended_access_token_grace_s?.value ?? 0,
    leadS: leadOf(token),
    idleTtlS: token.idle_ttl_s?.value ?? null,
    absoluteTtlS: token.absolute_ttl_s?.value ?? null,
  };
}

/**
 * A refresh that leaves the old access token alive for longer than the lead takes nothing from anybody. Where nobody knows,
 * leases end at the planned refresh all the same, and to be late would be worse.
 */
function leadOf(token: ProviderFile['refresh_token']): number {
  if (token.refresh_lead_s !== undefined) return token.refresh_lead_s.value;
  const ends = token.refresh_ends_access_token.value === true;
  const costly = ends && (token.ended_access_token_grace_s?.value ?? 0) < leadDefaultS;
  return costly || token.early_refresh_penalized?.value === true ? leadCostlyS : leadDefaultS;
}

function endpointsFrom({ endpoints }: ProviderFile): ProviderEndpoints | null {
  if (endpoints === undefined) return null;
  return {
    authorizationEndpoint: endpoints.value.authorization_endpoint ?? null,
    tokenEndpoint: endpoints.value.token_endpoint,
    revocationEndpoint: endpoints.value.revocation_endpoint ?? null,
    introspectionEndpoint: endpoints.value.introspection_endpoint ?? null,
    pushedAuthorizationRequestEndpoint: endpoints.value.pushed_authorization_request_endpoint,
    deviceAuthorizationEndpoint: endpoints.value.device_authorization_endpoint,
  };
}

function assertionFrom({ assertion }: ProviderFile): AssertionPolicy {
  const { audience = 'issuer', scopes = 'parameter', subject_otherwise = 'client' } = assertion?.value ?? {};
  return { audience, scopes, subjectOtherwise: subject_otherwise };
}

function credentialFrom({ credential }: ProviderFile): StaticCredential | null {
  const value = credential?.value;
  if (value?.kind !== 'basic') return value ?? null;
  return { kind: 'basic', usernameSuffix: value.username_suffix, password: value.password };
}

function probeFrom({ url, names }: NonNullable<ProviderFile['account_probe']>['value']): Provider['accountProbe'] {
  return { url, names: names.map(accountNameFrom) };
}

/** About what was made by hand, whose end nothing else tells, and about which no limit is known: seldom and slowly. */
const keyPolling = { everyS: 86_400, perMinuteMax: 10 } as const;

function pollingFrom({ polling, credential, api }: ProviderFile): Provider['polling'] {
  const isProbed = credential !== undefined && api?.token_probe !== undefined;
  if (polling === undefined) return isProbed ? keyPolling : null;
  const { value } = polling;
  return value === null ? null : { everyS: value.every_s, perMinuteMax: value.per_minute_max };
}

function expiresInFrom({ access_token: { expires_in: fact } }: ProviderFile): Provider['expiresIn'] {
  return fact === undefined ? null : { unit: fact.value.unit, maxS: fact.value.max_s };
}

function answerFrom({ value, note, evidence }: ProviderFile['answers'][number]): AnswerRow {
  const { http_status: httpStatus, member, words, match, means, may_be_spent: mayBeSpent } = value;
  return { httpStatus: [httpStatus, httpStatus], member, words, match, means, mayBeSpent, why: note ?? evidence };
}

function factsOf(node: object, path = ''): [string, Fact<unknown>][] {
  return Object.entries(node).flatMap(([name, value]: [string, unknown]): [string, Fact<unknown>][] => {
    if (value === null || typeof value !== 'object') return [];
    return isFact(value) ? [[`${path}${name}`, value]] : factsOf(value, `${path}${name}.`);
  });
}

function isFact(value: object): value is Fact<unknown> {
  return 'evidence' in value && 'value' in value;
}

function deepFreeze<T extends object>(value: T): T {
  for (const child of Object.values(value) as unknown[]) {
    if (child !== null && typeof child === 'object' && !Object.isFrozen(child)) deepFreeze(child);
  }
  return Object.freeze(value);
}
