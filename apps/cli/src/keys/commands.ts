import { tenantEvolver } from '@postern/domain';
import type { Command } from 'commander';

import { listAdmin } from '../admin/decide.ts';
import { openKeyAdministration } from '../data-folder/key-administration.ts';
import { exitCodes } from '../output/exit-code.ts';
import { table } from '../output/printer.ts';
import { createProgress } from '../output/progress.ts';
import type { RunCommand, SessionRun } from '../run-command.ts';
import { rewrapTenant, statusOf, type RunResult } from './rewrap-tenant.ts';
import { shreddingLines, statusLines, type TenantKeys } from './status-lines.ts';

/** `postern keys …`: the life of the tenants' keys; of one tenant with --tenant, of all without (docs/flows/keys.md). */
export function keyCommands(program: Command, run: RunCommand): void {
  const keys = program
    .command('keys')
    .description('key-encryption keys and data keys; of all tenants without --tenant');

  keys
    .command('status')
    .description('versions, what they wrap, and from when on shreddings are complete')
    .option('--shreddings', 'every shredding, not only their number')
    .action(run.withSession(status));

  keys
    .command('rotate')
    .description('a new version of each tenant’s key, and every data key under it; taken up again by keys rewrap')
    .option('--data-keys', 'also fresh data keys, and everything encrypted anew')
    .option('--retire', 'let older versions go for ever: older backups of the tables are then worthless')
    .action(run.withSession((given) => overTenants(given, { rotate: true })));

  keys
    .command('rewrap')
    .description('brings every data key under the newest version; goes on where another run was killed')
    .option('--data-keys', 'also fresh data keys where theirs was made under an older version')
    .option('--retire', 'let older versions go for ever: older backups of the tables are then worthless')
    .action(run.withSession((given) => overTenants(given, { rotate: false })));
}

async function status(given: SessionRun): Promise<void> {
  const { session, printer, options } = given;
  const administration = await openKeyAdministration(session.folder, session.keyServerUrl);
  const all = printer.json || options['shreddings'] === true;
  const found: TenantKeys[] = [];
  for (const tenantId of (await tenantsOf(given)).meant) {
    found.push({ tenant_id: tenantId, ...(await statusOf(session, administration, { tenantId, all })) });
  }
  await administration.close();
  printer.result(found, () => [
    ...statusLines(found),
    ...(options['shreddings'] === true ? shreddingLines(found) : []),
  ]);
}

async function overTenants(given: SessionRun, { rotate }: { rotate: boolean }): Promise<void> {
  const { session, printer, options } = given;
  const { every, meant } = await tenantsOf(given);
  const administration = await openKeyAdministration(session.folder, session.keyServerUrl);
  const progress = createProgress();
  const run = { rotate, dataKeys: options['dataKeys'] === true, retire: options['retire'] === true };
  const results: RunResult[] = [];
  try {
    if ('upgrade' in administration) await administration.upgrade(every);
    for (const tenantId of meant) {
      await administration.ensureTenantKey({ tenantId });
      results.push(
        await rewrapTenant(session, administration, { ...run, tenantId, onProgress: (text) => progress.tell(text) }),
      );
    }
  } finally {
    progress.end();
    await administration.close();
  }
  printer.result(results, () => resultLines(results, run));
  if (results.some(({ done, total }) => done < total)) process.exitCode = exitCodes.notSo;
}

/** Every tenant of the log, and those that this command is for. */
async function tenantsOf({ session, globals, tenantId }: SessionRun): Promise<{ every: string[]; meant: string[] }> {
  const every = (await listAdmin(session, { evolver: tenantEvolver, tenantId: '*' })).map((one) => one.tenantId);
  return { every, meant: globals.tenant === undefined ? every : [tenantId] };
}

function resultLines(results: readonly RunResult[], { retire }: { retire: boolean }): string[] {
  const rows = results.map((one) => [
    one.tenant_id,
    String(one.version),
    `${one.done} of ${one.total}`,
    one.retired_before === null ? 'still there' : `gone since ${one.gone_since}`,
  ]);
  const failed = results.flatMap((one) => one.failed.map(({ owner_id, code }) => [owner_id, code]));
  return [
    ...table([['TENANT', 'VERSION', 'DATA KEYS', 'OLDER VERSIONS'], ...rows]),
    ...(failed.length === 0 ? [] : ['', ...table([['NOT DONE', 'CODE'], ...failed])]),
    ...(retire || failed.length > 0
      ? []
      : ['', 'Older versions still open older backups of the tables. When those may go: postern keys rewrap --retire']),
  ];
}
