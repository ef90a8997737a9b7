import type { BoundedReadRequest } from '@postern/event-log';

import type { Bus } from './bus.ts';

/** A stream to read. */
export interface ReadSource {
  readonly bus: Bus;
  readonly stream: string;
  /** The position of the stream's last message, from the leader. */
  readonly head: () => Promise<number>;
}

/** A request with both its ends, as of now: nothing is read when the first lies beyond the last. */
export async function rangeOf<Request extends BoundedReadRequest>(
  { head }: Pick<ReadSource, 'head'>,
  request: Request,
): Promise<Request & { readonly fromPosition: number; readonly endPosition: number }> {
  const { fromPosition = 1, untilPosition = Infinity } = request;
  return { ...request, fromPosition, endPosition: Math.min(untilPosition, await head()) };
}
