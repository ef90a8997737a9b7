import type { LogEntry } from '@postern/event-log';

import type { ModelRow } from './tables.ts';

/**
 * Why a commit does not follow what stood of its connection; null when it does.
 *
 * The first event of a later epoch begins again at revision 1 and names what it goes on from.
 */
export function gapOf({ commit }: LogEntry, before: ModelRow | undefined): string | null {
  const revision = Number(before?.['revision'] ?? 0);
  const hash = before?.['hash'] ?? null;
  const [first] = commit.events;
  if (first?.type === 'EpochOpened' && commit.revision === 1) {
    const isNext = first.data['previousRevision'] === revision && first.data['previousHash'] === hash;
    // An epoch that was archived and dropped is not read any more: its connections begin with their openings.
    return before === undefined || isNext ? null : `its epoch does not go on from revision ${revision}`;
  }
  if (commit.revision !== revision + 1) return `revision ${commit.revision} follows ${revision}`;
  return commit.previousHash === hash ? null : 'it does not carry the hash of the message before it';
}
