import type { LogEntry } from './commit-reader.ts';
import type { AnyEvent, Evolver, Upcast } from './evolver.ts';
import { emptyLoaded, foldEntry, isOpening, loadedOf, openingOf, type Loaded } from './loaded.ts';

export interface ProofSources<State, Event extends AnyEvent> {
  readonly evolver: Evolver<State, Event>;
  readonly upcast: Upcast;
  /** The aggregate's true commits before the one to prove, the last one first; read no further than needed. */
  readonly earlier: AsyncIterable<LogEntry>;
  /** May the aggregate begin at this position, since what stood before was verified and dropped? */
  readonly mayBegin: (position: number) => Promise<boolean>;
  /** The state from events alone, up to and with a position. */
  readonly fold: (untilPosition: number) => Promise<Loaded<State>>;
}

/**
 * The state after a commit, without taking its writer's word for it.
 *
 * Every commit carries the state after it, signed by its writer; a stolen identity could sign a state that its events do
 * not give. So the commits that one writer made in a row are folded onto what another writer left before them, and a
 * commit that does not follow, or carries another state than its events give, counts as foreign. Since every writer
 * decides only on proven states, one stolen identity changes no state beyond what its own events may.
 *
 * @returns the state of the last commit that holds; its `expectedPosition` is that of `last` all the same.
 */
export async function provenState<State, Event extends AnyEvent>(
  last: LogEntry,
  sources: ProofSources<State, Event>,
): Promise<Loaded<State>> {
  const run: LogEntry[] = [last];
  let base: Loaded<State> | undefined;
  for await (const previous of sources.earlier) {
    if (previous.identity !== last.identity) {
      base = await carriedOrFolded(previous, sources);
      break;
    }
    run.push(previous);
  }
  if (base === undefined) base = await beginningOf(run, sources);
  for (const entry of run.toReversed()) base = following(base, entry, sources) ?? base;
  return { ...base, expectedPosition: last.position };
}

/**
 * What follows from a commit onto a state that is proven.
 *
 * @returns undefined when the commit does not continue it, or carries another state than its events give.
 */
export function following<State, Event extends AnyEvent>(
  before: Loaded<State>,
  entry: LogEntry,
  { evolver, upcast }: Pick<ProofSources<State, Event>, 'evolver' | 'upcast'>,
): Loaded<State> | undefined {
  const { commit } = entry;
  if (commit.revision !== before.revision + 1 || commit.previousHash !== before.hash) return undefined;
  const after = foldEntry(before, entry, { evolver, upcast });
  const comparable = commit.stateVersion === evolver.stateVersion;
  return comparable && JSON.stringify(commit.state) !== JSON.stringify(after.state) ? undefined : after;
}

/**
 * Nothing stands before this run: it begins with nothing, or, where the rest was dropped, with the first opening in it,
 * which was verified then; what the drop has left before that is not needed.
 */
async function beginningOf<State, Event extends AnyEvent>(
  run: LogEntry[],
  sources: ProofSources<State, Event>,
): Promise<Loaded<State>> {
  const nothing = emptyLoaded(sources.evolver);
  const eldest = run.at(-1);
  if (eldest === undefined || eldest.commit.revision === 1) return nothing;
  const at = run.findLastIndex(({ commit }) => isOpening(commit));
  const opening = run[at];
  if (opening === undefined || !(await sources.mayBegin(opening.position))) return nothing;
  run.splice(at);
  return openingOf(opening, sources);
}

async function carriedOrFolded<State, Event extends AnyEvent>(
  entry: LogEntry,
  { evolver, fold }: ProofSources<State, Event>,
): Promise<Loaded<State>> {
  return entry.commit.stateVersion === evolver.stateVersion
    ? loadedOf(entry, entry.commit.state as State)
    : await fold(entry.position);
}
