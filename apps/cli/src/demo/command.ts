import type { Command } from 'commander';

import { keyringOption, type KeyringChoice } from '../data-folder/keyring-choice.ts';
import { exitCodes } from '../output/exit-code.ts';
import { paint } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import type { TourWorld } from './tour-world.ts';
import type { World } from './world.ts';

interface StepResult {
  readonly step: string;
  readonly held: boolean;
  readonly proof: unknown;
  readonly ms: number;
}

interface Step {
  readonly title: string;
  readonly run: () => Promise<unknown>;
}

/** What is played: its steps, and what lets them run in its world. */
type Play = (
  onProgress: (sentence: string) => void,
  options: { readonly keyring: KeyringChoice | undefined },
  act: (steps: readonly Step[]) => Promise<StepResult[]>,
) => Promise<StepResult[]>;

/** `postern demo`: the story, end to end, on embedded servers, or the tour; exit 0 only if every step held. */
export function demoCommand(program: Command, run: RunCommand): void {
  program
    .command('demo')
    .description('one connection’s whole life against a real authorization server, each step proved')
    .option('--tour', 'instead: the other ways to a connection, each leased, used and revoked')
    .addOption(keyringOption())
    .action(
      run.plain(async ({ printer, options }) => {
        const progress = (sentence: string) => process.stderr.write(`${paint('2', `… ${sentence}`)}\n`);
        const tell = printer.json ? () => undefined : tellStep;
        const play = options['tour'] === true ? playTour : playStory;
        const keyring = options['keyring'] as KeyringChoice | undefined;
        let planned = 0;
        const steps = await play(progress, { keyring }, async (all) => {
          planned = all.length;
          return await take(all, tell);
        });
        const held = steps.length === planned && steps.every((step) => step.held);
        printer.result({ steps }, () => [
          '',
          held ? paint('32', `All ${steps.length} steps held.`) : paint('31', `Step ${steps.length} did not hold.`),
          ...(held ? ['Next: npm start, and the second screen of README.md.'] : []),
        ]);
        process.exitCode = held ? exitCodes.done : exitCodes.notSo;
      }),
    );
}

const playStory: Play = async (onProgress, options, act) => {
  const [{ story }, { withWorld }] = await Promise.all([import('./story.ts'), import('./world.ts')]);
  const inWorld = async (world: World) =>
    await act(story.map(({ title, run }) => ({ title, run: async () => await run(world) })));
  return await withWorld(onProgress, inWorld, options);
};

const playTour: Play = async (onProgress, options, act) => {
  const [{ tour }, { withTourWorld }] = await Promise.all([import('./tour.ts'), import('./tour-world.ts')]);
  const inWorld = async (world: TourWorld) =>
    await act(tour.map(({ title, run }) => ({ title, run: async () => await run(world) })));
  return await withTourWorld(onProgress, inWorld, options);
};

/** Takes one step after the other, until one does not hold. */
async function take(steps: readonly Step[], tell: (number: number, result: StepResult) => void) {
  const results: StepResult[] = [];
  for (const [index, { title, run }] of steps.entries()) {
    const since = performance.now();
    const { held, proof } = await run().then(
      (seen) => ({ held: true, proof: seen }),
      (error: unknown) => ({ held: false, proof: error instanceof Error ? error.message : String(error) }),
    );
    const result = { step: title, held, proof, ms: Math.round(performance.now() - since) };
    results.push(result);
    tell(index + 1, result);
    if (!held) break;
  }
  return results;
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
