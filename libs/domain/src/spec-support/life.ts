import { limits, PosternError, type ConnectionEvent, type ConnectionEventType } from '@postern/contracts';
import * as fc from 'fast-check';

import { startAuthorization } from '../connection/authorize.ts';
import { grantDeviceAuthorization, startDeviceAuthorization, startDevicePolling } from '../connection/device.ts';
import { interruptRefresh, releaseRefreshToken } from '../connection/claim.ts';
import { requestDeletion, shredKey } from '../connection/delete.ts';
import { startEstablishment } from '../connection/establish.ts';
import { connectionEvolver } from '../connection/evolve.ts';
import { startInspection } from '../connection/inspection.ts';
import { leaseDecision, type LeaseDecision } from '../connection/lease-decision.ts';
import { recordRefreshed, recordRefreshFailed, recordRefreshRejected } from '../connection/refresh-outcome.ts';
import { announceAuthorizationEnd, announceRotation } from '../connection/refresh-plan.ts';
import { requireReauthorization, startRefresh } from '../connection/refresh.ts';
import { recordUpstreamRevocationFailed, recordUpstreamRevoked, revokeConnection } from '../connection/revoke.ts';
import { completeAuthorization, denyAuthorization, startCodeExchange } from '../connection/session.ts';
import { recordInsufficientScope, requireClaims } from '../connection/refused-use.ts';
import { decideOnSignal } from '../connection/signal.ts';
import { decideOnVerdict } from '../connection/suspicion.ts';
import type { Connection } from '../connection/state.ts';
import { resumeConnection, suspendConnection } from '../connection/suspend.ts';
import type { MetaEvent } from '../evolver.ts';
import {
  clm,
  endUserDigest,
  metaAt,
  owner,
  platformId,
  providerId,
  registrationId,
  ses,
  signalEvidence,
} from './connection.ts';
import { startMs } from './given.ts';

/** What somebody does, with small numbers for ids and versions, so that they meet. */
export interface Step {
  readonly act: keyof typeof acts;
  readonly n: number;
  readonly version: number;
  readonly passedMs: number;
  readonly flag: boolean;
}

/** What a step came to. */
export interface Moment {
  readonly step: Step;
  readonly nowMs: number;
  readonly before: Connection;
  readonly after: Connection;
  readonly events: readonly ConnectionEvent[];
  readonly lease: LeaseDecision | null;
}

export interface Life {
  readonly moments: readonly Moment[];
  readonly history: readonly MetaEvent<ConnectionEvent>[];
  readonly state: Connection;
}

interface Act extends Omit<Step, 'act'> {
  readonly nowMs: number;
}

const granted = { grantedScopes: ['contacts.read'], accountDigest: null };
const tokenLifeMs = 60_000;
const claimTimeoutMs = 20_000;
const noReason = { reason: null };

const asking = (n: number, nowMs: number) => ({
  sessionId: ses(n),
  pollerId: 'one',
  pollingUntilMs: nowMs + 30_000,
  intervalS: 5,
});

