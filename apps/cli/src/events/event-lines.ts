import type { EventView } from '@postern/contracts';
import type { LogEntry } from '@postern/event-log';

import { paint, type Printer } from '../output/printer.ts';

/** One event as one line for a person. */
export function eventLine({ position, at, type, data, actor }: EventView): string {
  const facts = Object.entries(data)
    .filter(([, value]) => value !== null && (typeof value !== 'object' || Array.isArray(value)))
    .map(([key, value]) => `${key}=${Array.isArray(value) ? value.join(',') : String(value)}`);
  return `${paint('2', `${String(position).padStart(6)}  ${at}`)}  ${paint('1', type.padEnd(28))}  ${paint('2', actor.type.padEnd(13))}  ${facts.join(' ')}`;
}

/** Prints events: a table for people, one JSON object a line otherwise. */
export function printEvents(events: readonly EventView[], printer: Printer): void {
  for (const event of events) printer.line(event, () => eventLine(event));
}

/** The events of a commit as they are told. */
export function eventViewsOf({ position, commit }: LogEntry): EventView[] {
  const { revision, at, actor, commitId, correlationId } = commit;
  const who = actor.id === undefined ? { type: actor.type } : { type: actor.type, id: actor.id };
  return commit.events.map(({ type, version, data }) => ({
    position,
    revision,
    at,
    actor: who,
    type,
    version,
    data,
    ...{
      commit_id: commitId,
      correlation_id: correlationId,
    },
  }));
}
