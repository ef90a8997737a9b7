import { PosternError, type EventView } from '@postern/contracts';
import { connectionEvolver, upcast, viewOf, type Connection } from '@postern/domain';
import type { LogEntry } from '@postern/event-log';
import { loadCatalog } from '@postern/provider-catalog';

import { eventViewsOf } from '../events/event-lines.ts';
import { selectionOf } from '../events/selection.ts';
import { rolloutOf } from '../providers/versions.ts';
import type { Session } from '../session/session.ts';
import type { Shown } from './show-lines.ts';

/** More does not fit on a screen. */
const eventsShown = 8;

/**
 * A connection as its events make it, read from the log itself: what is shown when services are down is as true.
 *
 * @throws {PosternError} `connection.not_found`
 */
export async function readConnection(session: Session, tenantId: string, connectionId: string): Promise<Shown> {
  const { filter } = selectionOf(tenantId, { connection: connectionId });
  let state: Connection = connectionEvolver.initialState;
  let last: LogEntry | undefined;
  let events: EventView[] = [];
  for await (const message of session.connections.read({ filter })) {
    const read = session.reader.read(message);
    if (read.kind !== 'commit') continue;
    last = read.entry;
    state = foldEntry(state, read.entry);
    events = [...events, ...eventViewsOf(read.entry)].slice(-eventsShown);
  }
  if (last === undefined) throw new PosternError('connection.not_found', 'There is no such connection.');
  const nowMs = Date.now();
  const { revision } = last.commit;
  const reauthorizeUrl = `${session.publicUrl}/connect/${connectionId}`;
  const isKnown = loadCatalog().has(state.providerId);
  const rollout = isKnown ? await rolloutOf(session, tenantId, state.providerId) : null;
  return {
    state,
    events,
    rollout,
    nowMs,
    view: viewOf(state, { revision, position: last.position, reauthorizeUrl, nowMs }),
  };
}

/** The state after a commit. */
function foldEntry(state: Connection, { commit }: LogEntry): Connection {
  const { tenantId, aggregateId, at, actor } = commit;
  const meta = { tenantId, aggregateId, atMs: Date.parse(at), actor };
  return commit.events.reduce((before, event) => connectionEvolver.evolve(before, upcast(event) as never, meta), state);
}
