import { PosternError } from '@postern/contracts';
import type { Provider } from '@postern/provider-catalog';
import type { AuthorizationServer } from 'oauth4webapi';

/** What a client registration asks of its provider beside what every provider has. */
export interface AskedFeatures {
  /** Its tokens are bound to a key, though the provider gives others as well. @source RFC 9449 §5.2 */
  readonly dpopBoundAccessTokens?: boolean | undefined;
  /** Its tokens are bound to its client certificate, though the provider gives others as well. @source RFC 8705 §3.4 */
  readonly tlsClientCertificateBoundAccessTokens?: boolean | undefined;
  /** Its authorization requests are signed. @source RFC 9101 §10.5 */
  readonly requireSignedRequestObject?: boolean | undefined;
}

/** Are the tokens of a new authorization bound to a key of the connection? @source RFC 9449 §5 */
export function bindsTokens(
  { dpop }: Provider,
  { dpopBoundAccessTokens }: Pick<AskedFeatures, 'dpopBoundAccessTokens'>,
): boolean {
  return dpop === 'required' || dpopBoundAccessTokens === true;
}

/** The algorithm of the keys that the vault makes for connections. */
const proofAlgorithm = 'ES256';
/** Those of the keys that it has for registrations. */
const requestAlgorithms: readonly string[] = ['ES256', 'EdDSA', 'Ed25519'];

interface Asked {
  readonly provider: Provider;
  readonly registration: AskedFeatures;
  readonly server: AuthorizationServer;
  /** Of the authorization details that are asked for. */
  readonly detailTypes?: readonly string[] | undefined;
}

/**
 * Refuses what a registration asks for where the provider's file, or the metadata that it is found by, does not say that
 * the provider has it: at the callback it would be too late, since the end user has consented by then.
 *
 * @throws {PosternError} `provider.feature_unsupported`
 * @source RFC 9449 §5.1, RFC 8705 §3.3, RFC 9101 §10.5, RFC 9396 §10
 * @internal
 */
export function requireFeatures(asked: Asked): void {
  requireBinding(asked);
  requireCertificateBinding(asked);
  requireSignedRequests(asked);
  requireDetailTypes(asked);
}

function requireBinding({ provider, registration, server }: Asked): void {
  if (!bindsTokens(provider, registration)) return;
  const { dpop_signing_alg_values_supported: algorithms } = server;
  if (provider.dpop === 'unsupported') throw unsupported(provider, 'its file says that it does not bind tokens (DPoP)');
  if (algorithms === undefined && provider.dpop === 'unknown') {
    throw unsupported(provider, 'neither its file nor its metadata says that it binds tokens (DPoP)');
  }
  if (algorithms !== undefined && !algorithms.includes(proofAlgorithm)) {
    throw unsupported(provider, `it takes no proofs signed by ${proofAlgorithm} (DPoP)`);
  }
}

function requireCertificateBinding({ provider, registration, server }: Asked): void {
  const { certificateBoundTokens: support } = provider;
  if (registration.tlsClientCertificateBoundAccessTokens !== true) {
    if (support === 'required')
      throw unsupported(
        provider,
        'it gives tokens alone that are bound to certificates: register with --bind-certificate',
      );
    return;
  }
  if (support === 'unsupported') {
    throw unsupported(provider, 'its file says that it does not bind tokens to certificates (mTLS)');
  }
  if (support === 'unknown' && server.tls_client_certificate_bound_access_tokens !== true) {
    throw unsupported(provider, 'neither its file nor its metadata says that it binds tokens to certificates (mTLS)');
  }
}

/** Metadata that say nothing of `request` mean that it is not taken. @source OpenID Connect Discovery 1.0 §3 */
function requireSignedRequests({ provider, registration, server }: Asked): void {
  const support = provider.signedRequestObjects;
  const isRequired = support === 'required' || server.require_signed_request_object === true;
  if (registration.requireSignedRequestObject !== true) {
    if (isRequired)
      throw unsupported(provider, 'it takes signed authorization requests alone: register with --sign-requests');
    return;
  }
  const said = server.request_parameter_supported === true || server.require_signed_request_object === true;
  if (support === 'unsupported' || (support === 'unknown' && !said)) {
    throw unsupported(provider, 'neither its file nor its metadata says that it takes signed authorization requests');
  }
  const algorithms = server.request_object_signing_alg_values_supported;
  if (algorithms !== undefined && !algorithms.some((one) => requestAlgorithms.includes(one))) {
    throw unsupported(provider, `it takes no requests signed by ${requestAlgorithms.slice(0, 2).join(' or ')}`);
  }
}

/** A server that does not know a type refuses the request, or passes over what was to bound it. */
function requireDetailTypes({ provider, server, detailTypes = [] }: Asked): void {
  const { authorization_details_types_supported: named } = server;
  const taken: unknown[] = [...provider.authorizationDetailsTypes, ...(Array.isArray(named) ? named : [])];
  const unknown = detailTypes.find((type) => !taken.includes(type));
  if (unknown === undefined) return;
  const type = JSON.stringify(unknown);
  throw unsupported(
    provider,
    `neither its file nor its metadata says that it takes authorization details of type ${type}`,
  );
}

function unsupported({ name }: Provider, why: string): PosternError {
  return new PosternError('provider.feature_unsupported', `${name} cannot be asked for it: ${why}.`);
}
