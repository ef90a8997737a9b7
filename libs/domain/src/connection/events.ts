import { connectionEvents, limits, type ConnectionEvent, type ConnectionEventType } from '@postern/contracts';

/** The data of one type of event. */
export type DataOf<T extends ConnectionEventType> = Extract<ConnectionEvent, { type: T }>['data'];

/** An event of a connection at its newest version. */
export function connectionEvent<T extends ConnectionEventType>(type: T, data: DataOf<T>): ConnectionEvent {
  return { type, version: connectionEvents[type].version, data } as ConnectionEvent;
}

/** A provider's own words, verbatim up to the length that the log keeps: providers send whole web pages. */
export function providerWords(text: string): string {
  return text.slice(0, limits.providerWordsCharsMax);
}
