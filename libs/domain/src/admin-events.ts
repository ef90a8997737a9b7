import {
  adminEvents,
  PosternError,
  type AdminAggregate,
  type AdminEvent,
  type AdminEventType,
  type ErrorCode,
} from '@postern/contracts';

import type { EventMeta } from './evolver.ts';

/** The data of one type of event on ADMIN. */
export type AdminDataOf<T extends AdminEventType> = Extract<AdminEvent, { type: T }>['data'];

/** An event on ADMIN at its newest version. */
export function adminEvent<T extends AdminEventType>(type: T, data: AdminDataOf<T>): Extract<AdminEvent, { type: T }> {
  return { type, version: adminEvents[type].version, data } as Extract<AdminEvent, { type: T }>;
}

/** What every aggregate on ADMIN has: whether it began, and whether it was disabled, which is for ever. */
export interface AdminState {
  readonly exists: boolean;
  readonly disabled: boolean;
}

type AdminEvolvers<State, T extends AdminEventType> = {
  readonly [K in T]: (state: State, data: AdminDataOf<K>, meta: EventMeta) => State;
};

/**
 * A total fold out of one function an event type: unknown types, and whatever comes before the beginning, change
 * nothing.
 */
export function adminEvolve<State extends AdminState, T extends AdminEventType>(
  begins: T,
  evolvers: AdminEvolvers<State, T>,
): (state: State, event: Extract<AdminEvent, { type: T }>, meta: EventMeta) => State {
  return (state, event, meta) => {
    if (!Object.hasOwn(evolvers, event.type) || state.exists === (event.type === begins)) return state;
    const apply = evolvers[event.type] as (state: State, data: unknown, meta: EventMeta) => State;
    return apply(state, event.data, meta);
  };
}

/** The others begin with their first decision and have no end. */
type AdminArea = Exclude<AdminAggregate, 'rollout' | 'governance' | 'approval'>;

/** @throws {PosternError} `<area>.not_found` when it never began */
export function requireBegun(area: AdminArea, state: AdminState): void {
  if (!state.exists) throw new PosternError(`${area}.not_found`, `There is no such ${area}.`);
}

/** @throws {PosternError} `<area>.not_found`, `<area>.disabled` */
export function requireEnabled(area: AdminArea, state: AdminState): void {
  requireBegun(area, state);
  if (state.disabled) throw new PosternError(`${area}.disabled`, `The ${area} is disabled.`);
}

/**
 * The rule of every creation: the first begins, a repeat in the same words is no event, other words are refused.
 *
 * @throws {PosternError} `<area>.exists`
 */
export function createOnce<Event>(area: AdminArea, state: AdminState, { same, event }: Creation<Event>): Event[] {
  if (!state.exists) return [event];
  if (same) return [];
  const code: ErrorCode = `${area}.exists`;
  throw new PosternError(code, `The ${area} exists already, and is another.`);
}

interface Creation<Event> {
  /** Does the existing one say the same? */
  readonly same: boolean;
  readonly event: Event;
}

/** Are these lists and records alike, in order? Plain JSON only. */
export function alike(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
