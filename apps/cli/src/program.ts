import { Command, InvalidArgumentError } from 'commander';

import { adminCommands } from './admin/commands.ts';
import { auditCommands } from './audit/commands.ts';
import { connectionCommands } from './connections/commands.ts';
import { keyringOption, type KeyringChoice } from './data-folder/keyring-choice.ts';
import { demoCommand } from './demo/command.ts';
import { doctorCommand } from './doctor/command.ts';
import { epochCommands } from './epochs/commands.ts';
import { eventCommands } from './events/commands.ts';
import { healthCommand } from './health/command.ts';
import { keyCommands } from './keys/commands.ts';
import { exitCodes } from './output/exit-code.ts';
import { projectionCommands } from './projections/commands.ts';
import { providerCommands } from './providers/commands.ts';
import { refreshCommands } from './refresh/commands.ts';
import { createRunCommand } from './run-command.ts';
import { signalCommands } from './signals/commands.ts';

const defaultPort = 7420;
const identityTtlSMin = 10;

/**
 * The `postern` command, as `postern --help` shows it.
 *
 * What starts services is loaded when it is asked for: a question about one connection should not wait for Nest.
 */
export function createProgram(): Command {
  const run = createRunCommand();
  const program = new Command('postern')
    .description(
      'Holds the OAuth connections of AI agents: keeps them alive, notices when they die, proves who used them.',
    )
    .version('0.1.0')
    .option('--data <dir>', 'the data folder of a `postern up`')
    .option('--tenant <id>', 'the tenant; the first one when absent')
    .option('--json', 'machine-readable output')
    .showHelpAfterError('(postern --help shows what there is)')
    // Before the commands are made: each takes it from here.
    .exitOverride((problem) => {
      process.exit(problem.exitCode === 0 ? exitCodes.done : exitCodes.usage);
    });

  program
    .command('up')
    .description('everything on this machine, behind one port, until Ctrl-C')
    .option('--port <port>', 'the one port; 0 for a free one', String(defaultPort))
    .option('--host <host>', 'the address to listen on', '127.0.0.1')
    .option('--public-url <url>', 'what browsers and platforms use')
    .addOption(keyringOption())
    .option('--identity-ttl <seconds>', 'how long a service’s user of the bus lives before its successor', ttlOf)
    .action(
      run.plain(async ({ printer, globals, options }) => {
        const { up } = await import('./up/up.ts');
        await up(
          {
            data: globals.data,
            port: Number(options['port']),
            host: String(options['host']),
            publicUrl: options['publicUrl'] as string | undefined,
            keyring: options['keyring'] as KeyringChoice | undefined,
            identityTtlMs: options['identityTtl'] as number | undefined,
          },
          printer,
        );
      }),
    );

  program
    .command('serve <app>')
    .description('one service alone, as in production; configured by POSTERN_* variables')
    .action(
      run.plain(async ({ args: [app = ''] }) => {
        const { serve } = await import('./serve/serve.ts');
        await serve(app);
      }),
    );

  demoCommand(program, run);
  doctorCommand(program, run);
  providerCommands(program, run);
  adminCommands(program, run);
  connectionCommands(program, run);
  refreshCommands(program, run);
  healthCommand(program, run);
  signalCommands(program, run);
  eventCommands(program, run);
  epochCommands(program, run);
  auditCommands(program, run);
  keyCommands(program, run);
  projectionCommands(program, run);

  return program;
}

/** @returns milliseconds. */
function ttlOf(seconds: string): number {
  const ttlS = Number(seconds);
  if (Number.isFinite(ttlS) && ttlS >= identityTtlSMin) return ttlS * 1_000;
  throw new InvalidArgumentError(`It takes at least ${identityTtlSMin} seconds.`);
}
