import type { ConsumerKey } from '@postern/contracts';

/** @returns in how many milliseconds the message shall come again; undefined for one that is worked on now. */
export type LooksAtMessage = (subject: string, payload: Uint8Array) => number | undefined;

/**
 * What a service looks at before anything is made of a message of its consumers: no span, no handler, no JSON. For queues
 * in which many stand before the one whose turn it is.
 */
export class PassOver {
  readonly #looks = new Map<ConsumerKey, LooksAtMessage>();

  /** @param look must decide at once, by what is in memory. The handler has the last word: it is asked again. */
  of(consumer: ConsumerKey, look: LooksAtMessage): void {
    this.#looks.set(consumer, look);
  }

  /** @internal */
  readonly lookOf = (consumer: ConsumerKey): LooksAtMessage | undefined => this.#looks.get(consumer);
}
