import { isPosternError } from '@postern/contracts';
import type { EventLog, StoredMessage } from '@postern/event-log';
import { waitFor } from '@postern/testing';

/** A bound on failure: elections take seconds, on a busy machine many, and may come one after the other. */
const unavailableMsMax = 120_000;

/** Does something again as long as the cluster has no leader, or one that has not heard from the others for a moment. */
export async function patiently<T>(act: () => Promise<T>): Promise<T> {
  let last: unknown;
  const attempt = async (): Promise<{ readonly value: T } | undefined> => {
    try {
      return { value: await act() };
    } catch (error) {
      if (!isPosternError(error) || error.code !== 'log.unavailable') throw error;
      last = error;
      return undefined;
    }
  };
  const describe = () => `the log to be available: ${String(last)}`;
  return (await waitFor(attempt, { timeoutMs: unavailableMsMax, describe })).value;
}

/** The same log, whose questions are asked again while it is unavailable; its appends outlast that by themselves. */
export function patientLog(log: EventLog): EventLog {
  return {
    append: (request) => log.append(request),
    appendTogether: (requests) => log.appendTogether(requests),
    last: (subject, options) => patiently(() => log.last(subject, options)),
    lastOfEach: (subjects, position) => patiently(() => log.lastOfEach(subjects, position)),
    at: (position) => patiently(() => log.at(position)),
    beginning: () => log.beginning(),
    head: (filter) => patiently(() => log.head(filter)),
    subscribe: (request) => patiently(() => log.subscribe(request)),
    read: async function* (request) {
      yield* await patiently(async () => {
        const messages: StoredMessage[] = [];
        for await (const message of log.read(request)) messages.push(message);
        return messages;
      });
    },
  };
}
