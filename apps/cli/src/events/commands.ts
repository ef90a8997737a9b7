import type { Command } from 'commander';

import { dataFolder } from '../data-folder/paths.ts';
import { createProgress } from '../output/progress.ts';
import type { RunCommand } from '../run-command.ts';
import { exportLog } from './export-log.ts';
import { replay } from './replay.ts';
import { selectionOf } from './selection.ts';
import { spooled } from './spooled.ts';
import { tailCommand } from './tail.ts';

/** `postern events …`: the log. */
export function eventCommands(program: Command, run: RunCommand): void {
  const events = program.command('events').description('the log');

  events
    .command('replay [id]')
    .description('tells the log again; of one aggregate (a connection, registration, agent …) also the state it gives')
    .option('--connection <id>', 'only this connection')
    .option('--type <event>', 'tell only this event type')
    .option('--from <position>', 'the first position to tell')
    .option('--to <position>', 'the last position')
    .option('--at <time>', 'as it was at this time (RFC 3339), by what the writers of the events say')
    .option('--explain', 'of one aggregate: which event made each part of its state what it is')
    .action(
      run.withSession(async ({ session, tenantId, printer, args: [id], options }) => {
        const selection = selectionOf(tenantId, options, id);
        const { reader, publicUrl } = session;
        const place = { log: session.past[selection.stream], reader, publicUrl };
        await replay(place, { selection, explain: options['explain'] === true }, printer);
      }),
    );

  events
    .command('export')
    .description(
      'writes stored messages as newline-delimited CloudEvents: a tenant’s, a connection’s, or whole streams',
    )
    .option('--connection <id>', 'only this connection')
    .option(
      '--log <stream>',
      'all of CONNECTIONS, ADMIN or ACCESS, of every tenant: what a checkpoint speaks of; or ALL',
    )
    .option('--from <position>', 'the first position, of one stream')
    .option('--to <position>', 'the last position, of one stream')
    .option('--at <time>', 'as it was at this time (RFC 3339), by what the writers of the events say')
    .option('--out <file>', 'to a file that only its owner may read')
    .option('--resume', 'goes on behind the last whole line of --out')
    .action(
      run.withSession(async ({ session, tenantId, options }) => {
        const progress = createProgress();
        await exportLog(session, tenantId, options, progress);
        progress.end();
      }),
    );

  events
    .command('import <file>')
    .description(
      'makes an empty data folder hold an exported log (- reads it from a pipe): the same positions, states, hashes and signatures',
    )
    .requiredOption('--trust <file>', 'the trust bundle of where it was exported (trust.json)')
    .option('--renumber', 'a part of a log: at new positions, which no checkpoint of the whole can prove')
    .action(
      run.plain(async ({ printer, globals, args: [file = ''], options }) => {
        const { importLog } = await import('./import-log.ts');
        const progress = createProgress();
        const folder = await dataFolder(globals.data);
        const place = { folder, trustFile: String(options['trust']), renumber: options['renumber'] === true };
        const imported = await spooled(file, (path) => importLog({ ...place, file: path }, progress));
        progress.end();
        printer.result(imported, () => [
          ...Object.entries(imported.streams).map(([stream, { messages }]) => `${stream}: ${messages} messages`),
          imported.whole
            ? 'Every message stands at the position it had: checkpoints of the old house prove this one, too.'
            : 'Positions are new: chains and signatures hold, and no checkpoint of the old house speaks of them.',
          `Start it with: postern up --data ${folder.root}; then: postern audit verify. Secrets are no part of a log.`,
        ]);
      }),
    );

  tailCommand(events, run);
}
