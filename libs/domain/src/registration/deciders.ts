import { PosternError } from '@postern/contracts';

import { adminEvent, alike, createOnce, requireBegun, requireEnabled, type AdminDataOf } from '../admin-events.ts';
import { sorted, type Registration, type RegistrationEvent } from './registration.ts';

/**
 * @returns no events when it exists in these words.
 * @throws {PosternError} `registration.exists` in other words; `request.malformed` when it authenticates by
 *   assertions and nobody said for whom they are, or is a public client whose tokens are to be bound to a certificate
 */
export function createRegistration(
  command: AdminDataOf<'RegistrationCreated'>,
  state: Registration,
): RegistrationEvent[] {
  const { providerId, displayName, clientId, tokenEndpointAuthMethod, scopes, assertionAudience } = command;
  const signs = tokenEndpointAuthMethod === 'private_key_jwt' || command.requireSignedRequestObject === true;
  if (signs && assertionAudience === undefined) {
    throw new PosternError('request.malformed', 'What is signed for a provider goes with an audience.');
  }
  // Its refresh tokens would be bound as well, and end with the certificate. @source RFC 8705 §4
  if (tokenEndpointAuthMethod === 'none' && command.tlsClientCertificateBoundAccessTokens === true) {
    throw new PosternError('request.malformed', 'Tokens are bound to the certificate of a client that authenticates.');
  }
  const data = {
    providerId,
    displayName,
    clientId,
    tokenEndpointAuthMethod,
    parameters: sorted(command.parameters),
    scopes,
    ...(assertionAudience !== undefined && { assertionAudience }),
    ...wishesOf(command),
  };
  const existing = {
    providerId: state.providerId,
    displayName: state.displayName,
    clientId: state.clientId,
    tokenEndpointAuthMethod: state.tokenEndpointAuthMethod,
    parameters: state.parameters,
    scopes: state.scopes,
    ...(state.assertionAudience !== null && { assertionAudience: state.assertionAudience }),
    ...wishesOf(state),
  };
  const event = adminEvent('RegistrationCreated', data);
  return createOnce('registration', state, { same: alike(existing, data), event });
}

/** What a registration asks of its provider beside what every one has; absent members are not asked for. */
function wishesOf({
  dpopBoundAccessTokens,
  tlsClientCertificateBoundAccessTokens,
  resource,
  requireSignedRequestObject,
}: Pick<
  AdminDataOf<'RegistrationCreated'>,
  'dpopBoundAccessTokens' | 'tlsClientCertificateBoundAccessTokens' | 'resource' | 'requireSignedRequestObject'
>) {
  return {
    ...(dpopBoundAccessTokens === true && { dpopBoundAccessTokens }),
    ...(tlsClientCertificateBoundAccessTokens === true && { tlsClientCertificateBoundAccessTokens }),
    ...(resource !== undefined && { resource }),
    ...(requireSignedRequestObject === true && { requireSignedRequestObject }),
  };
}

/** A secret of which the vault has a new version. */
export interface StoreRegistrationSecret extends Omit<AdminDataOf<'RegistrationSecretStored'>, 'previousEndsAtMs'> {
  /** How long the one before it stays usable: 0 when it must not be used again, null until it is retired. */
  readonly overlapMs: number | null;
  readonly nowMs: number;
}

/**
 * Puts a secret that the vault holds into use.
 *
 * The one before it may go on for a while: a provider takes both during a rotation, but not from the same instant on
 * as we do.
 *
 * @returns no events when this version or a newer one is known.
 * @throws {PosternError} `registration.not_found`, `registration.disabled`
 */
export function storeRegistrationSecret(
  { kind, secretVersion, publicJwk, certificate, overlapMs, nowMs }: StoreRegistrationSecret,
  state: Registration,
): RegistrationEvent[] {
  requireEnabled('registration', state);
  if (secretVersion <= (inUse(state, kind)?.version ?? 0)) return [];
  const previousEndsAtMs = overlapMs === null ? null : nowMs + overlapMs;
  const data = { kind, secretVersion, previousEndsAtMs, publicJwk, ...(certificate && { certificate }) };
  return [adminEvent('RegistrationSecretStored', data)];
}

/**
 * Ends an older secret before its time.
 *
 * @returns no events when it is not known, or not any more.
 * @throws {PosternError} `registration.not_found`; `registration.secret_in_use` for the newest one, without which
 *   nothing could be refreshed: unless the registration is disabled, and nothing is.
 */
export function retireRegistrationSecret(
  { kind, secretVersion }: AdminDataOf<'RegistrationSecretRetired'>,
  state: Registration,
): RegistrationEvent[] {
  requireBegun('registration', state);
  if (!state.secrets.some((one) => one.kind === kind && one.version === secretVersion)) return [];
  if (inUse(state, kind)?.version === secretVersion && !state.disabled) {
    throw new PosternError('registration.secret_in_use', 'This secret is the one in use.');
  }
  return [adminEvent('RegistrationSecretRetired', { kind, secretVersion })];
}

function inUse({ secrets }: Registration, kind: StoreRegistrationSecret['kind']) {
  return secrets.find((one) => one.kind === kind);
}

/**
 * Refuses everything through the registration, for ever.
 *
 * @returns no events when it is disabled already.
 * @throws {PosternError} `registration.not_found`
 */
export function disableRegistration(
  { reason }: AdminDataOf<'RegistrationDisabled'>,
  state: Registration,
): RegistrationEvent[] {
  requireBegun('registration', state);
  return state.disabled ? [] : [adminEvent('RegistrationDisabled', { reason })];
}