/** Everybody's deeds, also the late and the foolish ones. */
const acts = {
  begin: (s: Connection, { n, nowMs, flag }: Act) =>
    startAuthorization(
      {
        sessionId: ses(n),
        purpose: s.authorization === 'none' || flag ? 'connect' : 'reauthorize',
        platformId,
        providerId,
        registrationId,
        endUserDigest,
        requestedScopes: granted.grantedScopes,
        returnUrl: 'https://platform.example/return',
        expiresAtMs: nowMs + 100_000,
        ...(n === 1 && { grant: 'device_code' as const }),
        nowMs,
      },
      s,
    ),
  device: (s: Connection, { n, nowMs }: Act) =>
    startDeviceAuthorization({ ...asking(n, nowMs), deviceCodeExpiresAtMs: nowMs + 90_000, nowMs }, s),
  poll: (s: Connection, { n, nowMs, flag }: Act) =>
    startDevicePolling({ ...asking(n, nowMs), ...(flag && { pollerId: 'another' }), nowMs }, s),
  grantDevice: (s: Connection, { n, nowMs, flag }: Act) =>
    grantDeviceAuthorization(
      { sessionId: ses(n), accountDigest: null, ...(flag && { senderConstrained: 'dpop' as const }), nowMs },
      s,
    ),
  establish: (s: Connection, { n, nowMs, flag }: Act) =>
    startEstablishment(
      {
        sessionId: ses(n),
        purpose: s.authorization === 'none' || flag ? 'connect' : 'reauthorize',
        grant: n === 3 ? 'device_code' : 'client_credentials',
        platformId,
        providerId,
        registrationId,
        endUserDigest,
        requestedScopes: granted.grantedScopes,
        expiresAtMs: nowMs + 100_000,
        providerVersion: 3,
        nowMs,
      },
      s,
    ),
  exchange: (s: Connection, { n, nowMs }: Act) => startCodeExchange({ sessionId: ses(n), nowMs }, s),
  deny: (s: Connection, { n, nowMs, flag }: Act) =>
    denyAuthorization(
      {
        sessionId: ses(n),
        stage: flag ? 'exchange' : 'authorization',
        error: 'access_denied',
        errorDescription: null,
        nowMs,
      },
      s,
    ),
  complete: (s: Connection, { n, nowMs, version, flag }: Act) =>
    completeAuthorization(
      {
        sessionId: ses(n),
        endUserDigest,
        credentialVersion: (s.credential?.version ?? 0) + version,
        accessTokenExpiresAtMs: flag ? nowMs + tokenLifeMs : null,
        hasRefreshToken: n !== 3 && s.session?.grant === undefined,
        ...(s.session?.grant !== undefined && { grant: s.session.grant }),
        ...(n === 2 && flag && { senderConstrained: 'dpop' as const }),
        ...(n !== 2 && { rotateAtMs: nowMs + 50_000 }),
        ...(n === 2 && { endedByRefresh: { leadMs: 20_000, graceMs: 0 } }),
        nowMs,
        ...granted,
      },
      s,
    ),
  announce: (s: Connection, { n, nowMs, version }: Act) =>
    n === 1
      ? announceRotation({ credentialVersion: version }, s)
      : announceAuthorizationEnd({ endsAtMs: nowMs + 100_000, credentialVersion: version }, s),
  claim: (s: Connection, { n, nowMs, flag }: Act) =>
    startRefresh({ claimId: clm(n), claimTimeoutMs, reason: flag ? 'expired' : 'requested', nowMs }, s),
  release: (s: Connection, { n, nowMs }: Act) => releaseRefreshToken({ claimId: clm(n), nowMs }, s),
  refreshed: (s: Connection, { n, nowMs, version, flag }: Act) =>
    recordRefreshed(
      {
        claimId: clm(n),
        credentialVersion: (s.credential?.version ?? 0) + version,
        grantedScopes: n === 1 ? [] : granted.grantedScopes,
        accessTokenExpiresAtMs: nowMs + tokenLifeMs,
        rotated: flag,
        nowMs,
      },
      s,
    ),
  failed: (s: Connection, { n, nowMs }: Act) =>
    recordRefreshFailed(
      { claimId: clm(n), error: 'timeout', httpStatus: null, nextAttemptAtMs: nowMs + 5_000, nowMs },
      s,
    ),
  rejected: (s: Connection, { n, nowMs }: Act) =>
    recordRefreshRejected(
      { claimId: clm(n), error: 'invalid_grant', errorDescription: null, httpStatus: 400, nowMs },
      s,
    ),
  interrupt: (s: Connection, { n, nowMs, flag }: Act) =>
    interruptRefresh({ claimId: clm(n), nowMs, claimSeenOver: flag }, s),
  require: (s: Connection, { nowMs, version }: Act) =>
    requireReauthorization({ cause: 'refresh_token_missing', evidence: null, credentialVersion: version, nowMs }, s),
  signal: (s: Connection, { n, nowMs, flag }: Act) =>
    decideOnSignal(
      {
        means: flag ? 'grant_ended' : 'hint',
        evidence: signalEvidence({ position: n + 1, occurredAtMs: n === 1 ? null : nowMs, receivedAtMs: nowMs }),
      },
      s,
    ),
  revoke: (s: Connection) => revokeConnection({ cause: 'requested_by_platform', reason: null }, s),
  told: (s: Connection) =>
    recordUpstreamRevoked({ credentialVersion: s.credential?.version ?? 1, method: 'rfc7009' }, s),
  notTold: (s: Connection, { version, flag }: Act) =>
    recordUpstreamRevocationFailed({ credentialVersion: version, error: 'timeout', final: flag }, s),
  answered: (s: Connection, { n, version, nowMs, flag }: Act) =>
    decideOnVerdict(
      {
        ...{ verdict: n === 1 ? 'dead' : 'alive', method: 'probe', error: null, askedAtPosition: flag ? 1 : n },
        credentialVersion: s.credential?.version ?? version,
        evidence: signalEvidence({ receivedAtMs: nowMs }),
      },
      s,
      1,
    ),
  /** These lives are short: who asks may be far ahead of them. */
  inspect: (s: Connection, { nowMs, flag }: Act) =>
    startInspection({ nowMs: nowMs + (flag ? limits.inspectionIntervalMsMin : 0) }, s),
  tooLittle: (s: Connection, { n, version }: Act) =>
    recordInsufficientScope(
      {
        credentialVersion: s.credential?.version ?? version,
        neededScopes: [`scope-${n}`],
        error: 'insufficient_scope',
      },
      s,
    ),
  otherClaims: (s: Connection, { n, version }: Act) =>
    requireClaims({ credentialVersion: n === 3 ? (s.credential?.version ?? version) : 9, claims: '{}' }, s),
  suspend: (s: Connection) => suspendConnection(noReason, s),
  resume: (s: Connection) => resumeConnection(noReason, s),
  delete: (s: Connection) => requestDeletion(noReason, s),
  shred: (s: Connection) => shredKey({}, s),
};

