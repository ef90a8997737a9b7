import type { Msg } from '@nats-io/nats-core';

import type { Question } from '../ask-once.ts';
import type { Bus } from '../bus.ts';

/** What the server said, in order: an error's code, or what an append or a leader read came to. */
export type Heard = number | 'stored' | 'duplicate' | 'found' | 'nothing';

interface Answer {
  readonly error?: { readonly err_code?: number };
  readonly duplicate?: boolean;
  readonly message?: object;
}

const noMessageFound = 10037;

/** A bus that writes down what the server answered to appends and leader reads. */
export function recordingBus(bus: Bus): { readonly bus: Bus; readonly heard: Heard[] } {
  const heard: Heard[] = [];
  return { bus: listeningTo(bus, { onAnswer: (answer) => heard.push(outcome(answer.json<Answer>())) }), heard };
}

interface Listener {
  readonly onAsk?: (question: Question) => void;
  readonly onAnswer?: (answer: Msg) => void;
}

/** A bus that tells of each question it asks, and of each answer that comes. */
export function listeningTo(bus: Bus, { onAsk, onAnswer }: Listener): Bus {
  const told = (name: 'ask' | 'request') => async (question: Question) => {
    onAsk?.(question);
    const answer = await bus[name](question);
    onAnswer?.(answer);
    return answer;
  };
  return overriding(bus, { ask: told('ask'), request: told('request') });
}

function outcome({ error, duplicate, message }: Answer): Heard {
  if (error !== undefined) return error.err_code === noMessageFound ? 'nothing' : (error.err_code ?? 0);
  if (message !== undefined) return 'found';
  return duplicate === true ? 'duplicate' : 'stored';
}

/** The same object, but for some of its properties; its methods go on working on the object itself. */
function overriding<T extends object>(target: T, overrides: Partial<T>): T {
  return new Proxy(target, {
    get: (object, name) => {
      if (Object.hasOwn(overrides, name)) return Reflect.get(overrides, name);
      const value: unknown = Reflect.get(object, name, object);
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });
}
