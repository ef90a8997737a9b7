import { limits, type ConnectionEvent, type SignalEvidence } from '@postern/contracts';

import { connectionEvent, providerWords, type DataOf } from './events.ts';
import { canRefresh } from './grants.ts';
import { requireHere } from './guards.ts';
import { hasEnded } from './refresh.ts';
import type { Connection, Credential } from './state.ts';

/** A report that a provider refused a token of this version. */
export interface DecideOnRejection {
  /** Which of its tokens: a provider's API refuses access tokens, its introspection knows refresh tokens. */
  readonly refused: 'access_token' | 'refresh_token';
  readonly credentialVersion: number;
  readonly evidence: SignalEvidence;
}

/**
 * What such a report is worth. `hint`: the provider should be asked. `suspected`: it is being asked already.
 * `asked_lately`: it said a moment ago that the grant lives. `outdated`: the token was replaced, or has ended. `moot`:
 * there is nothing left to end.
 */
export type RejectionWeight = 'hint' | 'suspected' | 'asked_lately' | 'outdated' | 'moot';

/** What the provider answered when it was asked about a suspected grant. */
export interface DecideOnVerdict {
  readonly verdict: 'dead' | 'alive';
  readonly method: DataOf<'RevocationDisproved'>['method'];
  /** The version whose token was shown to the provider. */
  readonly credentialVersion: number;
  /** The position of the connection when that was begun: whatever happened since may explain the answer. */
  readonly askedAtPosition: number;
  /** The provider's word, where it has one. */
  readonly error: string | null;
  readonly evidence: SignalEvidence;
}

/** How the provider can be asked about a suspected grant; `nothing` where no answer would mean anything. */
export type Inquiry = 'refresh_token' | 'refresh' | 'access_token' | 'nothing';

/** Is the current credential suspected, by a signal that the provider has not disproved? */
export function isSuspected({ authorization, credential }: Connection): boolean {
  if (authorization !== 'authorized' || credential?.signal === undefined) return false;
  return credential.signal.credentialVersion === credential.version && credential.signal.disprovedAtMs === undefined;
}

/**
 * Weighs a report against the credential that stands.
 *
 * A 401 for an older version, or for a token that has ended, proves nothing. And a provider that was asked a moment ago
 * is not asked again: a platform may say the same as often as it calls.
 */
export function weightOfRejection(
  { refused, credentialVersion, evidence }: DecideOnRejection,
  state: Connection,
): RejectionWeight {
  const { authorization, credential } = state;
  if (authorization !== 'authorized' || credential === null) return 'moot';
  if (credential.version !== credentialVersion) return 'outdated';
  if (refused === 'access_token' && hasEnded(credential, evidence.receivedAtMs)) return 'outdated';
  if (isSuspected(state)) return 'suspected';
  return evidence.receivedAtMs < askedAtMs(credential) + limits.inquiryIntervalMs ? 'asked_lately' : 'hint';
}

/** When the provider last said something about this grant because of a signal: by an answer, or by a forced refresh. */
function askedAtMs({ signal, version, refreshedAtMs }: Credential): number {
  if (signal === undefined) return 0;
  return Math.max(signal.disprovedAtMs ?? 0, signal.credentialVersion < version ? (refreshedAtMs ?? 0) : 0);
}

/**
 * Records that a report makes the current version suspected.
 *
 * @returns no events unless it is worth a question to the provider.
 * @throws {PosternError} `connection.moved`
 */
export function decideOnRejection(command: DecideOnRejection, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const { credentialVersion, evidence } = command;
  if (weightOfRejection(command, state) !== 'hint' || state.credential?.signal?.position === evidence.position) {
    return [];
  }
  return [connectionEvent('RevocationSuspected', { credentialVersion, evidence })];
}

/**
 * How the provider can be asked about the suspected grant now.
 *
 * A refresh token is shown to the provider only while nobody may have spent it: one that was replaced meanwhile would
 * look dead. Where that is in doubt, a refresh finds out, under a claim. An access token that has ended says nothing.
 *
 * @param introspects does the provider have an introspection endpoint?
 */
export function inquiryOf(
  state: Connection,
  { introspects, nowMs }: { readonly introspects: boolean; readonly nowMs: number },
): Inquiry {
  const { credential } = state;
  if (!isSuspected(state) || credential === null) return 'nothing';
  if (!canRefresh(credential)) return hasEnded(credential, nowMs) ? 'nothing' : 'access_token';
  return introspects && isUnspent(state) ? 'refresh_token' : 'refresh';
}

/** Has certainly nobody spent the current refresh token? */
export function isUnspent({ claim, interrupted, health }: Connection): boolean {
  return claim === null && interrupted === null && health.status === 'ok';
}

/**
 * What the log says of the provider's answer: that the connection was revoked, or that the suspicion was wrong.
 *
 * @param position of the connection now
 * @returns no events when anything happened since the question: it may explain the answer, so ask again.
 * @throws {PosternError} `connection.moved`
 */
export function decideOnVerdict(command: DecideOnVerdict, state: Connection, position: number): ConnectionEvent[] {
  requireHere(state);
  const { verdict, method, credentialVersion, askedAtPosition, evidence } = command;
  const isSame = position === askedAtPosition && state.credential?.version === credentialVersion;
  if (!isSame || !isSuspected(state)) return [];
  if (verdict === 'alive') return [connectionEvent('RevocationDisproved', { credentialVersion, method })];
  const error = command.error === null ? null : providerWords(command.error);
  const data = { cause: 'revoked_at_provider' as const, reason: null, evidence, confirmedBy: { method, error } };
  return [connectionEvent('ConnectionRevoked', data)];
}
