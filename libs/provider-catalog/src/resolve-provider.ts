import { isHttpsOrLoopback, PosternError } from '@postern/contracts';

import type { RevocationCall } from './revocation.ts';
import type { Provider, ProviderEndpoints, ProviderParameter } from './provider.ts';

/** Where a provider is for one registration: an issuer whose metadata is to be fetched, or known endpoints. */
export type ResolvedProvider = (
  | { readonly kind: 'discover'; readonly issuer: string; readonly metadata: Provider['discoveryMetadata'] }
  | { readonly kind: 'known'; readonly issuer: string; readonly endpoints: ProviderEndpoints }
  /** There is no authorization server: the issuer is nobody. */
  | { readonly kind: 'static'; readonly issuer: '' }
) & {
  /** The call that tells whether a token lives, where the file names one that needs no metadata. */
  readonly probeUrl: string | null;
  readonly revocationCall: RevocationCall | null;
  /** What tokens are asked for with; null where they are for whatever the server likes. @source RFC 8707 §2 */
  readonly resource: string | null;
};

const parameterCharsMax = 2048;

/**
 * Puts a registration's parameters into a provider's templates.
 *
 * A parameter is data from a form: whoever could slip a dot, a slash or an `@` into a host would receive our codes
 * and client secrets. So a label is one DNS label, a segment of a path is one segment, and an issuer is a URL without
 * query, fragment and user.
 *
 * @throws {PosternError} `request.malformed` with the fields named, for a missing, unknown or unfit parameter;
 *   `registration.insecure_endpoint` for an issuer that is neither https nor on the loopback.
 */
export function resolveProvider(provider: Provider, parameters: Readonly<Record<string, string>>): ResolvedProvider {
  for (const name of Object.keys(parameters)) {
    if (!Object.hasOwn(provider.parameters, name)) throw unfit(name, 'is no parameter of this provider');
  }
  for (const [name, { kind }] of Object.entries(provider.parameters)) {
    const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (value === undefined) throw unfit(name, 'is missing');
    parameterChecks[kind](name, value);
  }
  const fill = (template: string) =>
    template.replace(/\{([a-z0-9_]+)\}/g, (_all, name: string) => parameters[name] ?? '');
  const revocationCall = filledCall(provider.revocation.call, parameters);
  const resource = provider.namesResource ? (parameters['resource'] ?? null) : provider.resource;
  const { tokenProbe } = provider.api;
  const probeUrl = tokenProbe === null || tokenProbe.url === '{userinfo_endpoint}' ? null : fill(tokenProbe.url);
  const calls = { revocationCall, resource, probeUrl };
  if (provider.credential !== null) return { kind: 'static', issuer: '', ...calls };
  if (provider.discoveryIssuer !== null) {
    const { discoveryIssuer, discoveryMetadata: metadata } = provider;
    return { kind: 'discover', issuer: fill(discoveryIssuer), metadata, ...calls };
  }
  return { ...known(provider, fill), ...calls };
}

/** The way in which a credential is had, as `grant_type` names it. @source RFC 7591 §2 */
const grantTypeOf = Object.freeze({
  authorization_code: 'authorization_code',
  device_code: 'urn:ietf:params:oauth:grant-type:device_code',
  client_credentials: 'client_credentials',
  token_exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  jwt_bearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  identity_assertion: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  installation: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
} as const);

/**
 * Refuses a way in which this provider gives no tokens, as far as its file says.
 *
 * @throws {PosternError} `provider.flow_unsupported`
 */
export function requireGrantType(provider: Provider, grant: keyof typeof grantTypeOf): void {
  const ofInstallations = provider.strategies.includes('installation_tokens');
  if (ofInstallations && grant === 'jwt_bearer') {
    throw new PosternError('provider.flow_unsupported', `Tokens of ${provider.name} are those of an installation.`);
  }
  const isOfItsKind = grant !== 'installation' || ofInstallations;
  if (isOfItsKind && provider.grantTypes.includes(grantTypeOf[grant])) return;
  const { name, grantTypes } = provider;
  const ways =
    grantTypes.length === 0
      ? 'not had by OAuth: its credentials are made by hand'
      : `had by ${grantTypes.join(', ')} alone`;
  throw new PosternError('provider.flow_unsupported', `Tokens of ${name} are ${ways}.`);
}

/**
 * Refuses a provider at which Postern has no way at all to get tokens yet.
 *
 * @throws {PosternError} `provider.flow_unsupported`
 */
