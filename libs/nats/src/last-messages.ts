import { PosternError } from '@postern/contracts';
import type { StoredMessage } from '@postern/event-log';

import type { Bus } from './bus.ts';
import { answersTo, lastMessagesSubjectsMax } from './read-by-subject.ts';

/**
 * The last message on each of these literal subjects, by subject; subjects without one are left out.
 *
 * Answered by any replica, so it may be a moment behind.
 *
 * @throws {PosternError} `log.unavailable`, `auth.forbidden`
 */
export async function lastMessages(
  bus: Bus,
  { stream, subjects }: { readonly stream: string; readonly subjects: readonly string[] },
): Promise<ReadonlyMap<string, StoredMessage>> {
  const found = new Map<string, StoredMessage>();
  if (subjects.length === 0) return found;
  if (subjects.length > lastMessagesSubjectsMax) {
    throw new PosternError(
      'service.internal',
      `No more than ${lastMessagesSubjectsMax} subjects can be read at a time.`,
    );
  }
  for await (const message of answersTo({ bus, stream }, { multi_last: subjects })) found.set(message.subject, message);
  return found;
}
