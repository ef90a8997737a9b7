import { operations, PosternError, type ConnectionScopesReply } from '@postern/contracts';
import type { Command } from 'commander';

import { momentLine } from '../audit/question-lines.ts';
import { createProgress } from '../output/progress.ts';
import { table } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import type { Session } from '../session/session.ts';

/** `postern connections scopes`: asked, given, used, and what could be dropped. */
export function scopesCommand(connections: Command, run: RunCommand): void {
  connections
    .command('scopes <connection>')
    .description('which scopes were asked for, given and used, and which could be dropped')
    .option('--days <days>', 'how far back uses are counted, up to 366', '30')
    .action(
      run.withSession(async ({ session, tenantId, printer, args: [connectionId = ''], options }) => {
        const days = Number(options['days']);
        if (!Number.isInteger(days) || days < 1 || days > 366) {
          throw new PosternError('request.malformed', '--days takes a number from 1 to 366.');
        }
        const told = await askAll(session, tenantId, { connection_id: connectionId, days });
        printer.result(told, () => scopesLines(told));
      }),
    );
}

async function askAll(
  session: Session,
  tenantId: string,
  asked: { readonly connection_id: string; readonly days: number },
): Promise<ConnectionScopesReply> {
  const progress = createProgress();
  try {
    let told = await session.call(operations.connectionScopes, tenantId, asked);
    while (told.next !== null) {
      progress.tell(`ACCESS read up to position ${told.read_up_to} of ${told.answered_at.access}`);
      const more = { ...asked, at: told.answered_at.moment, after: told.next };
      told = together(told, await session.call(operations.connectionScopes, tenantId, more));
    }
    return told;
  } finally {
    progress.end();
  }
}

/** Two pages as one: uses add up, and what either of them saw in use cannot be dropped. */
export function together(one: ConnectionScopesReply, next: ConnectionScopesReply): ConnectionScopesReply {
  const scopes = new Map(one.used.scopes.map((use) => [use.scope, use]));
  for (const use of next.used.scopes) {
    scopes.set(use.scope, { ...use, leases: use.leases + (scopes.get(use.scope)?.leases ?? 0) });
  }
  const used = {
    ...one.used,
    leases: one.used.leases + next.used.leases,
    without_scopes: one.used.without_scopes + next.used.without_scopes,
    scopes: [...scopes.values()],
  };
  const notBelieved = [...one.not_believed, ...next.not_believed];
  return {
    ...next,
    used,
    could_be_dropped: one.could_be_dropped.filter((scope) => next.could_be_dropped.includes(scope)),
    certain: next.next === null && used.without_scopes === 0 && notBelieved.length === 0,
    not_believed: notBelieved,
  };
}

/** A row a scope, and what follows from all of them. */
export function scopesLines(told: ConnectionScopesReply): string[] {
  const { asked, given, used, drifts, could_be_dropped: spare, not_believed: notBelieved } = told;
  const all = [...(asked?.scopes ?? []), ...(given?.scopes ?? []), ...used.missing, ...used.scopes.map((u) => u.scope)];
  const uses = new Map(used.scopes.map((use) => [use.scope, use]));
  const yes = (is: boolean | undefined) => (is === true ? 'yes' : '-');
  return [
    ...table([
      ['SCOPE', 'ASKED', 'GIVEN', 'LEASES', 'LAST USED'],
      ...[...new Set(all)].map((scope) => [
        ...[scope, yes(asked?.scopes.includes(scope)), yes(given?.scopes.includes(scope))],
        ...[String(uses.get(scope)?.leases ?? 0), uses.get(scope)?.last_at ?? '-'],
      ]),
    ]),
    ...(asked?.capabilities ? [`asked for as: ${asked.capabilities.join(', ')}`] : []),
    ...(asked === null && given !== null ? ['what was asked for stood in a part of the log that is not here'] : []),
    ...drifts.map(({ at, lost, gained }) =>
      [`${at} drift:`, ...lost.map((scope) => `-${scope}`), ...gained.map((scope) => `+${scope}`)].join(' '),
    ),
    ...(used.missing.length > 0 ? [`the provider’s API wanted besides: ${used.missing.join(' ')}`] : []),
    `${used.leases} leases since ${used.since}, ${used.without_scopes} of them named no scopes`,
    ...notBelieved.map(({ position, reason }) => `position ${position} of ACCESS was not believed: ${reason}`),
    spareLine(spare, told.certain),
    momentLine(told.answered_at),
  ];
}

function spareLine(spare: readonly string[], certain: boolean): string {
  if (spare.length === 0) return 'could be dropped: none';
  const words = `could be dropped: ${spare.join(' ')}`;
  return certain ? words : `${words} (no lease named them, but some uses are not known by scope)`;
}
