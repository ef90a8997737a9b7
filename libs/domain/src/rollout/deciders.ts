import { PosternError } from '@postern/contracts';

import { adminEvent, alike, type AdminDataOf } from '../admin-events.ts';
import type { Rollout, RolloutEvent } from './rollout.ts';

type OfProvider<Data> = Data & { readonly providerId: string };

/** The first decision about a provider begins its rollout. */
function begun({ exists }: Rollout, providerId: string, event: RolloutEvent): RolloutEvent[] {
  return exists ? [event] : [adminEvent('RolloutCreated', { providerId }), event];
}

/**
 * Lets some connections use another version of the provider's file, in place of a canary that runs.
 *
 * A version that was rolled back may be tried again. That the catalog has the versions is for the caller to know.
 *
 * @returns no events when this very canary runs.
 * @throws {PosternError} `rollout.version_in_use` when what all others use is no other version; `request.malformed`
 *   when it is for nobody
 */
export function startCanary(
  { providerId, ...data }: OfProvider<AdminDataOf<'ProviderCanaryStarted'>>,
  state: Rollout,
): RolloutEvent[] {
  const { otherwise, ...canary } = data;
  if (canary.version === (state.current?.version ?? otherwise)) {
    throw new PosternError('rollout.version_in_use', `Version ${canary.version} is what all others use.`);
  }
  if (canary.sharePercent + canary.connectionIds.length + canary.registrationIds.length === 0) {
    throw new PosternError('request.malformed', 'Say for whom: a share, connections or registrations.');
  }
  if (state.canary !== null && alike(state.canary, canary)) return [];
  return begun(state, providerId, adminEvent('ProviderCanaryStarted', data));
}

/**
 * Makes a version that of all new connections and, where it carries them, of those that are there; nobody authorizes
 * anew for it.
 *
 * @returns no events when it is so already and no canary runs.
 */
export function promoteVersion(
  { providerId, ...data }: OfProvider<AdminDataOf<'ProviderVersionPromoted'>>,
  state: Rollout,
): RolloutEvent[] {
  if (state.canary === null && state.current !== null && alike(state.current, data)) return [];
  return begun(state, providerId, adminEvent('ProviderVersionPromoted', data));
}

/**
 * Takes back the canary that runs or else the last promotion: every connection uses what it used before.
 *
 * @throws {PosternError} `rollout.nothing_to_roll_back`
 */
export function rollBack({ reason }: { readonly reason: string | null }, state: Rollout): RolloutEvent[] {
  const version = state.canary?.version ?? (state.before === null ? undefined : state.current?.version);
  if (version === undefined) {
    throw new PosternError('rollout.nothing_to_roll_back', 'No canary runs, and nothing was promoted over another.');
  }
  return [adminEvent('ProviderVersionRolledBack', { version, reason })];
}

/** @returns no events when the policy is this one. */
export function changePinPolicy(
  { providerId, ...data }: OfProvider<AdminDataOf<'PinPolicyChanged'>>,
  state: Rollout,
): RolloutEvent[] {
  if (state.reauthorizationMovesPin === data.reauthorizationMovesPin) return [];
  return begun(state, providerId, adminEvent('PinPolicyChanged', data));
}