export function requireSomeGrantType(provider: Provider): void {
  if (provider.credential !== null) return;
  if (Object.values(grantTypeOf).some((type) => provider.grantTypes.includes(type))) return;
  requireGrantType(provider, 'authorization_code');
}

/** With the registration's parameters; what is put in with each call still stands there. */
function filledCall(call: RevocationCall | null, parameters: Readonly<Record<string, string>>): RevocationCall | null {
  if (call === null) return null;
  const fill = (template: string) =>
    template.replace(/\{([a-z0-9_]+)\}/g, (all, name: string) => parameters[name] ?? all);
  return { ...call, url: fill(call.url), find: call.find && { ...call.find, url: fill(call.find.url) } };
}

function known({ id, endpoints, issuer }: Provider, fill: (template: string) => string) {
  if (endpoints === null) throw new PosternError('provider.invalid', `${id} has neither discovery nor endpoints.`);
  const { pushedAuthorizationRequestEndpoint: pushed, deviceAuthorizationEndpoint: device } = endpoints;
  const filled = {
    authorizationEndpoint: endpoints.authorizationEndpoint === null ? null : fill(endpoints.authorizationEndpoint),
    tokenEndpoint: fill(endpoints.tokenEndpoint),
    revocationEndpoint: endpoints.revocationEndpoint === null ? null : fill(endpoints.revocationEndpoint),
    introspectionEndpoint: endpoints.introspectionEndpoint === null ? null : fill(endpoints.introspectionEndpoint),
    ...(pushed !== undefined && { pushedAuthorizationRequestEndpoint: fill(pushed) }),
    ...(device !== undefined && { deviceAuthorizationEndpoint: fill(device) }),
  };
  const named = issuer === null ? new URL(filled.authorizationEndpoint ?? filled.tokenEndpoint).origin : fill(issuer);
  return { kind: 'known' as const, issuer: named, endpoints: filled };
}

function assertIssuer(name: string, value: string): void {
  if (value.length > parameterCharsMax || !URL.canParse(value)) throw unfit(name, 'must be an issuer URL');
  const url = new URL(value);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw unfit(name, 'must be an https URL');
  if (/[?#]/.test(value) || url.username !== '' || url.password !== '') {
    throw unfit(name, 'must have no query, fragment or user');
  }
  if (value !== url.href && `${value}/` !== url.href) throw unfit(name, 'must be spelled in its canonical form');
  if (!isHttpsOrLoopback(value)) {
    throw new PosternError('registration.insecure_endpoint', `The parameter ${name} is not https.`);
  }
}

/** The slash at the end of a path belongs to its name, that of an empty path does not. @source RFC 8707 §2 */
function assertResource(name: string, value: string): void {
  if (value.length > parameterCharsMax || !URL.canParse(value)) throw unfit(name, 'must be the URL of a server');
  const url = new URL(value);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw unfit(name, 'must be an https URL');
  if (value.includes('#') || url.username !== '' || url.password !== '') {
    throw unfit(name, 'must have neither fragment nor user');
  }
  if (value !== url.href && `${value}/` !== url.href) throw unfit(name, 'must be spelled in its canonical form');
  if (!isHttpsOrLoopback(value)) {
    throw new PosternError('registration.insecure_endpoint', `The parameter ${name} is not https.`);
  }
}

/** @source RFC 1035 §2.3.1, RFC 5891 §4.2.3.1 (no `--` in third and fourth place, which would be an A-label) */
function assertHostLabel(name: string, value: string): void {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(value) || value.slice(2, 4) === '--') {
    throw unfit(name, 'must be one lower-case DNS label');
  }
}

/** A segment that begins with a letter or digit is neither `.` nor `..`. @source RFC 3986 §3.3, unreserved characters */
function assertPathSegment(name: string, value: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/.test(value)) {
    throw unfit(name, 'must be one segment of a path: letters, digits, dots, hyphens and underscores');
  }
}

const parameterChecks: Record<ProviderParameter['kind'], (name: string, value: string) => void> = {
  issuer: assertIssuer,
  host_label: assertHostLabel,
  path_segment: assertPathSegment,
  resource: assertResource,
};

function unfit(path: string, reason: string): PosternError {
  return new PosternError('request.malformed', `The parameter ${path.slice(0, 64)} ${reason}.`, {
    details: { fields: [{ path: `parameters.${path.slice(0, 64)}`, reason }] },
  });
}
