import { bestEvidenceOf, evidenceOf, loadCatalog, providerOf } from '@postern/provider-catalog';
import type { Command } from 'commander';

import { table } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import { explainScopes } from './scopes.ts';
import { shownProvider } from './shown-provider.ts';
import { validateFiles } from './validate.ts';

/** `postern providers …`: the catalog. */
export function providerCommands(program: Command, run: RunCommand): void {
  const providers = program.command('providers').description('the catalog of providers');
  providers
    .command('list')
    .description('every provider, and how well it is known')
    .action(
      run.plain(async ({ printer }) => {
        const all = [...loadCatalog().values()].map((provider) => {
          const { id, name, version } = provider;
          return { id, name, version, evidence: bestEvidenceOf(provider), facts: evidenceOf(provider) };
        });
        printer.result(all, () => [
          ...table([
            ['PROVIDER', 'VERSION', 'EVIDENCE', 'DOCUMENTED', 'OBSERVED', 'UNVERIFIED', 'UNKNOWN', 'NAME'],
            ...all.map(({ id, name, version, evidence, facts }) => [
              ...[id, String(version), evidence],
              ...[facts.documented, facts.observed, facts.unverified, facts.assumed].map(String),
              name,
            ]),
          ]),
          `${all.length} providers; postern providers show ID has every fact with its evidence`,
        ]);
      }),
    );
  providers
    .command('show <id>')
    .description('all facts of a provider with their evidence, and what is doubtful')
    .action(
      run.plain(async ({ printer, args: [id = ''] }) => {
        const provider = providerOf(loadCatalog(), id);
        printer.result(provider, () => shownProvider(provider));
      }),
    );
  providers
    .command('validate [files...]')
    .description('checks provider files; without one, the whole catalog')
    .action(run.plain(async ({ printer, args }) => validateFiles(printer, args)));
  providers
    .command('scopes <id>')
    .description('what the scopes of a provider allow, or which to ask for')
    .option('--capabilities <list>', 'what must be possible, joined by commas, such as messages.read,messages.write')
    .option('--offered <list>', 'only these scopes, joined by commas or spaces, such as those of a registration')
    .action(run.plain(async (given) => explainScopes(given)));
}
