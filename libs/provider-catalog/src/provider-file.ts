import { credentialHeadersMax, HeaderName, limits, ResourceUri, TokenEndpointAuthMethod } from '@postern/contracts';
import { z } from 'zod';

import { ApiFile } from './api-file.ts';
import { cautious, factOf } from './fact.ts';
import { RevocationFile, revocationTemplates } from './revocation-file.ts';
import { ScopeMatrixFile } from './scope-matrix-file.ts';
import { strategyNames } from './strategies.ts';
import { tokenFingerprints } from './subject-identifiers.ts';
import { keepsItsHost, namesIn, Parameter, UrlTemplate } from './url-template.ts';
import { AccountKeys, AccountProbe, WebhookFile } from './webhook-file.ts';

const Seconds = z.number().int().positive();
const Words = z.array(z.string().min(1).max(128)).min(1).max(32);

/**
 * An answer of the token endpoint that means something else here than by the general rule (`answer-table.ts`).
 *
 * A 5xx proves nothing anywhere, so no row can speak about one.
 */
const Answer = z.strictObject({
  http_status: z.number().int().min(200).max(499),
  /** The member of the body in which the words stand; it holds a text, or a list of texts. */
  member: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_]{0,63}$/)
    .default('error'),
  words: Words,
  match: z.enum(['exact', 'contains']).default('exact'),
  means: z.enum(['rejected', 'ours_to_mend', 'passes']),
  /** Whether a one-time token may count as spent, where it passes. */
  may_be_spent: z.boolean().default(false),
});

/** No oftener than the vault gives a token away for it. */
const inspectedEverySMin = limits.inspectionIntervalMsMin / 1000;

/**
 * How often the provider may be asked, without any sign, whether its grants live: by introspection, or about what was made
 * by hand by its `api.token_probe`.
 *
 * @source RFC 7662
 */
const Polling = z.strictObject({
  /** About one connection of which nothing was heard since. */
  every_s: z.number().int().min(inspectedEverySMin),
  /** About all connections of one registration together. */
  per_minute_max: z.number().int().min(1).max(600),
});

/** How a lifetime is written in the answer, where that is known. */
const ExpiresIn = z.strictObject({
  unit: z.enum(['s', 'ms']),
  /** No access token lives longer here: a larger number is not believed, and the default counts. */
  max_s: Seconds,
});

const Discovery = z.strictObject({
  /** The issuer identifier, or `{issuer}`. */
  issuer: z.union([UrlTemplate, z.literal('{issuer}')]),
  /** Where its metadata stands. @source OpenID Connect Discovery 1.0 §4, RFC 8414 §3 */
  metadata: z.enum(['openid-configuration', 'oauth-authorization-server', 'either']).default('openid-configuration'),
});

const Endpoints = z.strictObject({
  /** What its ID tokens and its answers name as `iss`; not said: the origin of the authorization endpoint. */
  issuer: UrlTemplate.optional(),
  /** Only where somebody can be sent there. */
  authorization_endpoint: UrlTemplate.optional(),
  token_endpoint: UrlTemplate,
  revocation_endpoint: UrlTemplate.optional(),
  introspection_endpoint: UrlTemplate.optional(),
  device_authorization_endpoint: UrlTemplate.optional(),
  pushed_authorization_request_endpoint: UrlTemplate.optional(),
});

/** What an assertion must say with which a token is asked for. @source RFC 7523 §3 */
const AssertionFacts = z.strictObject({
  /** For whom it is, unless the registration says otherwise. */
  audience: z.enum(['issuer', 'token_endpoint']).default('issuer'),
  /** Where the scopes stand: beside it, in it as a claim, or nowhere, since what was approved for the client decides. */
  scopes: z.enum(['parameter', 'claim', 'approval']).default('parameter'),
  /** Whom it names where nobody is impersonated: the client, as the standard has it, nobody, or that is refused. */
  subject_otherwise: z.enum(['client', 'nobody', 'refused']).default('client'),
});

/** The grant types there are for us: implicit and password grants cannot be written down. @source RFC 7591 §2 */
const GrantType = z.enum([
  'authorization_code',
  'client_credentials',
  'urn:ietf:params:oauth:grant-type:device_code',
  'urn:ietf:params:oauth:grant-type:jwt-bearer',
  'urn:ietf:params:oauth:grant-type:token-exchange',
]);

