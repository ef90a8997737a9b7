import { adminEvent, alike, createOnce, requireBegun, requireEnabled, type AdminDataOf } from '../admin-events.ts';
import type { Platform, PlatformEvent } from './platform.ts';

/**
 * @returns no events when it exists in these words.
 * @throws {PosternError} `platform.exists` in other words
 */
export function createPlatform(command: AdminDataOf<'PlatformCreated'>, state: Platform): PlatformEvent[] {
  const { name, returnUrls } = command;
  const same = state.name === name && alike(state.returnUrls, returnUrls);
  return createOnce('platform', state, { same, event: adminEvent('PlatformCreated', { name, returnUrls }) });
}

/**
 * Makes this the client secret that counts; older ones end. Only its hash is known here.
 *
 * @throws {PosternError} `platform.not_found`, `platform.disabled`
 * @source RFC 6749 §2.3.1
 */
export function issuePlatformSecret(command: AdminDataOf<'PlatformSecretIssued'>, state: Platform): PlatformEvent[] {
  requireEnabled('platform', state);
  const { secretHash } = command;
  return state.secretHash === secretHash ? [] : [adminEvent('PlatformSecretIssued', { secretHash })];
}

/**
 * Records the NATS user made for the platform.
 *
 * @throws {PosternError} `platform.not_found`, `platform.disabled`
 */
export function issuePlatformCredentials(
  command: AdminDataOf<'PlatformCredentialsIssued'>,
  state: Platform,
): PlatformEvent[] {
  requireEnabled('platform', state);
  const { natsUser } = command;
  return state.natsUser === natsUser ? [] : [adminEvent('PlatformCredentialsIssued', { natsUser })];
}

/**
 * Refuses everything of the platform, for ever.
 *
 * @returns no events when it is disabled already.
 * @throws {PosternError} `platform.not_found`
 */
export function disablePlatform({ reason }: AdminDataOf<'PlatformDisabled'>, state: Platform): PlatformEvent[] {
  requireBegun('platform', state);
  return state.disabled ? [] : [adminEvent('PlatformDisabled', { reason })];
}
