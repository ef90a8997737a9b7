import { readFileSync } from 'node:fs';

import type { ReuseRule } from '@postern/testing';

/** What an authorization server does with a refresh token that comes a second time; a column of the table each. */
export const reuseRules = ['stable', 'grace', 'family'] as const satisfies readonly ReuseRule[];

/** What is to become of one connection whose worker died. */
export interface Expected {
  readonly outcome: 'refreshed' | 'lost';
  /** At the token endpoint, all workers together. */
  readonly calls: number;
}

/** A row of the table of `docs/flows/refresh.md`. */
export interface CrashRow {
  /** Who dies where, or is held. */
  readonly happens: string;
  /** Events in the log when the process is gone. */
  readonly left: readonly string[];
  /** Events that come then, before the outcome. */
  readonly added: readonly string[];
  readonly expected: Readonly<Record<ReuseRule, Expected>>;
}

const page = new URL('../../../../docs/flows/refresh.md', import.meta.url);
const head = '| what happens | leaves in the log | what is added then | stable | grace | family |';

/** Reads the table of crashes: what the page says is what is checked. @throws when a cell says something else. */
export function readCrashTable(): CrashRow[] {
  const lines = readFileSync(page, 'utf8').split('\n');
  const at = lines.indexOf(head);
  if (at < 0) throw new Error(`docs/flows/refresh.md has no table with the head ${head}`);
  const end = lines.findIndex((line, index) => index > at && !line.startsWith('|'));
  return lines.slice(at + 2, end).map((line) => {
    const [happens = '', left = '', added = '', ...cells] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    const expected = Object.fromEntries(reuseRules.map((rule, column) => [rule, readCell(cells[column] ?? '')]));
    return { happens, left: eventsIn(left), added: eventsIn(added), expected: expected as CrashRow['expected'] };
  });
}

function eventsIn(cell: string): string[] {
  const events = [...cell.matchAll(/`(\w+)`/g)].map(([, type = '']) => type);
  if (events.length === 0 && cell !== 'nothing') throw new Error(`neither events nor nothing: ${cell}`);
  return events;
}

function readCell(cell: string): Expected {
  const [, outcome, calls] = /^(refreshed|lost), (\d) calls?$/.exec(cell) ?? [];
  if (outcome === undefined) throw new Error(`no outcome: ${cell}`);
  return { outcome: outcome as Expected['outcome'], calls: Number(calls) };
}
