import { limits, operations, type Inspection, type WeighedSignal } from '@postern/contracts';
import type { Command } from 'commander';

import type { RunCommand } from '../run-command.ts';
import { inspectionLines, signalLines } from './signal-lines.ts';

/** `postern signals …`: what providers said of grants, and what came of it. */
export function signalCommands(program: Command, run: RunCommand): void {
  const signals = program.command('signals').description('what providers said of grants');
  signals
    .command('list')
    .description('the signals of a tenant, newest first, and what each came to')
    .option('--unmatched', 'only those that named no connection')
    .option('--limit <count>', 'how many', String(limits.listPageMax))
    .action(
      run.withSession(async ({ session, tenantId, printer, options }) => {
        const wanted = Number(options['limit']);
        const unmatched = options['unmatched'] === true;
        const found: WeighedSignal[] = [];
        let before: number | undefined;
        do {
          const limit = Math.max(1, Math.min(limits.listPageMax, wanted - found.length));
          const query = { tenant_id: tenantId, unmatched, limit, ...(before !== undefined && { before }) };
          const page = await session.call(operations.listSignals, tenantId, query);
          found.push(...page.signals);
          before = page.next ?? undefined;
        } while (before !== undefined && found.length < wanted);
        printer.result({ signals: found }, () => signalLines(found));
      }),
    );
  signals
    .command('inspections')
    .description('about which connections providers were asked without any sign, and what they answered')
    .option('--limit <count>', 'how many', String(limits.listPageMax))
    .action(
      run.withSession(async ({ session, tenantId, printer, options }) => {
        const wanted = Number(options['limit']);
        const found: Inspection[] = [];
        let before: string | undefined;
        do {
          const limit = Math.max(1, Math.min(limits.listPageMax, wanted - found.length));
          const query = { tenant_id: tenantId, limit, ...(before !== undefined && { before }) };
          const page = await session.call(operations.listInspections, tenantId, query);
          found.push(...page.inspections);
          before = page.next ?? undefined;
        } while (before !== undefined && found.length < wanted);
        printer.result({ inspections: found }, () => inspectionLines(found));
      }),
    );
}
