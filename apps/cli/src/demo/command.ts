import type { Command } from 'commander';

import { keyringOption, type KeyringChoice } from '../data-folder/keyring-choice.ts';
import { exitCodes } from '../output/exit-code.ts';
import { paint } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';

interface StepResult {
  readonly step: string;
  readonly held: boolean;
  readonly proof: unknown;
  readonly ms: number;
}

/** `postern demo`: the story, end to end, on embedded servers; exit 0 only if every step held. */
export function demoCommand(program: Command, run: RunCommand): void {
  program
    .command('demo')
    .description('one connection’s whole life against a real authorization server, each step proved')
    .addOption(keyringOption())
    .action(
      run.plain(async ({ printer, options }) => {
        const [{ story }, { withWorld }] = await Promise.all([import('./story.ts'), import('./world.ts')]);
        const progress = (sentence: string) => process.stderr.write(`${paint('2', `… ${sentence}`)}\n`);
        const tell = printer.json ? () => undefined : tellStep;
        const steps = await withWorld(
          progress,
          async (world) => {
            const results: StepResult[] = [];
            for (const [index, { title, run: take }] of story.entries()) {
              const since = performance.now();
              const { held, proof } = await take(world).then(
                (seen) => ({ held: true, proof: seen as unknown }),
                (error: unknown) => ({ held: false, proof: error instanceof Error ? error.message : String(error) }),
              );
              const result = { step: title, held, proof, ms: Math.round(performance.now() - since) };
              results.push(result);
              tell(index + 1, result);
              if (!held) break;
            }
            return results;
          },
          { keyring: options['keyring'] as KeyringChoice | undefined },
        );
        const held = steps.length === story.length && steps.every((step) => step.held);
        printer.result({ steps }, () => [
          '',
          held ? paint('32', `All ${steps.length} steps held.`) : paint('31', `Step ${steps.length} did not hold.`),
          ...(held ? ['Next: npm start, and the second screen of README.md.'] : []),
        ]);
        process.exitCode = held ? exitCodes.done : exitCodes.notSo;
      }),
    );
}

function tellStep(number: number, { step, held, proof, ms }: StepResult): void {
  const mark = held ? paint('32', '✓') : paint('31', '✗');
  process.stdout.write(`${mark} ${number}. ${step} ${paint('2', `(${ms} ms)`)}\n`);
  const facts = typeof proof === 'object' && proof !== null ? Object.entries(proof) : [['seen', proof]];
  for (const [name, value] of facts) {
    process.stdout.write(
      `     ${paint('2', String(name).padEnd(22))} ${typeof value === 'string' ? value : JSON.stringify(value)}\n`,
    );
  }
}