/** What a step comes to on this state. @throws {PosternError} as its decider does */
export function deed(step: Step, state: Connection, nowMs: number): ConnectionEvent[] {
  return acts[step.act](state, { ...step, nowMs });
}

/** Nothing but a coded refusal may be thrown: anything else passes through and fails the property. */
function coded<T>(action: () => T): T | null {
  try {
    return action();
  } catch (error) {
    if (error instanceof PosternError) return null;
    throw error;
  }
}

/** Lives through these steps, as the repository would: each decision is folded into the state it was decided on. */
export function live(steps: readonly Step[]): Life {
  let state = connectionEvolver.initialState;
  let nowMs = startMs;
  const moments: Moment[] = [];
  const history: MetaEvent<ConnectionEvent>[] = [];
  for (const step of steps) {
    nowMs += step.passedMs;
    const before = state;
    const events = coded(() => deed(step, before, nowMs)) ?? [];
    for (const event of events) {
      const meta = metaAt(nowMs);
      state = connectionEvolver.evolve(state, event, meta);
      history.push({ event, meta });
    }
    const after = state;
    const lease = coded(() => leaseDecision(after, { ...owner, nowMs, minTtlMs: step.flag ? 0 : 10_000 }));
    moments.push({ step, nowMs, before, after, events, lease });
  }
  return { moments, history, state };
}

const refreshing = ['claim', 'claim', 'release', 'release', 'interrupt', 'interrupt', 'refreshed'] as const;
const authorizing = ['begin', 'exchange', 'complete', 'resume'] as const;
/** Everything that can be done. */
export const actNames = Object.keys(acts) as Step['act'][];

/** One step; the usual ones come more often and meet the same few ids, so that lives get somewhere. */
const step: fc.Arbitrary<Step> = fc.record({
  act: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...refreshing) },
    { weight: 2, arbitrary: fc.constantFrom(...authorizing) },
    { weight: 2, arbitrary: fc.constantFrom(...actNames.filter((name) => name !== 'delete')) },
    { weight: 1, arbitrary: fc.constantFrom(...actNames) },
  ),
  n: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 1, 2, 3),
  version: fc.integer({ min: 0, max: 3 }),
  passedMs: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 1_000, 1_000, 20_000, 61_000),
  flag: fc.boolean(),
});

/** A connection that is in use, so that the interesting part is not left to luck. */
const beginning: readonly Step[] = (['begin', 'exchange', 'complete'] as const).map((act) => ({
  act,
  n: 9,
  version: 1,
  passedMs: 0,
  flag: act === 'complete',
}));

/** A session whose provider is asked about a device code. */
const polling: readonly Step[] = (['begin', 'device'] as const).map((act) => ({
  ...{ act, n: 1, version: 1, passedMs: 0, flag: true },
}));

/** Whole lives, from a connected account, a user code that was shown, or nothing. */
export const lives: fc.Arbitrary<Step[]> = fc
  .tuple(
    fc.oneof(
      { weight: 2, arbitrary: fc.constantFrom<readonly Step[]>(beginning, []) },
      { weight: 1, arbitrary: fc.constant(polling) },
    ),
    fc.array(step, { maxLength: 60, size: 'max' }),
  )
  .map(([first, steps]) => [...first, ...steps]);

/** The types of these events. */
export function typesOf(events: readonly ConnectionEvent[]): ConnectionEventType[] {
  return events.map(({ type }) => type);
}
