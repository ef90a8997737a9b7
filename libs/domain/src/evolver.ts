import type { Actor, AggregateKind } from '@postern/contracts';

/** What the fold needs of a commit beside its events. */
export interface EventMeta {
  readonly tenantId: string;
  readonly aggregateId: string;
  /** The commit's `at`; the repository sees to it that it never goes back within an aggregate. */
  readonly atMs: number;
  readonly actor: Actor;
}

/**
 * How an aggregate's state follows from its events.
 *
 * `evolve` is total: it never throws, and an event type it does not know leaves the state as it is. States are plain
 * JSON with null instead of undefined and a fixed order of keys, so that a replay gives the live state byte for byte.
 */
export interface Evolver<State, Event> {
  readonly kind: AggregateKind;
  /** Rises with any change of the state's shape or meaning; a carried state of another version is folded anew. */
  readonly stateVersion: number;
  readonly initialState: State;
  evolve(state: State, event: Event, meta: EventMeta): State;
}

/** An event and what its commit says about it. */
export interface MetaEvent<Event> {
  readonly event: Event;
  readonly meta: EventMeta;
}

/** The state after these events; from the beginning unless a state to go on from is given. */
export function fold<State, Event>(
  evolver: Evolver<State, Event>,
  history: Iterable<MetaEvent<Event>>,
  from: State = evolver.initialState,
): State {
  let state = from;
  for (const { event, meta } of history) state = evolver.evolve(state, event, meta);
  return state;
}
