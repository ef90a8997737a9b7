import { isPosternError, operations, PosternError, type ConnectionEvent, type ReplyOf } from '@postern/contracts';
import { freshnessOf, leaseDecision, startRefresh, type Connection } from '@postern/domain';

/** A connection as it stood after some message of the log. */
export interface Standing {
  readonly state: Connection;
  readonly position: number;
}

/** What was asked: refresh, while this version is the current one. */
export interface Question {
  readonly credentialVersion: number;
  /** `requested` overrides a back-off. */
  readonly reason: 'expired' | 'requested';
  readonly nowMs: number;
  /** Told to whom only the end user can help. */
  readonly reauthorizeUrl: string;
}

type Reply = ReplyOf<typeof operations.refreshConnection>;

/** What the caller is told; undefined while there is nothing to tell yet. */
export type Answer = { readonly reply: Reply } | { readonly refusal: PosternError };

/** A claim ended without new tokens. */
const failures: ReadonlySet<string> = new Set<ConnectionEvent['type']>(['RefreshFailed', 'RefreshInterrupted']);

/**
 * What can be told without refreshing: that it was done already, that it cannot be done, or that it failed just now.
 *
 * @returns undefined when there is work to do, or under way.
 */
export function answerNow(standing: Standing, question: Question): Answer | undefined {
  const { state } = standing;
  return answerOf(() => {
    try {
      const { credentialVersion, reason, nowMs } = question;
      const probe = { claimId: '', claimTimeoutMs: 0, reason, credentialVersion, nowMs };
      const events = startRefresh(probe, state);
      const isSettled =
        state.credential?.version !== credentialVersion || (events.length === 0 && state.claim === null);
      return isSettled ? replyOf(standing, question) : undefined;
    } catch (error) {
      return afterRefusal(error, standing, question);
    }
  });
}

/**
 * What follows from a commit for somebody who waits.
 *
 * A failure is no answer while a retry is due at once; and while the access token lives, a failure is told as the
 * degraded freshness of a valid token.
 */
export function answerAfter(
  events: readonly { readonly type: string }[],
  standing: Standing,
  question: Question,
): Answer | undefined {
  const { state } = standing;
  const { authorization, suspended, credential, health } = state;
  const usable = authorization === 'authorized' && !suspended;
  const isNewer = credential !== null && credential.version > question.credentialVersion;
  const hasFailed = events.some(({ type }) => failures.has(type));
  if (usable && !isNewer && !hasFailed) return undefined;
  if (usable && !isNewer && (health.nextAttemptAtMs ?? 0) <= question.nowMs) return undefined;
  return answerOf(() => {
    const { kind } = leaseDecision(state, leaseQuestion(state, question));
    return isNewer || kind === 'grant' ? replyOf(standing, question) : undefined;
  });
}

/**
 * What is told while the provider is left alone: a living token with its freshness, or when to come back. Waiting would
 * end no sooner.
 */
export function answerPaused(standing: Standing, question: Question, pausedMs: number): Answer | undefined {
  const error = new PosternError('refresh.unavailable', 'The provider fails; it is left alone for a while.', {
    details: { retry_after_s: Math.ceil(pausedMs / 1_000) },
  });
  return answerOf(() => afterRefusal(error, standing, question));
}

/** The domain said no: with the connection's own code where it cannot be used, softened where the token still lives. */
function afterRefusal(error: unknown, standing: Standing, question: Question): Reply {
  const { state } = standing;
  if (!isPosternError(error) || error.code === 'connection.not_found') throw error;
  const { kind } = leaseDecision(state, leaseQuestion(state, question));
  if (error.code === 'refresh.unavailable' && kind === 'grant') return replyOf(standing, question);
  const details = { ...error.details, freshness: freshnessOf(state, question) };
  throw new PosternError(error.code, error.message, { cause: error, details });
}

function leaseQuestion({ tenantId, platformId }: Connection, { nowMs, reauthorizeUrl }: Question) {
  return { tenantId, platformId, nowMs, reauthorizeUrl, givesNothing: true };
}

function replyOf({ state, position }: Standing, { nowMs }: Question): Reply {
  return {
    connection_id: state.connectionId,
    position,
    credential_version: state.credential?.version ?? 0,
    freshness: freshnessOf(state, { nowMs }),
  };
}

function answerOf(decide: () => Reply | undefined): Answer | undefined {
  try {
    const reply = decide();
    return reply && { reply };
  } catch (error) {
    if (isPosternError(error)) return { refusal: error };
    throw error;
  }
}
