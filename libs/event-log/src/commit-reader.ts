import {
  Commit,
  commitEventType,
  commitHeaders,
  commitSignatureContext,
  eventDefinitions,
  limits,
  mayWrite,
  parseJson,
  type AggregateKind,
  type StoredEvent,
} from '@postern/contracts';
import { commitHash, signedMessage } from '@postern/crypto';

import { aggregateOf } from './aggregate.ts';
import type { EncodedCommit } from './encode-commit.ts';
import type { StoredMessage } from './event-log.ts';
import type { CommitVerifier } from './signing.ts';
import { LruCache } from './state-cache.ts';

/** A commit that stands in the log and was checked. */
export interface LogEntry {
  readonly position: number;
  readonly subject: string;
  /** When the server stored it; the commit's own `at` is what the writer's clock said. */
  readonly timeMs: number;
  /** What the aggregate's next commit must carry as `previousHash`. */
  readonly hash: string;
  readonly commit: Commit;
  readonly keyId: string;
  /** Who signed it. */
  readonly identity: string;
  /** The trace it was written in, as its writer said beside it: unsigned, so for telemetry alone. */
  readonly traceparent?: string | undefined;
  /** As {@link StoredMessage.previousPosition}. */
  readonly previousPosition?: number | undefined;
}

/**
 * A message that is not folded.
 *
 * `foreign`: nobody who may have written it signed it. `damaged`: its writer signed it, but it is no commit.
 * `future`: a true commit with an event type or version this release does not know; its aggregate stops.
 */
export interface LogProblem {
  readonly kind: 'foreign' | 'damaged' | 'future';
  readonly position: number;
  readonly subject: string;
  readonly reason: string;
}

export type ReadResult = { readonly kind: 'commit'; readonly entry: LogEntry } | LogProblem;

/** Refuses bytes that are no UTF-8, rather than reading something else than was signed. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** What this process has signed and will meet again. */
interface Own
  extends Pick<EncodedCommit, 'subject' | 'payload' | 'hash'>, Pick<LogEntry, 'commit' | 'keyId' | 'identity'> {}

/** More than a process can have written before it meets the first of them again; some 4 KB each. */
const ownRememberedMax = 512;

type Verdict = Pick<LogProblem, 'kind' | 'reason'>;

const foreign = (reason: string): Verdict => ({ kind: 'foreign', reason });
const damaged = (reason: string): Verdict => ({ kind: 'damaged', reason });

/**
 * Reads a stored message and believes nothing: the bus cannot tell event types apart, and a client may make the server
 * write onto any subject by naming it as its reply (DESIGN §4). So only what its rightful writer signed is folded.
 */
export class CommitReader {
  readonly #verifier: CommitVerifier;
  /** By their signatures. */
  readonly #own = new LruCache<Own>(ownRememberedMax);
  /** Whose the keys are that this process signs with: those that are pinned, by one signature that was checked. */
  readonly #ownKeys = new Map<string, string>();

  constructor({ verifier }: { verifier: CommitVerifier }) {
    this.#verifier = verifier;
  }

  read(message: StoredMessage): ReadResult {
    const { position, subject, timeMs, payload, headers, previousPosition } = message;
    const traceparent = headers[commitHeaders.traceparent];
    const stored = { position, subject, timeMs, traceparent, previousPosition };
    const own = this.#met(message);
    if (own !== undefined) {
      const { hash, commit, keyId, identity } = own;
      return { kind: 'commit', entry: { ...stored, hash, commit, keyId, identity } };
    }
    const problem = ({ kind, reason }: Verdict): LogProblem => ({ kind, position, subject, reason });
    const keyId = headers[commitHeaders.key] ?? '';
    const identity = this.#signedBy(message, keyId);
    if (identity === undefined) return problem(foreign('it carries no valid signature of a known writer'));
    const commit = parseCommit(payload);
    if (commit === undefined) return problem(damaged('its signed payload is no commit'));
    const verdict =
      subjectVerdict(subject, commit) ??
      headerVerdict(headers, commit) ??
      epochVerdict(commit) ??
      eventsVerdict(identity, commit);
    if (verdict !== undefined) return problem(verdict);
    const hash = commitHash(subject, payload);
    return { kind: 'commit', entry: { ...stored, hash, commit, keyId, identity } };
  }

  /** Takes note of a commit that this process has made and will meet again: it is neither checked nor read once more then. */
  made(commit: Commit, { subject, payload, headers, hash }: EncodedCommit): void {
    const { [commitHeaders.key]: keyId = '', [commitHeaders.signature]: signature = '' } = headers;
    const bytes = () => signedMessage(commitSignatureContext, subject, payload);
    const identity = this.#ownKeys.get(keyId) ?? this.#verifier.verify(keyId, bytes, signature)?.identity;
    if (identity === undefined) return;
    this.#ownKeys.set(keyId, identity);
    this.#own.set(signature, { subject, payload, hash, commit, keyId, identity });
  }

