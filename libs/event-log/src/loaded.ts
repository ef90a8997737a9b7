import { eventDefinitions, PosternError, type Commit, type StoredEvent } from '@postern/contracts';

import type { LogEntry } from './commit-reader.ts';
import type { AnyEvent, EventMeta, Evolver, Upcast } from './evolver.ts';

/** An aggregate as it stands in the log. */
export interface Loaded<State> {
  readonly state: State;
  /** Ours, gapless from 1; 0 while there is nothing. */
  readonly revision: number;
  /** Where its last commit stands; 0 while there is none. */
  readonly position: number;
  /**
   * Where the last message of any kind stands on its subject: what an append has to expect. Beyond `position` only
   * when somebody wrote there who may not, so that a foreign message stops nobody's appends.
   */
  readonly expectedPosition: number;
  /** What the next commit carries as `previousHash`. */
  readonly hash: string | null;
  /** When the last commit was made; time never goes back within an aggregate. */
  readonly atMs: number;
}

/** Nothing stands on the subject yet, or nothing that counts. */
export function emptyLoaded<State>(evolver: Evolver<State, never>, expectedPosition = 0): Loaded<State> {
  return { state: evolver.initialState, revision: 0, position: 0, expectedPosition, hash: null, atMs: 0 };
}

/** What follows from a commit and the state after it. */
export function loadedOf<State>(
  { position, hash, commit }: LogEntry,
  state: State,
  atMs = Date.parse(commit.at),
): Loaded<State> {
  return { state, revision: commit.revision, position, expectedPosition: position, hash, atMs };
}

/** Accepts the newest versions only; for evolvers whose events have no older ones. */
export const currentVersionsOnly: Upcast = (event: StoredEvent) => {
  if (eventDefinitions.get(event.type)?.version === event.version) return event;
  throw new PosternError('log.version_unknown', `Version ${event.version} of ${event.type} is unknown.`);
};

/**
 * Applies one commit's events to the state before it, and checks that the commit continues it.
 *
 * @throws {PosternError} `log.message_damaged` when revision or previous hash do not follow.
 */
export function foldEntry<State, Event extends AnyEvent>(
  before: Loaded<State>,
  entry: LogEntry,
  { evolver, upcast }: { evolver: Evolver<State, Event>; upcast: Upcast },
): Loaded<State> {
  const { commit, position } = entry;
  if (commit.revision !== before.revision + 1 || commit.previousHash !== before.hash) {
    throw new PosternError(
      'log.message_damaged',
      `The commit at position ${position} does not follow its predecessor.`,
    );
  }
  const meta: EventMeta = {
    tenantId: commit.tenantId,
    aggregateId: commit.aggregateId,
    atMs: Date.parse(commit.at),
    actor: commit.actor,
  };
  const state = commit.events.reduce(
    (folded, event) => evolver.evolve(folded, (isNewest(event) ? event : upcast(event)) as Event, meta),
    before.state,
  );
  return loadedOf(entry, state, meta.atMs);
}

/** Does this commit open an epoch? Such a commit carries the whole state. */
export function isOpening({ events }: Commit): boolean {
  return events.some(({ type }) => type === 'EpochOpened');
}

/**
 * What an opening gives by itself: the state that went before it, where that was archived, verified and dropped. Nobody
 * but whoever knows that it was verified may begin with one.
 */
export function openingOf<State, Event extends AnyEvent>(
  entry: LogEntry,
  { evolver, upcast }: { evolver: Evolver<State, Event>; upcast: Upcast },
): Loaded<State> {
  const { revision, previousHash: hash } = entry.commit;
  return foldEntry({ ...emptyLoaded(evolver), revision: revision - 1, hash }, entry, { evolver, upcast });
}

/** Of the version that the reader has read through its schema already. */
function isNewest({ type, version }: StoredEvent): boolean {
  return eventDefinitions.get(type)?.version === version;
}
