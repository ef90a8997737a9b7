import type { z } from 'zod';

import { adminEvents, type AdminEvent } from './admin-events.ts';
import type { IdentityName } from './apps.ts';
import type { AggregateKind } from './commit.ts';
import { connectionEvents, type ConnectionEvent } from './connection-events.ts';

export type PosternEvent = ConnectionEvent | AdminEvent;

/** What is known of an event type. */
export interface EventDefinition {
  readonly type: string;
  /** The newest version; older ones are lifted to it by upcasters at read. */
  readonly version: number;
  /** The only identities whose signature makes such an event true; nearly every event has one. */
  readonly writers: readonly IdentityName[];
  readonly aggregate: AggregateKind;
  readonly summary: string;
  readonly data: z.ZodType;
}

type WriterColumn = { readonly writer: IdentityName } | { readonly writers: readonly IdentityName[] };

function writersOf(row: WriterColumn): readonly IdentityName[] {
  return 'writers' in row ? row.writers : [row.writer];
}

/** Every event type there is, by name. */
export const eventDefinitions: ReadonlyMap<string, EventDefinition> = new Map<string, EventDefinition>([
  ...Object.entries(connectionEvents).map(
    ([type, row]) => [type, { ...row, type, writers: writersOf(row), aggregate: 'connection' as const }] as const,
  ),
  ...Object.entries(adminEvents).map(([type, row]) => [type, { ...row, type, writers: writersOf(row) }] as const),
]);

/** May this identity write that event? The bus cannot tell event types apart, so signatures and this table do. */
export function mayWrite(identity: string, eventType: string): boolean {
  return eventDefinitions.get(eventType)?.writers.some((writer) => writer === identity) ?? false;
}
