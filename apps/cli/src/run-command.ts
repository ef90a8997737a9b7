import type { Command } from 'commander';

import { assertId } from '@postern/contracts';

import { dataFolder } from './data-folder/paths.ts';
import { exitCodeOf, exitCodes } from './output/exit-code.ts';
import { createPrinter, type Printer } from './output/printer.ts';
import type { Session } from './session/session.ts';

/** Options that every command takes. */
export interface GlobalOptions {
  readonly data?: string;
  readonly tenant?: string;
  readonly json?: boolean;
}

export interface PlainRun {
  readonly printer: Printer;
  readonly globals: GlobalOptions;
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
}

export interface SessionRun extends PlainRun {
  readonly session: Session;
  readonly tenantId: string;
}

type Action = (...parameters: unknown[]) => Promise<void>;

/** Wraps what a command does: printer, session, exit code. An error becomes one sentence, never a stack of ours. */
export interface RunCommand {
  plain(work: (run: PlainRun) => Promise<void>): Action;
  withSession(work: (run: SessionRun) => Promise<void>): Action;
}

export function createRunCommand(): RunCommand {
  const plain =
    (work: (run: PlainRun) => Promise<void>): Action =>
    async (...parameters) => {
      const command = parameters.at(-1) as Command;
      const globals = command.optsWithGlobals<GlobalOptions>();
      const printer = createPrinter({ json: globals.json === true });
      try {
        await work({ printer, globals, args: command.args, options: command.opts() });
        process.exitCode ??= exitCodes.done;
      } catch (error) {
        printer.error(error);
        process.exitCode = exitCodeOf(error);
      }
    };
  return {
    plain,
    withSession: (work) =>
      plain(async (run) => {
        // What speaks on the bus is loaded by the commands that do.
        const { openSession } = await import('./session/session.ts');
        const session = await openSession(await dataFolder(run.globals.data));
        try {
          const { tenant } = run.globals;
          const tenantId = tenant === undefined ? session.defaultTenantId : assertId('tenant', tenant);
          await work({ ...run, session, tenantId });
        } finally {
          await session.close();
        }
      }),
  };
}