/** A credential that somebody makes at the provider by hand, and where a request carries it. */
const StaticCredential = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('api_key'),
    in: z.enum(['header', 'query']).default('header'),
    /** Of the header, or of the parameter of the query. */
    name: HeaderName,
    prefix: z.string().max(32).default(''),
  }),
  z.strictObject({
    kind: z.literal('basic'),
    /** Stands behind the name that a person knows. @source RFC 7617 §2 */
    username_suffix: z.string().max(32).default(''),
    /** Is there none, so that the name is the secret? */
    password: z.enum(['given', 'empty']).default('given'),
  }),
  z.strictObject({ kind: z.literal('headers'), names: z.array(HeaderName).min(1).max(credentialHeadersMax) }),
]);

const Support = z.enum(['unsupported', 'supported', 'required', 'unknown']);

/** Something of the provider's that ends or changes on a day. */
const Deadline = z.strictObject({ on: z.iso.date(), what: z.string().min(1).max(300) });

const emptyObject = (): Record<string, never> => ({});

/**
 * A provider as its YAML file says it. Member names are OAuth's own where OAuth has a name for the thing.
 *
 * Implicit and password grants cannot be expressed, and PKCE is S256, or none by evidence.
 */
export const ProviderFile = z
  .strictObject({
    id: z
      .string()
      .max(64)
      .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'must be kebab-case'),
    name: z.string().min(1).max(120),
    /** Rises with every change of the file. */
    version: z.number().int().positive(),
    parameters: z.record(z.string().regex(/^[a-z][a-z0-9_]{0,63}$/), Parameter).default({}),
    /** What is not known for certain, or where sources contradict each other, for whoever reads the facts. */
    doubts: z.array(z.string().min(1).max(400)).max(16).default([]),
    deadlines: z.array(factOf(Deadline)).max(8).default([]),
    /** Only where it is none of OAuth's: then there are no endpoints, and no grant types. */
    credential: factOf(StaticCredential).optional(),
    /** After how long a credential that nobody renews should be replaced; not said: nobody is reminded. */
    rotate_after_s: factOf(Seconds).optional(),
    discovery: factOf(Discovery).optional(),
    endpoints: factOf(Endpoints).optional(),
    /**
     * What every token is for: always the same, or as a parameter that names it. Then its metadata names the issuer, and
     * whoever registers chooses both. @source RFC 8707 §2, RFC 9728
     */
    resource: factOf(z.union([z.literal('{resource}'), ResourceUri])).optional(),
    /** By which tokens are had here. */
    grant_types: factOf(z.array(GrantType).min(1)).default(cautious(['authorization_code'])),
    /** How tokens are had with a JWT; not said: as the standard has it. @source RFC 7523 §2.1 */
    assertion: factOf(AssertionFacts).optional(),
    /** What no value can describe: code of ours, by its name. */
    strategies: z
      .array(factOf(z.enum(strategyNames)))
      .max(8)
      .default([]),
    token_endpoint_auth_methods: factOf(z.array(TokenEndpointAuthMethod).min(1)).default(
      cautious(['client_secret_basic', 'client_secret_post']),
    ),
    /** `none` only where somebody has read or seen that the provider breaks on a challenge. @source RFC 7636 §4.3 */
    code_challenge_method: factOf(z.enum(['S256', 'none'])).default(cautious('S256')),
    /** What the provider does with the challenge; it is sent whatever stands here. @source RFC 7636 */
    pkce: factOf(Support).default(cautious('unknown')),
    /** @source RFC 9126 */
    pushed_authorization_requests: factOf(Support).default(cautious('unknown')),
    /** @source RFC 9449 */
    dpop: factOf(Support).default(cautious('unknown')),
    /** Does it bind tokens to the client's certificate? @source RFC 8705 §3 */
    tls_client_certificate_bound_access_tokens: factOf(Support).default(cautious('unknown')),
    /** Which authorization details it takes, where its metadata do not say. @source RFC 9396 §10 */
    authorization_details_types_supported: factOf(z.array(z.string().min(1).max(128)).max(64)).default(cautious([])),
    /** Does it take authorization requests that are signed? @source RFC 9101 */
    signed_request_objects: factOf(Support).default(cautious('unknown')),
    /** Is every authorization response told apart by `iss`? Where it is, one without is refused. @source RFC 9207 §3 */
    authorization_response_iss_parameter_supported: factOf(z.boolean()).default(cautious(false)),
    scope_separator: factOf(z.enum([' ', ','])).default(cautious(' ')),
    /** The parameter of the authorization request in which the scopes stand. */
    scope_parameter: factOf(z.enum(['scope', 'user_scope'])).default(cautious('scope')),
    /** What each scope lets one do. */
    scope_matrix: ScopeMatrixFile.optional(),
    /** Sent with every authorization request, beside what OAuth asks for. */
    authorization_parameters: factOf(z.record(z.string().max(64), z.string().max(256))).optional(),
    access_token: z
      .strictObject({
        /** Used only where the answer has no `expires_in` that could be used; null when nothing is known. */
        default_ttl_s: factOf(Seconds.nullable()).default(cautious(null)),
        expires_in: factOf(ExpiresIn).optional(),
        /** Names under which the answer's `token_type` hides a plain bearer token. @source RFC 6750 */
        bearer_token_types: factOf(z.array(z.string().min(1).max(32)).min(1).max(8)).optional(),
      })
      .prefault(emptyObject),
    refresh_token: z
      .strictObject({
        issued: factOf(z.enum(['always', 'never', 'depends'])).default(cautious('depends')),
        /** `unknown` is treated as `each_use` without grace. @source RFC 9700 §4.14.2 */
        rotation: factOf(z.enum(['none', 'each_use', 'unknown'])).default(cautious('unknown')),
        /** How long a spent refresh token may be retried when the answer was lost; 0 when unknown. */
        reuse_grace_s: factOf(z.number().int().nonnegative()).default(cautious(0)),
        /** Unknown counts as true: nobody refreshes early for nothing. */
        refresh_ends_access_token: factOf(z.boolean().nullable()).default(cautious(null)),
        /** How long the access token of before lives on where a refresh ends it; 0 when not said. */
        ended_access_token_grace_s: factOf(z.number().int().nonnegative()).optional(),
        /** How long before the access token's end to refresh; not said: `leadOf` in provider.ts. */
        refresh_lead_s: factOf(Seconds).optional(),
        /** Does the provider count a refresh long before the end against us? Not said: no. */
        early_refresh_penalized: factOf(z.boolean()).optional(),
        /** A refresh token that is not used for so long ends; null or not said: nothing is known of such an end. */
        idle_ttl_s: factOf(Seconds.nullable()).optional(),
        /** However often it is refreshed, an authorization ends so long after it was given; null or not said: unknown. */
        absolute_ttl_s: factOf(Seconds.nullable()).optional(),
      })
      .prefault(emptyObject),
    /** This provider's own answers; what stands in none of these rows is weighed by the general rule. */
    answers: z.array(factOf(Answer)).max(32).default([]),
    /** Where the account's identity is found after an authorization. */
    account: factOf(z.enum(['id_token_sub', 'none'])).default(cautious('none')),
    /** By what the answer of the token endpoint names the account, so that signals about it can be matched. */
    account_keys: factOf(AccountKeys).optional(),
    account_probe: factOf(AccountProbe).optional(),
    /** How a signal may name a refresh token; only where one is not replaced at a refresh does it stay true. */
    token_fingerprints: factOf(z.array(z.enum(tokenFingerprints)).min(1)).optional(),
    /** What the provider's API says of the tokens that are sent to it. */
    api: ApiFile.optional(),
    /**
     * Only where nothing tells that a grant ended, and there is introspection, or a credential with api.token_probe. Not
     * said: it is not asked; about a credential once a day, ten a minute. Null: nor about a credential.
     */
    polling: factOf(Polling.nullable()).optional(),
    /** How the provider is told that an authorization is over; not said: by RFC 7009, where it has such an endpoint. */
    revocation: RevocationFile.optional(),
    /** How the provider tells us that a grant ended; not said: it does not. */
    webhook: WebhookFile.optional(),
    /** The transmitter of security events that speaks for this provider, by its id in security-events.yaml. */
    security_events: factOf(z.strictObject({ transmitter: z.string().regex(/^[a-z0-9-]{1,64}$/) })).optional(),
  })
  .refine((file) => typesAreUnique(file.webhook), { message: 'two rows of webhook.events have one type' })
  .refine((file) => [file.credential, file.discovery, file.endpoints].filter((one) => one !== undefined).length === 1, {
    message: 'says either discovery (an issuer) or endpoints or a credential, and one of them alone',
  })
  .refine((file) => hasItsEndpoints(file), {
    message: 'the grant type authorization_code needs an authorization_endpoint',
  })
  .refine((file) => !isInQuery(file.credential) || file.credential?.evidence === 'documented', {
    message: 'a credential in the query ends up in logs: only where the provider documents no other place',
  })
  .refine((file) => file.rotate_after_s === undefined || file.credential !== undefined, {
    message: 'rotate_after_s goes with a credential: tokens are renewed by themselves',
  })
  .refine(({ code_challenge_method: { value, evidence } }) => value !== 'none' || evidence !== 'unverified', {
    path: ['code_challenge_method'],
    message: 'PKCE is taken away by evidence alone: documented (source, as_of) or observed (note), never unverified',
  })
  .refine((file) => mayBePolled(file), {
    message: 'polling needs an introspection_endpoint, or of a credential api.token_probe',
  })
  .refine(
    (file) =>
      templatesOf(file)
        .flatMap(namesIn)
        .every((name) => Object.hasOwn(file.parameters, name)),
    {
      message:
        'a template names a parameter that is not declared: list it under parameters with its kind and a description',
    },
  )
  .refine((file) => (file.resource?.value === '{resource}') === (file.parameters['resource']?.kind === 'resource'), {
    message: 'a resource goes with a parameter resource of that kind, and such a parameter with it',
  })
  .refine((file) => callsKeepTheirHost(file.revocation), { message: 'what is put into a call stands in its path' })
  .refine((file) => templatesOf(file).every((template) => keepsItsHost(template, file.parameters)), {
    message:
      'a host_label stands as the first label of a host, before at least two fixed ones, and a path_segment as a whole segment of the path',
  });
