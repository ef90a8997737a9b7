import { isId, limits, PosternError } from '@postern/contracts';
import { errors, type Msg, type MsgHdrs, type QueuedIterator } from '@nats-io/nats-core';

import type { Bus } from './bus.ts';
import { callHeaders } from './call-headers.ts';

export interface Question {
  readonly subject: string;
  readonly payload: string;
  readonly headers: MsgHdrs;
  readonly timeoutMs: number;
}

/**
 * Asks one instance of a service, as long as it gives signs of life.
 *
 * NATS tells nobody that the process which took a request has died. So whoever works on one says so now and then, and a
 * caller that hears nothing stops waiting: a killed service costs its callers a moment, not their whole patience. A
 * platform gets one reply through its import, so it only waits.
 */
export async function askOne(bus: Bus, { subject, payload, headers, timeoutMs }: Question): Promise<Msg> {
  await bus.turnEnd();
  if (isId('platform', bus.identity)) {
    return await bus.whileConnected(timeoutMs, (timeout) =>
      bus.connection.request(subject, payload, { timeout, headers }),
    );
  }
  headers.set(callHeaders.beat, '1');
  return await bus.whileConnected(timeoutMs, async (maxWait) => {
    const options = { strategy: 'timer', maxWait, headers } as const;
    const answers = (await bus.connection.requestMany(subject, payload, options)) as QueuedIterator<Msg>;
    return await firstAnswer(answers);
  });
}

async function firstAnswer(answers: QueuedIterator<Msg>): Promise<Msg> {
  const silence = new Silence(() => answers.stop(goneError()));
  try {
    for await (const answer of answers) {
      if (!isBeat(answer)) return answer;
      silence.break();
    }
  } finally {
    silence.end();
  }
  throw new errors.TimeoutError();
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
