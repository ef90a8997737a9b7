import { Command, InvalidArgumentError } from 'commander';

import { keyringOption, type KeyringChoice } from './data-folder/keyring-choice.ts';
import { exitCodes } from './output/exit-code.ts';
import { createRunCommand, type RunCommand } from './run-command.ts';

const defaultPort = 7420;
const identityTtlSMin = 10;

type AddCommands = (program: Command, run: RunCommand) => void;

/** The commands by their first word, in the order of `postern --help`; what carries them out is loaded with them. */
const families: readonly { readonly words: readonly string[]; readonly load: () => Promise<AddCommands> }[] = [
  { words: ['up', 'serve'], load: async () => startCommands },
  { words: ['demo'], load: async () => (await import('./demo/command.ts')).demoCommand },
  { words: ['doctor'], load: async () => (await import('./doctor/command.ts')).doctorCommand },
  { words: ['providers'], load: async () => (await import('./providers/commands.ts')).providerCommands },
  {
    words: ['admin', 'tenants', 'platforms', 'agents', 'registrations', 'transmitters', 'webhooks', 'bridges'],
    load: async () => (await import('./admin/commands.ts')).adminCommands,
  },
  { words: ['connections'], load: async () => (await import('./connections/commands.ts')).connectionCommands },
  { words: ['refresh'], load: async () => (await import('./refresh/commands.ts')).refreshCommands },
  { words: ['health'], load: async () => (await import('./health/command.ts')).healthCommand },
  { words: ['signals'], load: async () => (await import('./signals/commands.ts')).signalCommands },
  { words: ['events'], load: async () => (await import('./events/commands.ts')).eventCommands },
  { words: ['epochs'], load: async () => (await import('./epochs/commands.ts')).epochCommands },
  { words: ['audit'], load: async () => (await import('./audit/commands.ts')).auditCommands },
  { words: ['keys'], load: async () => (await import('./keys/commands.ts')).keyCommands },
  { words: ['projections'], load: async () => (await import('./projections/commands.ts')).projectionCommands },
];

/**
 * The `postern` command, as `postern --help` shows it.
 *
 * A question about one connection should not wait for all others' commands, nor for Nest: with the words of a command
 * line only the family is there that it names, and all where it names none (help, a word that is misspelled).
 *
 * @param words the command line behind `postern`; none for every command there is
 */
export async function createProgram(words: readonly string[] = []): Promise<Command> {
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

  // What the version was asked of, has ended here.
  const [first = ''] = program.parseOptions([...words]).operands;
  const named = families.find((family) => family.words.includes(first));
  const wanted = named === undefined ? families : [named];
  for (const addCommands of await Promise.all(wanted.map(({ load }) => load()))) addCommands(program, run);
  return program;
}

function startCommands(program: Command, run: RunCommand): void {
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
}

/** @returns milliseconds. */
function ttlOf(seconds: string): number {
  const ttlS = Number(seconds);
  if (Number.isFinite(ttlS) && ttlS >= identityTtlSMin) return ttlS * 1_000;
  throw new InvalidArgumentError(`It takes at least ${identityTtlSMin} seconds.`);
}
