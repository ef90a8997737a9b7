import { PosternError, subjects } from '@postern/contracts';
import { CommitReader, commitVerifier, type LogReport } from '@postern/event-log';
import type { Command } from 'commander';

import { dataFolder } from '../data-folder/paths.ts';
import { readTrust } from '../data-folder/keys.ts';
import { paint, type Printer } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import { verifyExport, verifyOnline } from './verify.ts';

/** `postern audit …`: proofs about the past. */
export function auditCommands(program: Command, run: RunCommand): void {
  const audit = program.command('audit').description('proofs about the past');

  audit
    .command('verify')
    .description('checks signatures, writers, revisions, the hash chain and carried states of both logs')
    .option('--file <export>', 'verify an export instead, offline')
    .action(async (options: { file?: string }, command: Command) => {
      if (options.file !== undefined) {
        const path = options.file;
        return run.plain(async ({ printer, globals }) => {
          const reader = new CommitReader({ verifier: commitVerifier(readTrust(await dataFolder(globals.data))) });
          conclude({ [path]: await verifyExport(path, reader) }, printer);
        })(options, command);
      }
      return run.withSession(async ({ session, printer }) => {
        const { reader } = session;
        const connections = await verifyOnline(session.connections, { reader, filter: subjects.allConnections });
        const admin = await verifyOnline(session.admin, { reader, filter: subjects.allAdmin });
        conclude({ CONNECTIONS: connections, ADMIN: admin }, printer);
      })(options, command);
    });
}

function conclude(reports: Readonly<Record<string, LogReport>>, printer: Printer): void {
  const whole = Object.values(reports).every(({ findings }) => findings.length === 0);
  printer.result({ whole, logs: reports }, () =>
    Object.entries(reports).flatMap(([name, report]) => reportLines(name, report)),
  );
  if (!whole) throw new PosternError('log.message_damaged', 'The log is not whole: the positions above say where.');
}

function reportLines(name: string, { messages, aggregates, lastPosition, findings }: LogReport): string[] {
  const summary = `${name}: ${messages} messages of ${aggregates} aggregates, up to position ${lastPosition}`;
  if (findings.length === 0) return [`${paint('32', 'whole')}  ${summary}; tail unproven (no witness yet)`];
  return [
    `${paint('31', 'broken')} ${summary}`,
    ...findings.map(
      ({ position, kind, subject, reason }) => `  position ${position}  ${kind}: ${reason}  (${subject})`,
    ),
  ];
}
