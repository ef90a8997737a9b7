import { operations } from '@postern/contracts';
import type { Command } from 'commander';

import type { RunCommand } from '../run-command.ts';
import { statusLines } from './status-lines.ts';

/** `postern refresh …`: refreshing as a whole; one connection is refreshed by `postern connections refresh`. */
export function refreshCommands(program: Command, run: RunCommand): void {
  const refresh = program.command('refresh').description('refreshing as a whole');
  refresh
    .command('status')
    .description('what is due, late and failing by provider, over all tenants, and what was mended')
    .action(
      run.withSession(async ({ session, tenantId, printer }) => {
        const status = await session.call(operations.refreshStatus, tenantId, {});
        printer.result(status, () => statusLines(status));
      }),
    );
}
