import { readFileSync } from 'node:fs';

import { AuthorizationDetails, operations, PosternError, type Operation, type ReplyOf } from '@postern/contracts';
import type { Command } from 'commander';
import type { z } from 'zod';

import { table } from '../output/printer.ts';
import { printEvents } from '../events/event-lines.ts';
import type { RunCommand } from '../run-command.ts';
import type { Session } from '../session/session.ts';
import { establishCommand } from './establish-command.ts';
import { importCommand } from './import-command.ts';
import { scopesCommand } from './scopes-command.ts';

/** `postern connections …`: one connection's life. */
export function connectionCommands(program: Command, run: RunCommand): void {
  const connections = program.command('connections').description('one connection’s life');

  connections
    .command('list')
    .description('the connections of a tenant')
    .action(
      run.withSession(async ({ session, tenantId, printer }) => {
        const found = await listAll(session, tenantId);
        printer.result(found, () =>
          table([
            ['CONNECTION', 'STATE', 'HEALTH', 'PROVIDER', 'SCOPES', 'EXPIRES', 'REV'],
            ...found.map((view) => [
              view.connection_id,
              view.suspended ? 'suspended' : view.authorization,
              view.freshness.health,
              view.provider,
              view.scope.join(' '),
              view.freshness.credential_expires_at ?? '-',
              String(view.revision),
            ]),
          ]),
        );
      }),
    );

  connections
    .command('show <connection>')
    .description('its state, its clocks, its last events and what to do next')
    .action(
      run.withSession(async ({ session, tenantId, printer, args: [connectionId = ''] }) => {
        // With the catalog of providers, which the other questions do not need.
        const [{ readConnection }, { showLines }] = await Promise.all([
          import('./read-connection.ts'),
          import('./show-lines.ts'),
        ]);
        const shown = await readConnection(session, tenantId, connectionId);
        const pinned = shown.state.credential?.providerVersion ?? null;
        printer.result({ ...shown.view, provider_file_version: pinned, events: shown.events }, () => showLines(shown));
      }),
    );

  connections
    .command('events <connection>')
    .description('its events, oldest first')
    .action(
      run.withSession(async ({ session, tenantId, printer, args: [connectionId = ''] }) => {
        const events = await allEvents(session, tenantId, connectionId);
        printEvents(events, printer);
      }),
    );

  scopesCommand(connections, run);
  establishCommand(connections, run);
  importCommand(connections, run);

  const change = <O extends Operation>(name: string, operation: O, words: string, { cascades = false } = {}) => {
    const command = connections
      .command(`${name} <connection>`)
      .description(words)
      .option('--reason <text>', 'kept with the decision; no personal data');
    if (cascades) {
      command.option('--cascade', 'ends what the provider ends with it, too');
    }
    command.action(
      run.withSession(async ({ session, tenantId, printer, args: [connectionId = ''], options }) => {
        const reason = typeof options['reason'] === 'string' ? { reason: options['reason'] } : {};
        const cascade = options['cascade'] === true ? { cascade: true } : {};
        const request = { connection_id: connectionId, ...reason, ...cascade } as z.input<O['request']>;
        const reply = await session.call(operation, tenantId, request);
        printer.result(reply, () => replyLines(name, reply));
      }),
    );
  };

  change('revoke', operations.revokeConnection, 'refuses it from now on and tells the provider', { cascades: true });
  change('suspend', operations.suspendConnection, 'refuses it until it is resumed');
  change('resume', operations.resumeConnection, 'ends a suspension');
  change('delete', operations.deleteConnection, 'refuses it for ever, tells the provider, shreds its key', {
    cascades: true,
  });

  for (const [name, operation, words] of [
    ['refresh', operations.refreshConnection, 'refreshes it now and tells the outcome'],
    ['reauthorize', operations.reauthorize, 'begins a session that authorizes it anew'],
  ] as const) {
    const command = connections.command(`${name} <connection>`).description(words);
    if (operation === operations.reauthorize) {
      command.option(
        '--authorization-details <file>',
        'what exactly is asked for (RFC 9396): JSON, an array of objects',
      );
    }
    command.action(
      run.withSession(async ({ session, tenantId, printer, args: [connectionId = ''], options }) => {
        const file = options['authorizationDetails'];
        const details = typeof file === 'string' ? { authorization_details: detailsIn(file) } : {};
        const request = { connection_id: connectionId, ...details };
        const reply = await session.call<Operation>(operation, tenantId, request);
        printer.result(reply, () => replyLines(name, reply));
      }),
    );
  }
}

/** @throws {PosternError} `request.malformed` */
function detailsIn(file: string): AuthorizationDetails {
  try {
    return AuthorizationDetails.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    const form = 'an array of at most 16 objects with a type each, no longer than 2048 bytes';
    throw new PosternError('request.malformed', `The file of --authorization-details is not ${form}, in JSON.`);
  }
}

type ListReply = ReplyOf<typeof operations.listConnections>;
type EventsReply = ReplyOf<typeof operations.listEvents>;

async function listAll(session: Session, tenantId: string): Promise<ListReply['connections']> {
  const found: ListReply['connections'] = [];
  let after: number | null = 0;
  while (after !== null) {
    const page: ListReply = await session.call(operations.listConnections, tenantId, { after });
    found.push(...page.connections);
    after = page.next;
  }
  return found;
}

async function allEvents(session: Session, tenantId: string, connectionId: string): Promise<EventsReply['events']> {
  const found: EventsReply['events'] = [];
  let after: number | null = 0;
  while (after !== null) {
    const page: EventsReply = await session.call(operations.listEvents, tenantId, {
      connection_id: connectionId,
      after,
    });
    found.push(...page.events);
    after = page.next;
  }
  return found;
}

function replyLines(name: string, reply: unknown): string[] {
  const rows = Object.entries(reply as Record<string, unknown>).map(([key, value]) => [
    key,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return [`${name}: done`, ...table([['FIELD', 'VALUE'], ...rows])];
}
