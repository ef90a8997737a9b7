import { setTimeout as delay } from 'node:timers/promises';

import { limits, PosternError } from '@postern/contracts';

import type { Appended, AppendRequest, StoredMessage } from './event-log.ts';

/** What one sending of a message came to. */
export type SendOutcome =
  | { readonly kind: 'stored'; readonly position: number }
  /** The server says something else stands there, or that another append is under way. */
  | { readonly kind: 'conflict' }
  /** The server says it has it already. */
  | { readonly kind: 'duplicate'; readonly position?: number }
  /** No answer: it may be stored, or not, or not yet. */
  | { readonly kind: 'silent'; readonly cause: unknown }
  /** It certainly was not stored, but may be on another try. */
  | { readonly kind: 'unreachable'; readonly cause: unknown };

/** How long an append goes on before it gives up. */
export interface AppendPolicy {
  readonly attemptsMax: number;
  readonly retryDelayMsMin: number;
  readonly retryDelayMsMax: number;
}

export const appendPolicy: AppendPolicy = Object.freeze({
  attemptsMax: 6,
  retryDelayMsMin: 15,
  retryDelayMsMax: 1_000,
});

/** Waits before the next attempt; whoever drives time by himself brings his own. */
export type Pause = (policy: AppendPolicy, attempt: number) => Promise<void>;

/** @internal */
export const pauseForReal: Pause = async (policy, attempt) => {
  await delay(retryDelayMs(policy, attempt));
};

export interface AppendSteps {
  /** Sends the message once. A thrown error ends the append: it is a definite refusal. */
  readonly send: () => Promise<SendOutcome>;
  /** From the leader: the first message on the subject after the expected position. */
  readonly standing: () => Promise<StoredMessage | undefined>;
  readonly policy?: AppendPolicy | undefined;
  readonly pause?: Pause | undefined;
}

/**
 * Settles an append whatever became of its acknowledgement (DESIGN §4).
 *
 * After a conflict or silence only one thing tells the truth: what stands after the expected position, read from the
 * leader. Ours: it had succeeded. Another's: decide again. Nothing: it may be in flight, so wait and send the same
 * message again; it can only ever be stored once, since the position it expects can only be followed once.
 *
 * @throws {PosternError} `log.conflict`, `log.unavailable` (certainly not stored), `log.outcome_unknown`.
 */
export async function resolveAppend(request: AppendRequest, steps: AppendSteps): Promise<Appended> {
  const { policy = appendPolicy, pause = pauseForReal } = steps;
  let silence: unknown;
  let last: SendOutcome | undefined;
  for (let attempt = 1; attempt <= policy.attemptsMax; attempt += 1) {
    const outcome = await steps.send();
    if (outcome.kind === 'stored') return { position: outcome.position, duplicate: false };
    last = outcome;
    if (outcome.kind === 'silent') silence = outcome.cause;
    const found = outcome.kind === 'unreachable' ? undefined : await steps.standing().catch(() => undefined);
    if (found !== undefined) {
      if (isOurs(found, request)) return { position: found.position, duplicate: true };
      throw conflict(found);
    }
    if (attempt < policy.attemptsMax) await pause(policy, attempt);
  }
  if (silence !== undefined || last?.kind === 'duplicate') {
    throw new PosternError('log.outcome_unknown', 'No acknowledgement came, and nothing stands in the log yet.', {
      cause: silence,
    });
  }
  if (last?.kind === 'conflict') throw conflict(request);
  throw new PosternError('log.unavailable', 'The event log does not take appends.', {
    cause: last?.kind === 'unreachable' ? last.cause : undefined,
  });
}

/** How messages that stand together or not at all are sent, and found. */
export interface AppendTogetherSteps extends Pick<AppendSteps, 'policy' | 'pause'> {
  /** Sends all of them once; `stored` tells where the first one stands. */
  readonly send: () => Promise<SendOutcome>;
  readonly standing: (request: AppendRequest) => Promise<StoredMessage | undefined>;
}

/**
 * Settles the append of several messages: where the first one stands, there stand all of them; where something else stands
 * in the place of any, none of them ever will.
 *
 * @returns where each stands
 * @throws {PosternError} `request.malformed` for a subject named twice; as {@link resolveAppend}
 */
export async function resolveTogether(
  requests: readonly AppendRequest[],
  { send, standing, policy, pause }: AppendTogetherSteps,
): Promise<number[]> {
  const [first] = requests;
  const subjects = new Set(requests.map(({ subject }) => subject));
  if (first === undefined || requests.length > limits.togetherMax || subjects.size < requests.length) {
    const words = `Together go 1 to ${limits.togetherMax} messages, each on a subject of its own.`;
    throw new PosternError('request.malformed', words);
  }
  const inTheWay = async () => {
    for (const request of requests) {
      const found = await standing(request);
      if (found !== undefined && (request === first || !isOurs(found, request))) return found;
    }
    return undefined;
  };
  const settled = await resolveAppend(first, { send, standing: inTheWay, policy, pause });
  if (!settled.duplicate) return requests.map((_, index) => settled.position + index);
  return await Promise.all(
    requests.map(async (request) => {
      const found = await standing(request);
      if (found !== undefined && isOurs(found, request)) return found.position;
      throw new PosternError('log.outcome_unknown', `Of what went together, nothing stands on ${request.subject}.`);
    }),
  );
}

/** By id and by bytes: an id alone can be copied by whoever may append. */
function isOurs(found: StoredMessage, { messageId, payload }: AppendRequest): boolean {
  return found.headers['Nats-Msg-Id'] === messageId && Buffer.compare(found.payload, payload) === 0;
}

function conflict({ subject }: Pick<AppendRequest, 'subject'>): PosternError {
  return new PosternError('log.conflict', `Something stands on ${subject} that was not expected there.`);
}

/**
 * Doubles, with half of it random, so that racers part.
 *
 * @param random between 0 and 1
 */
export function retryDelayMs(
  { retryDelayMsMin, retryDelayMsMax }: AppendPolicy,
  attempt: number,
  random = Math.random(),
): number {
  const ceiling = Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** (attempt - 1));
  return ceiling / 2 + (random * ceiling) / 2;
}
