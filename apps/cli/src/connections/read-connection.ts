import { PosternError, type EventView } from '@postern/contracts';
import { connectionEvolver, delegationOf, loadDelegationChain, viewOf } from '@postern/domain';
import type { EventLog } from '@postern/event-log';
import { loadCatalog } from '@postern/provider-catalog';

import { eventViewsOf } from '../events/event-lines.ts';
import { selectionOf } from '../events/selection.ts';
import { rolloutOf } from '../providers/versions.ts';
import type { Session } from '../session/session.ts';
import { eventsShown, isCutOff, type Shown } from './show-lines.ts';

/**
 * A connection as its events make it, read from the log itself: what is shown when services are down is as true.
 *
 * @throws {PosternError} `connection.not_found`
 */
export async function readConnection(session: Session, tenantId: string, connectionId: string): Promise<Shown> {
  const { filter } = selectionOf(tenantId, { connection: connectionId });
  const connections = session.repository(connectionEvolver);
  const loaded = await connections.load({ tenantId, id: connectionId }, { fromLeader: true });
  const { state, revision, position } = loaded;
  if (revision === 0) throw new PosternError('connection.not_found', 'There is no such connection.');
  let events = await lastEvents(session, session.connections, filter);
  // The archive is read only where a cut has left less than a screen.
  if (isCutOff(events)) events = await lastEvents(session, session.past.connections, filter);
  const load = async (id: string) => (await connections.load({ tenantId, id }, { fromLeader: true })).state;
  const chain = await loadDelegationChain(delegationOf(state), load);
  const nowMs = Date.now();
  const reauthorizeUrl = `${session.publicUrl}/connect/${connectionId}`;
  const isKnown = loadCatalog().has(state.providerId);
  const rollout = isKnown ? await rolloutOf(session, tenantId, state.providerId) : null;
  return {
    state,
    events,
    rollout,
    chain,
    nowMs,
    view: viewOf(state, { revision, position, reauthorizeUrl, chain, nowMs }),
  };
}

async function lastEvents({ reader }: Session, log: EventLog, filter: string): Promise<EventView[]> {
  let events: EventView[] = [];
  for await (const message of log.read({ filter })) {
    const read = reader.read(message);
    if (read.kind === 'commit') events = [...events, ...eventViewsOf(read.entry)].slice(-eventsShown);
  }
  return events;
}
