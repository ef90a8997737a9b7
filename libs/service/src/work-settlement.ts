import { isPosternError } from '@postern/contracts';
import type { WorkMessage } from '@postern/nats';

const nakDelayMsMin = 500;
const nakDelayMsMax = 60_000;

/** A message that knows whether its handler has settled it. */
export interface Settleable extends WorkMessage {
  readonly settled: boolean;
}

/** Watches the settling of a message, so that it happens once: whoever comes first decides. */
export function settleOnce(message: WorkMessage): Settleable {
  let settled = false;
  const first = (): boolean => {
    const isFirst = !settled;
    settled = true;
    return isFirst;
  };
  return {
    ...message,
    ack: async () => (first() ? await message.ack() : undefined),
    nak: (delayMs) => (first() ? message.nak(delayMs) : undefined),
    passOver: (delayMs) => (first() ? message.passOver(delayMs) : undefined),
    term: (reason) => (first() ? message.term(reason) : undefined),
    get settled() {
      return settled;
    },
  };
}

/**
 * Decides the fate of a message whose handler failed, from the error's row.
 *
 * @returns what happened, for the log line.
 */
export async function settleFailed(message: WorkMessage, error: unknown): Promise<string> {
  const delivery = isPosternError(error) ? error.row.delivery : 'nak';
  if (delivery === 'ack') {
    await message.ack();
    return 'acknowledged';
  }
  if (delivery === 'term') {
    message.term(isPosternError(error) ? error.code : 'service.internal');
    return 'given up';
  }
  const delayMs = retryDelayMs(message.deliveries, error);
  message.nak(delayMs);
  return `put back for ${Math.round(delayMs)}ms`;
}

/** Doubles with every delivery, unless the error knows better when to come back. */
export function retryDelayMs(deliveries: number, error?: unknown): number {
  const advised = isPosternError(error) ? error.details.retry_after_s : undefined;
  if (advised !== undefined) return advised * 1000;
  if (isPosternError(error) && error.row.retry === 'reread') return nakDelayMsMin;
  return Math.min(nakDelayMsMax, nakDelayMsMin * 2 ** Math.min(deliveries - 1, 16));
}
