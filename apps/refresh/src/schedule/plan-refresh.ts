import { hash } from 'node:crypto';

import { limits } from '@postern/contracts';
import {
  boughtAtMs,
  canRefresh,
  earliestRefreshAtMs,
  isRenewable,
  nextAttemptAtMs,
  type Connection,
  type Credential,
} from '@postern/domain';
import { leadDefaultS, type Provider } from '@postern/provider-catalog';

import { scheduleLimits } from './schedule-limits.ts';

/** What the catalog says of a provider's clocks. */
export type ClockPolicy = Pick<Provider['refresh'], 'leadS' | 'idleTtlS' | 'absoluteTtlS'>;

/** For a provider that the catalog does not know any more: as for one of which it says nothing. */
export const unknownPolicy: ClockPolicy = Object.freeze({ leadS: leadDefaultS, idleTtlS: null, absoluteTtlS: null });

/**
 * Which clock makes something due: the access token's end (`access_token`; `no_refresh_token` when only its end can be
 * noted), the refresh token's end when it rests (`idle`), the end of the authorization (`authorization`: its owner is
 * told), the age at which a credential that was made by hand should be replaced (`rotation`: the same), a failed attempt (`retry`), a claim that nobody may have ended (`claim`).
 */
export type DueClock = 'access_token' | 'no_refresh_token' | 'idle' | 'authorization' | 'rotation' | 'retry' | 'claim';

/** Somebody is told then, and nothing is refreshed. */
export const noticeClocks: ReadonlySet<DueClock> = new Set(['authorization', 'rotation']);

/** When something is to be done next about a connection. */
export interface PlannedDue {
  readonly clock: DueClock;
  readonly atMs: number;
  readonly credentialVersion: number;
}

type Ring = Pick<PlannedDue, 'clock' | 'atMs'>;

/**
 * When this connection is due next; it depends on nothing but the state and the policy, so that whoever asks, and
 * however often, gets the same time, and a schedule can be compared with it.
 *
 * @returns undefined when nothing is to be done: it may not be used, or no clock runs.
 */
export function planRefresh(state: Connection, policy: ClockPolicy): PlannedDue | undefined {
  const { authorization, suspended, credential, claim } = state;
  if (authorization !== 'authorized' || suspended || credential === null) return undefined;
  const { version: credentialVersion } = credential;
  if (claim !== null) return { clock: 'claim', atMs: claim.expiresAtMs, credentialVersion };
  const rings = canRefresh(credential)
    ? [refreshing(state, credential, policy), authorizationEnd(credential, policy)]
    : [tokenEnd(credential), authorizationEnd(credential, policy), rotation(credential)];
  const first = earliest(rings);
  return first && { ...first, credentialVersion };
}

/** When the authorization that gave this credential ends, whatever we do; null when nothing is known of that. */
export function authorizationEndsAtMs({ authorizedAtMs }: Credential, { absoluteTtlS }: ClockPolicy): number | null {
  return absoluteTtlS === null ? null : authorizedAtMs + absoluteTtlS * 1_000;
}

/** When the refresh token ends if nobody uses it; null where it may rest for ever. */
export function restEndsAtMs(credential: Credential, { idleTtlS }: ClockPolicy): number | null {
  return idleTtlS === null || !credential.hasRefreshToken ? null : boughtAtMs(credential) + idleTtlS * 1_000;
}

/** A failed attempt is repeated when its pause is over; otherwise what ends first is replaced first. */
function refreshing(state: Connection, credential: Credential, policy: ClockPolicy): Ring | undefined {
  const heldUntilMs = nextAttemptAtMs(state, 'scheduled');
  if (state.health.nextAttemptAtMs !== null) return { clock: 'retry', atMs: heldUntilMs };
  const chance = chanceOf(state, credential);
  const first = earliest([accessToken(credential, policy, chance), idle(credential, policy, chance)]);
  return first && { ...first, atMs: Math.max(first.atMs, heldUntilMs) };
}

function accessToken(credential: Credential, { leadS }: ClockPolicy, chance: number): Ring | undefined {
  const endsAtMs = credential.accessTokenExpiresAtMs;
  // What leases were promised when the authorization was given holds: never earlier than that.
  const leadMs = Math.min(leadS * 1_000, credential.endedByRefresh?.leadMs ?? Infinity);
  const earliestAtMs = earliestRefreshAtMs(credential, leadMs);
  if (endsAtMs === null || earliestAtMs === null) return undefined;
  const boughtMs = boughtAtMs(credential);
  if (endsAtMs - boughtMs <= limits.refreshLeadMs) {
    // How long it lived elsewhere says nothing of how long the next one will.
    if (credential.grant === 'imported' && credential.refreshedAtMs === null) {
      return { clock: 'access_token', atMs: boughtMs };
    }
    return { clock: 'access_token', atMs: boughtMs + scheduleLimits.shortLivedPauseMs };
  }
  const jitterMs = Math.floor((endsAtMs - earliestAtMs) * scheduleLimits.jitterShareMax * chance);
  return { clock: 'access_token', atMs: earliestAtMs + jitterMs };
}

function idle(credential: Credential, { idleTtlS }: ClockPolicy, chance: number): Ring | undefined {
  if (idleTtlS === null || !credential.hasRefreshToken) return undefined;
  const idleMs = idleTtlS * 1_000;
  const leadMs = Math.min(idleMs * scheduleLimits.idleLeadShareMax, scheduleLimits.idleLeadMsMax);
  const jitterMs = leadMs * scheduleLimits.jitterShareMax * chance;
  return { clock: 'idle', atMs: Math.floor(boughtAtMs(credential) + idleMs - leadMs + jitterMs) };
}

function tokenEnd({ accessTokenExpiresAtMs: atMs }: Credential): Ring | undefined {
  return atMs === null ? undefined : { clock: 'no_refresh_token', atMs };
}

function authorizationEnd(credential: Credential, policy: ClockPolicy): Ring | undefined {
  const endsAtMs = authorizationEndsAtMs(credential, policy);
  // Those are the clocks of an end user's authorization.
  if (isRenewable(credential)) return undefined;
  if (endsAtMs === null || credential.authorizationEndsAtMs !== undefined) return undefined;
  const lifeMs = endsAtMs - credential.authorizedAtMs;
  const leadMs = Math.min(lifeMs * scheduleLimits.idleLeadShareMax, scheduleLimits.authorizationNoticeMs);
  return { clock: 'authorization', atMs: Math.floor(endsAtMs - leadMs) };
}

function rotation({ rotateAtMs, rotationDueSinceMs }: Credential): Ring | undefined {
  return rotateAtMs === undefined || rotationDueSinceMs !== undefined
    ? undefined
    : { clock: 'rotation', atMs: rotateAtMs };
}

function earliest(rings: readonly (Ring | undefined)[]): Ring | undefined {
  return rings.reduce((first, ring) => {
    if (first === undefined || ring === undefined) return first ?? ring;
    return ring.atMs < first.atMs ? ring : first;
  }, undefined);
}

/** Between 0 and 1, the same for the same credential: who was authorized together is not refreshed together. */
function chanceOf({ connectionId }: Connection, { version }: Credential): number {
  const digest = hash('sha256', `${connectionId}/${version}`, 'buffer');
  return digest.readUInt32BE(0) / 2 ** 32;
}
