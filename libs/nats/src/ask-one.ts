import { isId, limits, PosternError } from '@postern/contracts';
import type { Msg, MsgHdrs } from '@nats-io/nats-core';

import type { Question } from './ask-once.ts';
import type { Bus } from './bus.ts';
import { callHeaders } from './call-headers.ts';

/**
 * Asks one instance of a service, as long as it gives signs of life.
 *
 * NATS tells nobody that the process which took a request has died. So whoever works on one says so now and then, and a
 * caller that hears nothing stops waiting: a killed service costs its callers a moment, not their whole patience. A
 * platform gets one reply through its import, so it only waits.
 */
export async function askOne(bus: Bus, question: Question & { readonly headers: MsgHdrs }): Promise<Msg> {
  await bus.turnEnd();
  if (isId('platform', bus.identity)) return await bus.request(question);
  question.headers.set(callHeaders.beat, '1');
  let silence: Silence | undefined;
  const isAnswer = (message: Msg) => {
    if (!isBeat(message)) return true;
    silence?.break();
    return false;
  };
  const onAsk = (giveUp: (error: Error) => void) => {
    silence = new Silence(() => giveUp(goneError()));
  };
  try {
    return await bus.request({ ...question, isAnswer, onAsk });
  } finally {
    silence?.end();
  }
}

const isBeat = ({ data, headers }: Msg) => data.length === 0 && headers?.has(callHeaders.beat) === true;

function goneError(): PosternError {
  return new PosternError('bus.unavailable', 'Whoever was asked gives no sign of life any more.');
}

/** Tells when nothing was heard for too long. */
class Silence {
  readonly #timer: NodeJS.Timeout;
  #heard = 0;

  constructor(onTooLong: () => void) {
    this.#timer = setTimeout(() => {
      const heard = this.#heard;
      // What came while this process was busy with something else is read first.
      setImmediate(() => heard === this.#heard && onTooLong());
    }, limits.callSilenceMsMax);
  }

  break(): void {
    this.#heard += 1;
    this.#timer.refresh();
  }

  end(): void {
    this.#heard += 1;
    clearTimeout(this.#timer);
  }
}
