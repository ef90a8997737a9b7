import type { AggregateChange, ConnectionUse, Moment, UsableConnection, UsingPlatform } from '@postern/contracts';

import { paint, table } from '../output/printer.ts';

/** How an answer is asked for again. */
export const momentLine = ({ moment }: Moment): string => `as of ${moment}`;

export const moreLines = (more: boolean): string[] =>
  more ? [paint('33', 'There are more: narrow the question, or raise --limit.')] : [];

export function useLines(uses: readonly ConnectionUse[]): string[] {
  if (uses.length === 0) return ['nobody'];
  return table([
    ['at', 'connection', 'agent', 'platform', 'outcome', 'scopes', 'purpose', 'lease'],
    ...uses.map((use) => [
      use.at,
      use.connection_id,
      use.agent_id,
      use.platform_id,
      use.code === null ? use.outcome : `${use.outcome}: ${use.code}`,
      use.scope?.join(' ') ?? '-',
      // A caller's words: what a terminal would obey is shown, not done.
      JSON.stringify(use.purpose),
      use.lease_id,
    ]),
  ]);
}

export function connectionLines(connections: readonly UsableConnection[]): string[] {
  if (connections.length === 0) return ['no connection'];
  return table([
    ['connection', 'could', 'platform', 'provider', 'registration', 'state', 'scopes'],
    ...connections.map((one) => [
      one.connection_id,
      couldWord(one),
      one.platform_id,
      one.provider,
      one.registration_id,
      one.suspended ? `${one.authorization}, suspended` : one.authorization,
      one.scope.join(' ') || '-',
    ]),
  ]);
}

export function partyLines(platforms: readonly UsingPlatform[]): string[] {
  if (platforms.length === 0) return [];
  const rows = platforms.flatMap((platform) => [
    [platform.platform_id, platform.name, couldWord(platform)],
    ...platform.agents.map((agent) => [`  ${agent.agent_id}`, agent.name, couldWord(agent)]),
  ]);
  return ['', ...table([['by', 'name', 'could'], ...rows]), ''];
}

type Reached = UsableConnection & {
  readonly uses: { readonly granted: number; readonly refused: number; readonly last_at: string | null };
};

export function reachLines(connections: readonly Reached[]): string[] {
  if (connections.length === 0) return ['no connection'];
  return table([
    ['connection', 'could', 'provider', 'scopes', 'granted', 'refused', 'last'],
    ...connections.map((one) => [
      one.connection_id,
      couldWord(one),
      one.provider,
      one.scope.join(' ') || '-',
      `${one.uses.granted}`,
      `${one.uses.refused}`,
      one.uses.last_at ?? 'never',
    ]),
  ]);
}

export function changeLines(changes: readonly AggregateChange[]): string[] {
  if (changes.length === 0) return ['nothing changed'];
  return changes.flatMap(({ kind, id, before, after, changed, first_position: position }) => [
    `${paint('1', `${kind} ${id}`)} ${before === null ? 'appeared' : 'changed'} from position ${position} on`,
    ...(changed.length === 0 ? ['  and is what it was'] : []),
    ...changed.map((name) => `  ${name}: ${before === null ? '' : `${shown(before[name])} → `}${shown(after[name])}`),
  ]);
}

const couldWord = ({ could, code }: { readonly could: boolean; readonly code: string | null }) =>
  could ? 'yes' : `no: ${code}`;

const shown = (value: unknown): string => JSON.stringify(value) ?? 'unknown';
