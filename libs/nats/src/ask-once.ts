import { errors, nuid, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/nats-core';
import { NatsConnectionImpl } from '@nats-io/nats-core/internal';

export interface Question {
  readonly subject: string;
  readonly payload: string | Uint8Array;
  readonly headers?: MsgHdrs | undefined;
  readonly timeoutMs: number;
  /** Is this the answer? What is not is heard, and the next one waited for; the first one counts when absent. */
  readonly isAnswer?: ((message: Msg) => boolean) | undefined;
  /** Called at the start with the way to give up before the time is over. */
  readonly onAsk?: ((giveUp: (error: Error) => void) => void) | undefined;
}

/** What the client holds of a request that waits for its answer. */
interface Waiting {
  readonly token: string;
  readonly requestSubject: string;
  received: number;
  resolver(error: Error | null, message: Msg): void;
}

/** The part of the client that gives the answers out, as it is today. */
interface Mux {
  readonly baseInbox: string;
  cancel(request: Waiting): void;
}

/**
 * Asks on the client's one inbox for answers, as its own `request` does, without what that makes for each: an error with
 * its stack whether it fails or not, and promises for both ends.
 *
 * @throws {Error} what the client has for it: `TimeoutError`, `NoRespondersError`, `PermissionViolationError`,
 *   `ClosedConnectionError`
 */
export async function askOnce(connection: NatsConnection, question: Question): Promise<Msg> {
  const { subject, payload, headers, timeoutMs, isAnswer, onAsk } = question;
  if (!(connection instanceof NatsConnectionImpl)) throw new TypeError('This is no connection of the client.');
  const { protocol } = connection;
  const mux = protocol.muxSubscriptions as unknown as Mux;
  return await new Promise<Msg>((resolve, reject) => {
    const settle = () => {
      clearTimeout(timer);
      mux.cancel(waiting);
    };
    const giveUp = (error: Error) => {
      settle();
      reject(error);
    };
    const waiting: Waiting = {
      token: nuid.next(),
      requestSubject: subject,
      received: 0,
      resolver: (error, message) => {
        if (error !== null) return giveUp(error);
        if (isAnswer?.(message) === false) return;
        settle();
        resolve(message);
      },
    };
    const timer = setTimeout(() => giveUp(new errors.TimeoutError()), timeoutMs);
    try {
      protocol.request(waiting as unknown as Parameters<typeof protocol.request>[0]);
      const reply = `${mux.baseInbox}${waiting.token}`;
      connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers });
      onAsk?.(giveUp);
    } catch (error) {
      giveUp(error instanceof Error ? error : new Error(String(error)));
    }
  });
}
