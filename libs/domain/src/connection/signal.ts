import { limits, type ConnectionEvent, type SignalEvidence, type SignalMeaning } from '@postern/contracts';

import { connectionEvent } from './events.ts';
import { requireHere } from './guards.ts';
import type { Connection } from './state.ts';
import { isSuspected } from './suspicion.ts';

/** A verified signal that was found to be about this connection. */
export interface DecideOnSignal {
  readonly means: SignalMeaning;
  readonly evidence: SignalEvidence;
}

/**
 * What a signal is worth for one connection.
 *
 * `proof` ends it. `hint` must be confirmed. `outdated` is about an authorization that another one has replaced since.
 * `recorded` ends nothing by its meaning. `moot` has nothing left to end.
 */
export type SignalWeight = 'proof' | 'hint' | 'outdated' | 'recorded' | 'moot';

const endNothing: ReadonlySet<SignalMeaning> = new Set([
  'suspended',
  'resumed',
  'scope_changed',
  'claims_changed',
  'stream_verified',
]);

/** Two clocks, the provider's and ours, and a time that providers round down to a second. */
const clockDoubtMs = limits.clockSkewMsMax + 1_000;

/**
 * Weighs a signal against the authorization that stands.
 *
 * Proof is only what names the grant and whose time, vouched for by the sender, is after the authorization; what is
 * within the doubt of two clocks, or within the session that brought the authorization (recorded some time after the
 * provider gave it), is a hint, and so is a time of the future. A signal without a time that is vouched for may be an
 * old one again: it must not end a grant that was given since. What came before the session that brought the
 * authorization is about an earlier one, so that a signal which named nobody needs not be kept in mind for longer.
 */
export function weightOf({ means, evidence }: DecideOnSignal, state: Connection): SignalWeight {
  const { credential, authorization } = state;
  if (endNothing.has(means)) return 'recorded';
  const isOver = authorization === 'revoked' || authorization === 'deleted' || authorization === 'moved';
  if (isOver || credential === null) return 'moot';
  const { occurredAtMs, receivedAtMs } = evidence;
  // Whatever it says of its time, it happened before it came.
  const latestMs = Math.min(occurredAtMs ?? receivedAtMs, receivedAtMs);
  if (latestMs < credential.authorizedAtMs - limits.sessionTtlMs) return 'outdated';
  if (occurredAtMs === null) return 'hint';
  const isVouchedFor = occurredAtMs <= receivedAtMs + clockDoubtMs;
  const isAfter = occurredAtMs > credential.authorizedAtMs + clockDoubtMs;
  return means === 'grant_ended' && isVouchedFor && isAfter ? 'proof' : 'hint';
}

/**
 * What the log says of a connection because of a signal: that it was revoked, that this is suspected, or nothing.
 *
 * A version that is suspected already is not suspected again, however many hints come: each costs a call of the
 * provider.
 *
 * @returns no events for a repeat, for what proves nothing, and for what is over already.
 * @throws {PosternError} `connection.moved`
 */
export function decideOnSignal(command: DecideOnSignal, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const { evidence } = command;
  const weight = weightOf(command, state);
  if (weight === 'proof') {
    return [connectionEvent('ConnectionRevoked', { cause: 'revoked_at_provider', reason: null, evidence })];
  }
  const { authorization, credential } = state;
  if (weight !== 'hint' || authorization !== 'authorized' || credential === null) return [];
  if (isSuspected(state) || credential.signal?.position === evidence.position) return [];
  return [connectionEvent('RevocationSuspected', { credentialVersion: credential.version, evidence })];
}
