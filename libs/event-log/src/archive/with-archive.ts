import type { BoundedReadRequest, EventLog, LastOptions, StoredMessage } from '../event-log.ts';
import type { Archive } from './stream-archive.ts';

/**
 * A log and the archive of its beginning as one log: whoever asks about the past need not know where it lies. What still
 * stands in the stream is read from the stream.
 *
 * For questions, not for decisions: those need nothing that was dropped.
 */
export function withArchive(live: EventLog, archive: Archive): EventLog {
  /** The last position, from that one on, that only the archive holds; 0 where all stands, and no manifest is looked at. */
  const archivedUpTo = async (fromPosition = 1) => {
    const gone = (await live.beginning()).firstPosition - 1;
    return gone < fromPosition ? 0 : Math.min(gone, await archive.lastPosition(gone));
  };

  async function* read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    const { fromPosition = 1, untilPosition = Infinity } = request;
    const archived = await archivedUpTo(fromPosition);
    const before = archive.read({ ...request, untilPosition: Math.min(archived, untilPosition) });
    if (request.lastPerSubject === true)
      return yield* lastOfEach(archived < fromPosition ? undefined : before, request);
    if (archived >= fromPosition) yield* before;
    if (untilPosition > archived) yield* live.read({ ...request, fromPosition: Math.max(fromPosition, archived + 1) });
  }

  async function* lastOfEach(before: AsyncIterable<StoredMessage> | undefined, request: BoundedReadRequest) {
    const lasts = new Map<string, StoredMessage>();
    for await (const message of before ?? []) lasts.set(message.subject, message);
    for await (const message of live.read(request)) lasts.set(message.subject, message);
    yield* [...lasts.values()].toSorted((one, other) => one.position - other.position);
  }

  async function lastArchived(subject: string, untilPosition?: number): Promise<StoredMessage | undefined> {
    const until = Math.min(await archivedUpTo(), untilPosition ?? Infinity);
    return until < 1 ? undefined : await archive.last(subject, until);
  }

  return {
    append: (request) => live.append(request),
    appendTogether: (requests) => live.appendTogether(requests),
    head: async (filter) => {
      const head = await live.head(filter);
      return head === 0 && filter !== undefined ? ((await lastArchived(filter))?.position ?? 0) : head;
    },
    subscribe: (request) => live.subscribe(request),
    // Of the log as a whole nothing is missing.
    beginning: async () => ({ firstPosition: 1, verifiedUpTo: 0 }),
    last: async (subject: string, options?: LastOptions) => {
      const message = (await live.last(subject, options)) ?? (await lastArchived(subject, options?.untilPosition));
      return (message?.position ?? 0) > (options?.newerThan ?? 0) ? message : undefined;
    },
    lastOfEach: async (subjects, untilPosition) => {
      const { firstPosition } = await live.beginning();
      const found = new Map(untilPosition < firstPosition ? [] : await live.lastOfEach(subjects, untilPosition));
      for (const subject of subjects) {
        const message = found.has(subject) ? undefined : await lastArchived(subject, untilPosition);
        if (message !== undefined) found.set(subject, message);
      }
      return found;
    },
    at: async (position) => {
      const message = await live.at(position);
      if (message !== undefined || position > (await archivedUpTo(position))) return message;
      for await (const message of archive.read({ filter: '>', fromPosition: position, untilPosition: position })) {
        return message;
      }
      return undefined;
    },
    read,
  };
}
