import { bestEvidenceOf, evidenceOf, loadCatalog, providerOf } from '@postern/provider-catalog';
import type { Command } from 'commander';

import { gather } from '../admin/shown.ts';
import { table } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import { approve, deny, request, review } from './approvals.ts';
import { explainScopes } from './scopes.ts';
import { shownProvider } from './shown-provider.ts';
import { validateFiles } from './validate.ts';
import { canary, pins, promote, rollback, showVersions } from './versions.ts';

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
  approvalCommands(providers, run);
  versionCommands(providers, run);
}

/** What a tenant may use at a provider: decisions of two administrators, on ADMIN. */
function approvalCommands(providers: Command, run: RunCommand): void {
  const signedCommand = (words: string) =>
    providers.command(words).option('--as <file>', 'the file of your own key, which signs this');
  signedCommand('request <id>')
    .description('asks that the tenant may use a provider, or more of it; a second administrator decides')
    .option('--scope <scope>', 'a scope beside those that are approved (may be repeated)', gather, [])
    .option('--registration <registration>', 'with its scopes, and its hosts where only its issuer names them')
    .option('--reason <text>', 'kept with the request; no personal data')
    .action(run.withSession(request));
  providers
    .command('review <id>')
    .description('what is asked for beside what is approved: scopes, hosts, risk')
    .action(run.withSession(review));
  signedCommand('approve <id>').description('says yes to what review shows').action(run.withSession(approve));
  signedCommand('deny <id>')
    .description('says no; where nothing is asked for, withdraws what was approved')
    .option('--reason <text>', 'kept with the decision; no personal data')
    .action(run.withSession(deny));
}

/** Which version of a provider's file a tenant's connections use: decisions of administrators, on ADMIN. */
function versionCommands(providers: Command, run: RunCommand): void {
  providers
    .command('versions <id>')
    .description('the versions of a provider’s file, and how many connections use which')
    .action(run.withSession(showVersions));
  providers
    .command('canary <id>')
    .description('lets some connections use another version of the provider’s file')
    .requiredOption('--file-version <version>', 'see: postern providers versions')
    .option('--share <percent>', 'how many of the connections')
    .option('--connection <connection>', 'this one (may be repeated)', gather, [])
    .option('--registration <registration>', 'all of this registration (may be repeated)', gather, [])
    .option('--otherwise <version>', 'what other new connections get; what they get now, unless said')
    .action(run.withSession(canary));
  providers
    .command('promote <id>')
    .description('makes a version that of all connections; nobody authorizes anew for it')
    .requiredOption('--file-version <version>', 'see: postern providers versions')
    .option('--new-only', 'of new connections alone; the others keep the version that they were made with')
    .action(run.withSession(promote));
  providers
    .command('rollback <id>')
    .description('takes back the canary that runs, or else the last promotion')
    .option('--reason <text>', 'kept with the decision; no personal data')
    .action(run.withSession(rollback));
  providers
    .command('pins <id>')
    .description('whether a re-authorization moves a connection to the version that new ones get')
    .requiredOption('--on-reauthorization <policy>', 'move or keep')
    .action(run.withSession(pins));
}
