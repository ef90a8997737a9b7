import { adminEvent, alike, createOnce, requireBegun, requireEnabled, type AdminDataOf } from '../admin-events.ts';
import { sorted, type Registration, type RegistrationEvent } from './registration.ts';

/**
 * @returns no events when it exists in these words.
 * @throws {PosternError} `registration.exists` in other words
 */
export function createRegistration(
  command: AdminDataOf<'RegistrationCreated'>,
  state: Registration,
): RegistrationEvent[] {
  const { providerId, displayName, clientId, tokenEndpointAuthMethod, scopes } = command;
  const data = {
    providerId,
    displayName,
    clientId,
    tokenEndpointAuthMethod,
    parameters: sorted(command.parameters),
    scopes,
  };
  const existing = {
    providerId: state.providerId,
    displayName: state.displayName,
    clientId: state.clientId,
    tokenEndpointAuthMethod: state.tokenEndpointAuthMethod,
    parameters: state.parameters,
    scopes: state.scopes,
  };
  const event = adminEvent('RegistrationCreated', data);
  return createOnce('registration', state, { same: alike(existing, data), event });
}

/**
 * Records that the vault holds the client secret under this version.
 *
 * @returns no events when this version or a newer one is known.
 * @throws {PosternError} `registration.not_found`, `registration.disabled`
 */
export function storeRegistrationSecret(
  { secretVersion }: AdminDataOf<'RegistrationSecretStored'>,
  state: Registration,
): RegistrationEvent[] {
  requireEnabled('registration', state);
  if (secretVersion <= (state.secretVersion ?? 0)) return [];
  return [adminEvent('RegistrationSecretStored', { secretVersion })];
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