export type ProviderFile = z.infer<typeof ProviderFile>;

/** Where endpoints are discovered, the metadata says whether there is one. */
function hasItsEndpoints({
  endpoints,
  grant_types: { value: types },
}: {
  readonly endpoints?: { value: { authorization_endpoint?: string | undefined } } | undefined;
  readonly grant_types: { value: readonly string[] };
}): boolean {
  if (endpoints === undefined) return true;
  return endpoints.value.authorization_endpoint !== undefined || !types.includes('authorization_code');
}

function isInQuery(credential: { value: { kind: string; in?: string } } | undefined): boolean {
  return credential?.value.kind === 'api_key' && credential.value.in === 'query';
}

interface WithTemplates {
  discovery?: { value: { issuer: string } } | undefined;
  endpoints?: { value: object } | undefined;
  revocation?: RevocationFile | undefined;
  api?: ApiFile | undefined;
}

function templatesOf({ discovery, endpoints, revocation, api }: WithTemplates): string[] {
  const own = [discovery?.value.issuer, ...Object.values(endpoints?.value ?? {})];
  // What stands for itself in a call is no parameter.
  const calls = revocationTemplates(revocation).map((url) => url.replaceAll(/\{(client_id|found)\}/g, 'x'));
  const bases = (api?.base_urls ?? []).map(({ value }) => ('url' in value ? value.url : undefined));
  const probe = api?.token_probe?.value.url;
  return [...own, ...calls, ...bases, probe === '{userinfo_endpoint}' ? undefined : probe].filter(
    (value): value is string => typeof value === 'string',
  );
}

/** Where endpoints are discovered, the metadata says whether there is one. */
function mayBePolled({
  polling,
  endpoints,
  credential,
  api,
}: {
  polling?: { value: unknown } | undefined;
  endpoints?: { value: object } | undefined;
  credential?: unknown;
  api?: ApiFile | undefined;
}): boolean {
  if (polling === undefined || polling.value === null) return true;
  if (credential !== undefined) return api?.token_probe !== undefined;
  return endpoints === undefined || 'introspection_endpoint' in endpoints.value;
}

/** What a provider named may choose one segment of the path. */
function callsKeepTheirHost(revocation: RevocationFile | undefined): boolean {
  return revocationTemplates(revocation).every((url) => !/^https:\/\/[^/]*\{(client_id|found)\}/.test(url));
}

/** A stored signal is read again by the row of its type. */
function typesAreUnique(webhook: WebhookFile | undefined): boolean {
  const types = (webhook?.events ?? []).map(({ value }) => value.type);
  return new Set(types).size === types.length;
}
