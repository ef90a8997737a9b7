import { PosternError, type ErrorCode } from '@postern/contracts';

import { fold, type EventMeta, type Evolver } from '../evolver.ts';

/** When the first event of every specification happens; each further event comes a second later. */
export const startMs = Date.parse('2030-01-01T00:00:00Z');
export const secondMs = 1_000;

export const tenantId = 'ten_01jd0000000000000000000000';

/** What a decision came to, to be compared. */
export interface Outcome<State> {
  then(events: unknown[]): void;
  thenNothing(): void;
  thenRefused(code: ErrorCode): void;
  /** The state after the decided events. */
  thenState(): State;
}

/** Given/when/then for the deciders of one aggregate. */
export function specification<State, Event>(evolver: Evolver<State, Event>, aggregateId: string) {
  const metaAt = (atMs: number): EventMeta => ({ tenantId, aggregateId, atMs, actor: { type: 'service', id: 'spec' } });
  const stateOf = (events: readonly Event[], from?: State, fromMs = startMs): State =>
    fold(
      evolver,
      events.map((event, index) => ({ event, meta: metaAt(fromMs + index * secondMs) })),
      from,
    );
  return {
    metaAt,
    stateOf,
    given: (events: readonly Event[]) => ({
      when<Command>(decider: (command: Command, state: State) => Event[], command: Command): Outcome<State> {
        const state = stateOf(events);
        const decide = () => decider(command, state);
        return {
          // oxlint-disable-next-line unicorn/no-thenable -- given, when, then: nobody awaits a specification
          then: (expected) => expect(decide()).toEqual(expected),
          thenNothing: () => expect(decide()).toEqual([]),
          thenRefused: (code) => expect(codeOf(decide)).toBe(code),
          thenState: () => stateOf(decide(), state, startMs + events.length * secondMs),
        };
      },
    }),
  };
}

/** The code with which this is refused; what is not refused, or throws anything else, fails the test. */
export function codeOf(action: () => unknown): ErrorCode {
  return refusalOf(action).code;
}

export function refusalOf(action: () => unknown): PosternError {
  let result: unknown;
  try {
    result = action();
  } catch (error) {
    if (error instanceof PosternError) return error;
    throw error;
  }
  throw new Error(`was not refused: ${JSON.stringify(result)}`);
}
