import { TokenEndpointAuthMethod } from '@postern/contracts';
import { z } from 'zod';

import { ApiFile } from './api-file.ts';
import { factOf } from './fact.ts';
import { tokenFingerprints } from './subject-identifiers.ts';
import { RevocationFile, revocationTemplates } from './revocation-file.ts';
import { AccountKeys, AccountProbe, WebhookFile } from './webhook-file.ts';

/** `{name}` in a URL template stands for a parameter of the registration. */
const UrlTemplate = z
  .string()
  .max(2048)
  .regex(/^https:\/\/[^\s"'<>\\^`|#]+$/, 'must be an https URL without fragment');

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

/** How a lifetime is written in the answer, where that is known. */
const ExpiresIn = z.strictObject({
  unit: z.enum(['s', 'ms']),
  /** No access token lives longer here: a larger number is not believed, and the default counts. */
  max_s: Seconds,
});

/**
 * What a client registration must bring for a provider that is not the same for everybody.
 *
 * `issuer` is a whole issuer identifier; `host_label` is one DNS label put into a template's host.
 */
const Parameter = z.strictObject({
  kind: z.enum(['issuer', 'host_label']),
  description: z.string().min(1).max(200),
});

const Discovery = z.strictObject({
  /** The issuer identifier, or `{issuer}`. @source OpenID Connect Discovery 1.0 §4 */
  issuer: z.union([UrlTemplate, z.literal('{issuer}')]),
});

const Endpoints = z.strictObject({
  authorization_endpoint: UrlTemplate,
  token_endpoint: UrlTemplate,
  revocation_endpoint: UrlTemplate.optional(),
  introspection_endpoint: UrlTemplate.optional(),
});

/**
 * A provider as its YAML file says it. Member names are OAuth's own where OAuth has a name for the thing.
 *
 * Implicit and password grants cannot be expressed, and PKCE can only be S256.
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
    discovery: Discovery.optional(),
    endpoints: factOf(Endpoints).optional(),
    token_endpoint_auth_methods: factOf(z.array(TokenEndpointAuthMethod).min(1)),
    /** @source RFC 7636 §4.3 */
    code_challenge_method: factOf(z.literal('S256')),
    scope_separator: factOf(z.enum([' ', ','])),
    /** Sent with every authorization request, beside what OAuth asks for. */
    authorization_parameters: factOf(z.record(z.string().max(64), z.string().max(256))).optional(),
    access_token: z.strictObject({
      /** Used only where the answer has no `expires_in` that could be used; null when nothing is known. */
      default_ttl_s: factOf(Seconds.nullable()),
      expires_in: factOf(ExpiresIn).optional(),
      /** Names under which the answer's `token_type` hides a plain bearer token. @source RFC 6750 */
      bearer_token_types: factOf(z.array(z.string().min(1).max(32)).min(1).max(8)).optional(),
    }),
    refresh_token: z.strictObject({
      issued: factOf(z.enum(['always', 'never', 'depends'])),
      /** `unknown` is treated as `each_use` without grace. @source RFC 9700 §4.14.2 */
      rotation: factOf(z.enum(['none', 'each_use', 'unknown'])),
      /** How long a spent refresh token may be retried when the answer was lost; 0 when unknown. */
      reuse_grace_s: factOf(z.number().int().nonnegative()),
      /** Unknown counts as true: nobody refreshes early for nothing. */
      refresh_ends_access_token: factOf(z.boolean().nullable()),
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
    }),
    /** This provider's own answers; what stands in none of these rows is weighed by the general rule. */
    answers: z.array(factOf(Answer)).max(32).default([]),
    /** Where the account's identity is found after an authorization. */
    account: factOf(z.enum(['id_token_sub', 'none'])),
    /** By what the answer of the token endpoint names the account, so that signals about it can be matched. */
    account_keys: factOf(AccountKeys).optional(),
    account_probe: factOf(AccountProbe).optional(),
    /** How a signal may name a refresh token; only where one is not replaced at a refresh does it stay true. */
    token_fingerprints: factOf(z.array(z.enum(tokenFingerprints)).min(1)).optional(),
    /** What the provider's API says of the tokens that are sent to it. */
    api: ApiFile.optional(),
    /** How the provider is told that an authorization is over; not said: by RFC 7009, where it has such an endpoint. */
    revocation: RevocationFile.optional(),
    /** How the provider tells us that a grant ended; not said: it does not. */
    webhook: WebhookFile.optional(),
  })
  .refine((file) => typesAreUnique(file.webhook), { message: 'two rows of webhook.events have one type' })
  .refine((file) => (file.discovery === undefined) !== (file.endpoints === undefined), {
    message: 'has either discovery or endpoints',
  })
  .refine((file) => templateParameters(file).every((name) => Object.hasOwn(file.parameters, name)), {
    message: 'a template names a parameter that is not declared',
  })
  .refine((file) => callsKeepTheirHost(file.revocation), { message: 'what is put into a call stands in its path' })
  .refine((file) => templatesKeepTheirHost(file), {
    message: 'a host_label stands as one label of a host, before at least two fixed ones',
  });
export type ProviderFile = z.infer<typeof ProviderFile>;

interface WithTemplates {
  discovery?: unknown;
  endpoints?: { value: object } | undefined;
  revocation?: RevocationFile | undefined;
}

function templatesOf({ discovery, endpoints, revocation }: WithTemplates): string[] {
  const own = [...Object.values(discovery ?? {}), ...Object.values(endpoints?.value ?? {})];
  // What stands for itself in a call is no parameter.
  const calls = revocationTemplates(revocation).map((url) => url.replaceAll(/\{(client_id|found)\}/g, 'x'));
  return [...own, ...calls].filter((value): value is string => typeof value === 'string');
}

function templateParameters(file: WithTemplates): string[] {
  return templatesOf(file).flatMap((template) => [...template.matchAll(/\{([^}]*)\}/g)].map(([, name]) => name ?? ''));
}

/** A parameter may choose a label of the host and nothing else: not the path, the query, the port or the domain. */
function templatesKeepTheirHost(file: WithTemplates): boolean {
  return templatesOf(file)
    .filter((template) => template !== '{issuer}' && template.includes('{'))
    .every((template) => /^https:\/\/\{[a-z0-9_]+\}(\.[a-z0-9-]+){2,}(\/[^{}]*)?$/.test(template));
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