  /** Byte by byte what this process has made. */
  #met({ subject, payload, headers }: StoredMessage): Own | undefined {
    const own = this.#own.get(headers[commitHeaders.signature] ?? '');
    const isSame =
      own?.subject === subject &&
      own.keyId === headers[commitHeaders.key] &&
      Buffer.compare(own.payload, payload) === 0;
    return isSame && headerVerdict(headers, own.commit) === undefined ? own : undefined;
  }

  #signedBy({ subject, payload, headers }: StoredMessage, keyId: string): string | undefined {
    const signature = headers[commitHeaders.signature];
    if (signature === undefined || payload.byteLength > limits.commitBytesMax) return undefined;
    const bytes = () => signedMessage(commitSignatureContext, subject, payload);
    return this.#verifier.verify(keyId, bytes, signature)?.identity;
  }
}

function parseCommit(payload: Uint8Array): Commit | undefined {
  try {
    return parseJson(Commit, JSON.parse(utf8.decode(payload)));
  } catch {
    return undefined;
  }
}

function subjectVerdict(subject: string, commit: Commit): Verdict | undefined {
  const aggregate = aggregateOf(subject);
  const agrees =
    aggregate?.tenantId === commit.tenantId &&
    aggregate.kind === commit.aggregate &&
    aggregate.id === commit.aggregateId;
  return agrees ? undefined : foreign('its subject belongs to another aggregate');
}

function headerVerdict(headers: StoredMessage['headers'], { commitId, aggregateId, at }: Commit): Verdict | undefined {
  if (headers[commitHeaders.messageId] !== commitId) return disagrees(commitHeaders.messageId);
  if (headers[commitHeaders.id] !== commitId) return disagrees(commitHeaders.id);
  if (headers[commitHeaders.type] !== commitEventType) return disagrees(commitHeaders.type);
  if (headers[commitHeaders.subject] !== aggregateId) return disagrees(commitHeaders.subject);
  return headers[commitHeaders.time] === at ? undefined : disagrees(commitHeaders.time);
}

function disagrees(name: string): Verdict {
  return foreign(`its header ${name} disagrees with its payload`);
}

const epochMoves: ReadonlySet<string> = new Set(['EpochOpened', 'EpochClosed']);

/**
 * A connection moves to another epoch in a commit of its own that closes the one and opens the other: what is opened has
 * to be what was closed, or a state could be slipped in where what stood before is no longer there to be compared.
 */
function epochVerdict({ events, revision, previousHash }: Commit): Verdict | undefined {
  if (!events.some(({ type }) => epochMoves.has(type))) return undefined;
  const [closing, opening] = events;
  if (events.length !== 2 || closing?.type !== 'EpochClosed' || opening?.type !== 'EpochOpened') {
    return foreign('an epoch is closed and the next one opened together, and with nothing else');
  }
  const { epoch, nextEpoch, authorization } = closing.data;
  const { epoch: opened, previousEpoch, previousRevision, previousHash: hash, state } = opening.data;
  const agrees =
    opened === nextEpoch &&
    previousEpoch === epoch &&
    previousRevision === revision - 1 &&
    hash === previousHash &&
    (state as { readonly authorization?: unknown } | null)?.authorization === authorization;
  return agrees ? undefined : foreign('what it opens is not what it closes');
}

function eventsVerdict(identity: string, { aggregate, events }: Commit): Verdict | undefined {
  if (events.length > limits.eventsPerCommitMax) return damaged('it holds too many events');
  let first: Verdict | undefined;
  for (const event of events) {
    const verdict = eventVerdict(identity, aggregate, event);
    // What nobody may write outweighs what is merely not known yet.
    if (verdict?.kind === 'foreign') return verdict;
    first ??= verdict;
  }
  return first;
}

function eventVerdict(identity: string, aggregate: AggregateKind, event: StoredEvent): Verdict | undefined {
  const { type, version, data } = event;
  const known = eventDefinitions.get(type);
  if (known === undefined) return { kind: 'future', reason: `its event ${type} is unknown` };
  if (known.aggregate !== aggregate) return foreign(`its event ${type} belongs to another kind of aggregate`);
  if (!mayWrite(identity, type)) return foreign(`${identity} may not write ${type}`);
  if (version > known.version) return { kind: 'future', reason: `version ${version} of ${type} is unknown` };
  if (version < known.version) return undefined;
  const read = parseJson(known.data, data);
  if (read === undefined) return damaged(`the data of its event ${type} does not fit`);
  // Just what the schema makes of it: whoever folds an event of the newest version takes it as it is here.
  if (read !== data) event.data = read as StoredEvent['data'];
  return undefined;
}
