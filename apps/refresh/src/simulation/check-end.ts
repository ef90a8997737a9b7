import { interruptedClaims, type Connection } from '@postern/domain';
import type { VersionedCatalog } from '@postern/provider-catalog';

import { Plans } from '../schedule/plans.ts';
import { faultOf } from '../schedule/schedule-fault.ts';
import { scheduleLimits } from '../schedule/schedule-limits.ts';
import type { Intervals } from './intervals.ts';
import type { Invariants } from './invariants.ts';
import { noRollouts } from './providers.ts';
import type { Subject } from './subjects.ts';
import type { CallRecord, DeathCause, Grant, ProviderServer } from './provider-server.ts';
import type { RefreshStream } from './refresh-stream.ts';
import type { VaultTables } from './vault-tables.ts';
import type { World } from './world.ts';

export interface Ending {
  readonly world: World;
  readonly subjects: readonly Subject[];
  readonly invariants: Invariants;
  readonly provider: ProviderServer;
  readonly tables: VaultTables;
  readonly stream: RefreshStream;
  readonly outages: Intervals;
  /** How wrong a process's clock may be: a retry that it plans is late by as much. */
  readonly wrongMsMax: number;
  /** About how soon what was lost on the way is found. */
  readonly reconcileIntervalMs: number;
  readonly catalog: VersionedCatalog;
}

/** The provider ends these by itself, or because its user said so: nobody could keep them. */
const blameless: ReadonlySet<DeathCause> = new Set(['user', 'absolute']);

/** What must hold when everything has come to its end: nothing stands still, and nothing was lost without a reason. */
export function checkEnd(ending: Ending): void {
  const { subjects, invariants, world, stream, wrongMsMax, reconcileIntervalMs } = ending;
  const plans = new Plans(noRollouts, ending.catalog);
  for (const subject of subjects) {
    const { state } = invariants.truthOf(subject.id);
    // One that was taken a moment ago, and a schedule that no reconciler had the time to miss, are in the middle of things.
    if (state.claim !== null && state.claim.expiresAtMs + wrongMsMax < world.nowMs) {
      world.violate('every claim ends', subject.id, world.nameOf(state.claim.claimId));
    }
    const plan = plans.of(state);
    const fault = faultOf(plan, stream.standing(subject), world.nowMs);
    const mayBeMissed =
      fault === 'overdue' && world.nowMs - (plan?.atMs ?? 0) < scheduleLimits.lateAfterMs + 2 * reconcileIntervalMs;
    if (fault !== undefined && !mayBeMissed) world.violate('no schedule is lost', subject.id, fault);
    if (state.authorization === 'authorized' && !state.suspended) checkAlive(ending, state);
    if (state.authorization === 'reauthorization_required') checkLost(ending, state);
  }
}

/** What is called alive is alive at the provider, and what fails is failing for a reason. */
function checkAlive(ending: Ending, { connectionId: id, credential, health }: Connection): void {
  const { world, provider, tables } = ending;
  if (health.status !== 'ok') world.violate('every failure ends', id, health.reason ?? '');
  const row = tables.find(id, credential?.version ?? 0);
  if (row === undefined) return world.violate('what is current is stored', id, `version ${credential?.version}`);
  const { refreshToken } = row.tokenSet;
  const death = refreshToken === null ? undefined : provider.deathOf(refreshToken);
  const grant = refreshToken === null ? undefined : provider.grantOf(refreshToken);
  if (death !== undefined && !blameless.has(death) && !isUndecidable(ending, grant)) {
    world.violate('what is called alive is alive', id, `version ${row.version} is dead: ${death}`);
  }
}

function checkLost(ending: Ending, state: Connection): void {
  const { world, invariants, provider, tables } = ending;
  const { connectionId: id, reauthorizationCause: cause, credential } = state;
  if (cause === 'refresh_token_missing') {
    if (credential?.hasRefreshToken === true) world.violate('what is told is true', id, cause);
    return;
  }
  if (cause === 'refresh_interrupted') {
    const stored = state.interrupted?.claimIds.find((claimId) => tables.boughtBy(id, claimId) !== undefined);
    if (stored !== undefined) world.violate('what is stored is not lost', id, world.nameOf(stored));
    return;
  }
  const rejection = invariants.rejectionOf(id);
  const late = interruptedClaims(state).find((claimId) => {
    const row = tables.boughtBy(id, claimId);
    return row !== undefined && (invariants.storedAtMs.get(row.tokenSet.accessToken) ?? 0) < (rejection?.atMs ?? 0);
  });
  if (late !== undefined) world.violate('what is stored is not lost', id, world.nameOf(late));
  const call = provider.calls.findLast(({ claimId }) => claimId === rejection?.claimId);
  if (call?.refused === undefined) return world.violate('what is told is true', id, `no refusal, yet ${cause}`);
  if (blameless.has(call.refused)) return;
  if (call.refused === 'idle') return checkIdle(ending, state, call);
  if (call.refused === 'reuse' && isUndecidable(ending, call.grant)) return;
  world.violate('lost is only what nobody stored', id, `${call.token} was refused: ${call.refused}`);
}

/**
 * The provider had spent a refresh token for tokens that nobody had stored yet when the vault gave it away for the use
 * that ended the grant; or it came to a call only when nobody waited for it any more, and took it for reuse.
 */
function isUndecidable({ provider, invariants }: Ending, grant: Grant | undefined): boolean {
  const last = provider.calls.find(({ grant: of, refused }) => of === grant && refused === 'reuse');
  const handedOutAtMs = invariants.handedOutAtMs.get(last?.claimId ?? '') ?? 0;
  const isUnstored = (accessToken: string) => (invariants.storedAtMs.get(accessToken) ?? Infinity) >= handedOutAtMs;
  return provider.calls.some(
    ({ grant: of, issued, isAwaited }) =>
      of === grant && (issued === undefined ? !isAwaited : isUnstored(issued.accessToken)),
  );
}

/** From the time when it should have been used, its provider was there for long enough, and the connection was in use. */
function checkIdle(
  { world, outages, invariants, wrongMsMax, reconcileIntervalMs }: Ending,
  state: Connection,
  call: CallRecord,
): void {
  const { connectionId: id, providerId } = state;
  const idleMs = (call.grant?.rules.idleTtlS ?? 0) * 1_000;
  const { idleLeadShareMax, jitterShareMax } = scheduleLimits;
  const plannedMs = idleMs * (1 - idleLeadShareMax * (1 - jitterShareMax));
  const lead = { fromMs: call.lastUsedAtMs + plannedMs, untilMs: call.lastUsedAtMs + idleMs };
  const excusedMs = outages.withinMs(providerId, lead) + invariants.suspensions.withinMs(id, lead);
  if (lead.untilMs - lead.fromMs - excusedMs < 3 * reconcileIntervalMs + wrongMsMax) return;
  world.violate('nothing idles out while its provider works', id, call.token);
}
