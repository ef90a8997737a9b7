import { connectionEvolver, upcast, viewOf, type Connection } from '@postern/domain';
import { CommitReader, type EventLog, type LogEntry, type StoredMessage } from '@postern/event-log';
import { PosternError, provenStreams, streamFilters, streams, subjects } from '@postern/contracts';
import type { Command } from 'commander';

import { withAuditor } from '../audit/auditor.ts';
import type { Printer } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import type { Session } from '../session/session.ts';
import { exportMessage } from './cloud-event.ts';
import { eventLine, eventViewsOf, printEvents } from './event-lines.ts';
import { selectionOf, type Selection } from './selection.ts';

/** `postern events …`: the log. */
export function eventCommands(program: Command, run: RunCommand): void {
  const events = program.command('events').description('the log');

  const selecting = (command: Command) =>
    command
      .option('--connection <id>', 'only this connection')
      .option('--type <event>', 'only this event type')
      .option('--from <position>', 'the first position')
      .option('--to <position>', 'the last position')
      .option('--at <time>', 'as it was at this time (RFC 3339)');

  selecting(
    events.command('replay').description('tells the log again; with --connection also the state it gives'),
  ).action(
    run.withSession(async ({ session, tenantId, printer, options }) => {
      await replay(
        { log: session.connections, reader: session.reader, publicUrl: session.publicUrl },
        selectionOf(tenantId, options),
        printer,
      );
    }),
  );

  selecting(
    events
      .command('export')
      .description('writes stored messages as newline-delimited CloudEvents')
      .option('--log <stream>', 'all of CONNECTIONS, ADMIN or ACCESS, of every tenant: what a checkpoint speaks of'),
  ).action(
    run.withSession(async ({ session, tenantId, options }) => {
      if (typeof options['log'] === 'string') return await exportStream(session, options['log']);
      const selection = selectionOf(tenantId, options);
      for await (const message of selectedMessages(session.connections, selection)) {
        process.stdout.write(`${JSON.stringify(exportMessage(message))}\n`);
      }
    }),
  );

  events
    .command('tail')
    .description('follows the log until Ctrl-C')
    .action(
      run.withSession(async ({ session, tenantId, printer }) => {
        const filter = subjects.connectionsOfTenant(tenantId);
        const fromPosition = (await session.connections.head()) + 1;
        const onMessage = (message: StoredMessage) => {
          const read = session.reader.read(message);
          if (read.kind === 'commit') printEvents(eventViewsOf(read.entry), printer);
          else printer.line(read, () => `${read.position}  ${read.kind}: ${read.reason}`);
        };
        const { stop } = await session.connections.subscribe({
          filter,
          fromPosition,
          onMessage,
          onReset: () => undefined,
        });
        await new Promise<void>((resolve) => process.once('SIGINT', resolve));
        await stop();
      }),
    );
}

async function exportStream(session: Session, wanted: string): Promise<void> {
  const stream = provenStreams.find((one) => streams[one].name === wanted.toUpperCase());
  if (stream === undefined) {
    throw new PosternError('request.malformed', '--log takes CONNECTIONS, ADMIN or ACCESS.');
  }
  await withAuditor(session, async ({ logs }) => {
    for await (const message of logs[stream].read({ filter: streamFilters[stream] })) {
      process.stdout.write(`${JSON.stringify(exportMessage(message))}\n`);
    }
  });
}

async function* selectedMessages(
  log: EventLog,
  { filter, fromPosition, untilPosition, atMs }: Selection,
): AsyncIterable<StoredMessage> {
  for await (const message of log.read({ filter, fromPosition, untilPosition })) {
    if (atMs === undefined || message.timeMs <= atMs) yield message;
  }
}

interface ReplayPlace {
  readonly log: EventLog;
  readonly reader: CommitReader;
  readonly publicUrl: string;
}

async function replay({ log, reader, publicUrl }: ReplayPlace, selection: Selection, printer: Printer): Promise<void> {
  let state: Connection = connectionEvolver.initialState;
  let last: LogEntry | undefined;
  for await (const message of selectedMessages(log, selection)) {
    const read = reader.read(message);
    if (read.kind !== 'commit') {
      printer.line(read, () => `${read.position}  ${read.kind}: ${read.reason}`);
      continue;
    }
    last = read.entry;
    state = foldEntry(state, read.entry);
    for (const view of eventViewsOf(read.entry)) {
      if (selection.type === undefined || selection.type === view.type) printer.line(view, () => eventLine(view));
    }
  }
  if (selection.connectionId === undefined) return;
  if (last === undefined)
    throw new PosternError('connection.not_found', 'No event of this connection stands in that part of the log.');
  const { revision } = last.commit;
  const view = viewOf(state, {
    revision,
    position: last.position,
    reauthorizeUrl: `${publicUrl}/connect/${selection.connectionId}`,
    nowMs: selection.atMs ?? Date.now(),
  });
  printer.line({ state: view }, () => `\nstate at position ${last.position}: ${JSON.stringify(view, null, 2)}`);
}

function foldEntry(state: Connection, { commit }: LogEntry): Connection {
  const { tenantId, aggregateId, at, actor } = commit;
  const meta = { tenantId, aggregateId, atMs: Date.parse(at), actor };
  return commit.events.reduce((before, event) => connectionEvolver.evolve(before, upcast(event) as never, meta), state);
}
