import type { Actor, AggregateKind, StoredEvent } from '@postern/contracts';

/** What an event knows beside its data. */
export interface EventMeta {
  readonly tenantId: string;
  readonly aggregateId: string;
  readonly atMs: number;
  readonly actor: Actor;
}

/** How a kind of aggregate folds; libs/domain has them. */
export interface Evolver<State, Event> {
  readonly kind: AggregateKind;
  /** Changes when the shape of the state does: a carried state of another version is folded anew. */
  readonly stateVersion: number;
  readonly initialState: State;
  evolve(state: State, event: Event, meta: EventMeta): State;
}

/** What every event has, whatever its type. */
export interface AnyEvent {
  readonly type: string;
  readonly version: number;
  readonly data: object;
}

/** Lifts a stored event to the newest version. @throws {PosternError} `log.version_unknown` */
export type Upcast = (event: StoredEvent) => AnyEvent;
