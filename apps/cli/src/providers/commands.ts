import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { loadCatalog, parseProviderFile, providerOf } from '@postern/provider-catalog';
import type { Command } from 'commander';

import { table } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';

/** `postern providers …`: the catalog. */
export function providerCommands(program: Command, run: RunCommand): void {
  const providers = program.command('providers').description('the catalog of providers');
  providers.command('list').action(
    run.plain(async ({ printer }) => {
      const all = [...loadCatalog().values()];
      printer.result(all, () =>
        table([['PROVIDER', 'VERSION', 'NAME'], ...all.map(({ id, version, name }) => [id, String(version), name])]),
      );
    }),
  );
  providers.command('show <id>').action(
    run.plain(async ({ printer, args: [id = ''] }) => {
      const provider = providerOf(loadCatalog(), id);
      printer.result(provider, () => JSON.stringify(provider, null, 2).split('\n'));
    }),
  );
  providers.command('validate <file>').action(
    run.plain(async ({ printer, args: [file = ''] }) => {
      const { id, version } = parseProviderFile(readFileSync(file, 'utf8'), basename(file));
      printer.result({ valid: true, id, version }, () => [
        `${file} is a valid provider file (${id}, version ${version})`,
      ]);
    }),
  );
}
