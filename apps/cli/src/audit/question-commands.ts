import { isId, PosternError, type Moment } from '@postern/contracts';
import type { Command } from 'commander';

import type { RunCommand, SessionRun } from '../run-command.ts';
import { askDiff, askWhoCould, askWhoDid, type Asked } from './ask.ts';
import {
  changeLines,
  connectionLines,
  momentLine,
  moreLines,
  partyLines,
  reachLines,
  useLines,
} from './question-lines.ts';

const rowsMaxDefault = '10000';
const moments = 'a time (RFC 3339), a position of CONNECTIONS, or a moment that an answer named';

/** `postern audit who-did|who-could|diff|reach`: questions about the past, answered by replay to a position. */
export function questionCommands(audit: Command, run: RunCommand): void {
  const question = (name: string, description: string) =>
    audit.command(name).description(description).option('--limit <rows>', 'how many rows at most', rowsMaxDefault);

  question('who-did', 'who used which connection, for what purpose, under which scopes, granted or refused and why')
    .option('--connection <id>', 'only of this connection')
    .option('--agent <id>', 'only by this agent')
    .option('--platform <id>', 'only by this platform')
    .option('--outcome <outcome>', 'only granted, or only refused')
    .option('--from <moment>', 'only what was recorded after it')
    .option('--at <moment>', `up to it; ${moments}; now when absent`)
    .action(run.withSession((asking) => whoDid(asking)));

  question('who-could', 'which platforms and agents could have used which connections, as things stood at a moment')
    .option('--connection <id>', 'only this connection')
    .option('--agent <id>', 'only what this agent could have used')
    .option('--platform <id>', 'only what this platform could have used')
    .option('--registration <id>', 'only connections of this client registration')
    .option('--at <moment>', `${moments}; now when absent`)
    .action(run.withSession((asking) => whoCould(asking)));

  question('diff', 'what is not at one moment what it was at another')
    .requiredOption('--at <moment>', moments)
    .option('--until <moment>', 'now when absent')
    .action(run.withSession((asking) => diff(asking)));

  question('reach <id>', 'how far an agent, a platform or a client registration reaches, and what of it was used')
    .option('--at <moment>', `${moments}; now when absent`)
    .action(run.withSession((asking) => reach(asking)));
}

async function whoDid(asking: SessionRun): Promise<void> {
  const { moments: at, rows, more, notBelieved } = await askWhoDid(pagingOf(asking));
  asking.printer.result({ answered_at: at, uses: rows, not_believed: notBelieved, more }, () => [
    ...useLines(rows),
    ...notBelieved.map(({ position, reason }) => `position ${position} of ACCESS was not believed: ${reason}`),
    ...moreLines(more),
    momentLine(at),
  ]);
}

async function whoCould(asking: SessionRun): Promise<void> {
  const { moments: at, rows, platforms, more } = await askWhoCould(pagingOf(asking));
  asking.printer.result({ answered_at: at, connections: rows, platforms, more }, () => [
    ...connectionLines(rows),
    ...partyLines(platforms),
    ...moreLines(more),
    momentLine(at),
  ]);
}

async function diff(asking: SessionRun): Promise<void> {
  const { moments: between, rows, more } = await askDiff(pagingOf(asking));
  asking.printer.result({ ...between, changes: rows, more }, () => [
    ...changeLines(rows),
    ...moreLines(more),
    `from ${between.before.moment}`,
    `to   ${between.after.moment}`,
  ]);
}

/** Of an agent or platform also what it did with what it could; a registration does nothing by itself. */
async function reach(asking: SessionRun): Promise<void> {
  const [id = ''] = asking.args;
  const named = namedBy(id);
  const paging = pagingOf(asking);
  const could = await askWhoCould({ ...paging, asked: { ...named, at: paging.asked['at'] } });
  const at = could.moments;
  const used =
    named['registration_id'] === undefined
      ? await askWhoDid({ ...paging, asked: { ...named, at: at.moment } })
      : await usesOf(could.rows, { paging, at });
  const uses = countedUses(used.rows);
  const usable = could.rows.filter((one) => one.could);
  const scopes = [...new Set(usable.flatMap(({ scope }) => scope))].toSorted();
  const result = {
    ...{
      answered_at: at,
      of: id,
      connections: could.rows.map((one) => ({ ...one, uses: uses.get(one.connection_id) ?? noUse })),
    },
    platforms: could.platforms,
    ...{ could_use: usable.length, scopes, more: could.more || used.more },
  };
  asking.printer.result(result, () => [
    ...reachLines(result.connections),
    ...partyLines(could.platforms),
    `${id} reaches ${usable.length} of ${could.rows.length} connections; scopes: ${scopes.join(' ') || 'none'}`,
    ...moreLines(result.more),
    momentLine(at),
  ]);
}

interface UseCount {
  granted: number;
  refused: number;
  last_at: string | null;
}

const noUse: UseCount = Object.freeze({ granted: 0, refused: 0, last_at: null });

type Paging = Parameters<typeof askWhoDid>[0];
type Uses = Pick<Awaited<ReturnType<typeof askWhoDid>>, 'rows' | 'more'>;

/** Uses name no registration: those of its connections are picked out of all of the tenant's. */
async function usesOf(
  connections: readonly { readonly connection_id: string }[],
  { paging, at }: { readonly paging: Paging; readonly at: Moment },
): Promise<Uses> {
  const wanted = new Set(connections.map(({ connection_id: id }) => id));
  const { rows, more } = await askWhoDid({ ...paging, asked: { at: at.moment } });
  return { rows: rows.filter(({ connection_id: id }) => wanted.has(id)), more };
}

function countedUses(rows: Uses['rows']): Map<string, UseCount> {
  const counted = new Map<string, UseCount>();
  for (const { connection_id: id, outcome, at } of rows) {
    const count = counted.get(id) ?? { ...noUse };
    count[outcome] += 1;
    count.last_at = at;
    counted.set(id, count);
  }
  return counted;
}

/** @throws {PosternError} `request.malformed` for what reaches nothing. */
function namedBy(id: string): Asked {
  if (isId('agent', id)) return { agent_id: id };
  if (isId('platform', id)) return { platform_id: id };
  if (isId('registration', id)) return { registration_id: id };
  throw new PosternError('request.malformed', `${id} is no agent (agt_…), platform (plt_…) or registration (reg_…).`);
}

function pagingOf({ session, tenantId, options }: SessionRun): Paging {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : undefined);
  const asked = {
    connection_id: text('connection'),
    agent_id: text('agent'),
    platform_id: text('platform'),
    registration_id: text('registration'),
    outcome: text('outcome'),
    ...{ from: text('from'), at: text('at'), until: text('until') },
  };
  const rowsMax = Number(text('limit'));
  if (!Number.isSafeInteger(rowsMax) || rowsMax < 1) {
    throw new PosternError('request.malformed', '--limit takes a whole number above 0.');
  }
  return { session, tenantId, asked: defined(asked), rowsMax };
}

const defined = (asked: Asked): Asked =>
  Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
