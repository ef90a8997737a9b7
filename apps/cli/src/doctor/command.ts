import { isPosternError } from '@postern/contracts';
import { registrationEvolver } from '@postern/domain';
import { loadCatalog, type Provider } from '@postern/provider-catalog';
import { findNatsServer, findVault, type FoundProgram } from '@postern/servers';
import type { Command } from 'commander';

import { listAdmin } from '../admin/decide.ts';
import { keyringOf } from '../data-folder/keyring-choice.ts';
import { readOperator } from '../data-folder/operator.ts';
import { dataFolder, type DataFolder } from '../data-folder/paths.ts';
import { exitCodes } from '../output/exit-code.ts';
import { table } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import { openSession } from '../session/session.ts';
import { readSupervisorFile } from '../session/supervisor-file.ts';
import { proveDurability } from '../up/prove-durability.ts';
import { effectiveConfig, type EffectiveSetting } from './effective-config.ts';
import { findingLine, wrong, type Finding } from './finding.ts';
import { alarmFindings, askService, serviceFinding } from './services.ts';
import { pkceFindings, secretsFinding, switchFindings } from './unsafe.ts';

/** How long connections may take to end when all is said. */
const leaveMs = 1_000;

/** `postern doctor`: what is found, missing, too old or unsafe, and the command that mends each. */
export function doctorCommand(program: Command, run: RunCommand): void {
  program
    .command('doctor')
    .description('what is found, missing, too old or unsafe, and what mends it')
    .option('--config <app>', 'also the effective configuration of one service, secrets masked')
    .action(
      run.plain(async ({ printer, globals, options }) => {
        const folder = await dataFolder(globals.data);
        const findings = [
          node(),
          await programFinding('nats-server', findNatsServer, true),
          await programFinding('vault', findVault, keyringOf(folder) === 'vault'),
          ...(await running(folder)),
          await acknowledgements(folder),
          secretsFinding(folder),
          ...switchFindings(process.env),
          ...pkceFindings(await registeredProviders(folder)),
        ];
        const app = options['config'];
        const config = typeof app === 'string' ? await effectiveConfig(app, folder) : [];
        printer.result({ findings, data: folder.root, config }, () => [
          ...findings.map(findingLine),
          `        data folder: ${folder.root}`,
          ...(config.length === 0 ? [] : ['', ...configTable(config)]),
        ]);
        if (findings.some(({ ok }) => !ok)) process.exitCode = exitCodes.notSo;
        // A server that stands still keeps its end of a closed connection open, and with it this process.
        setTimeout(() => process.exit(), leaveMs).unref();
      }),
    );
}

function node(): Finding {
  const major = Number(process.versions.node.split('.')[0]);
  return { what: 'node', ok: major >= 26, found: process.versions.node, mend: major >= 26 ? null : 'npm ci' };
}

async function programFinding(what: string, find: () => Promise<FoundProgram>, required: boolean): Promise<Finding> {
  try {
    const { path, version, source } = await find();
    return { what, ok: true, found: `${version} (${source}: ${path})`, mend: null };
  } catch (error) {
    const mend = isPosternError(error) ? error.message : String(error);
    return { what, ok: !required, found: required ? 'missing' : 'missing; needed only for --keyring vault', mend };
  }
}

/** The services of `postern up`, each by what it says of itself; one line where nothing runs. */
async function running(folder: DataFolder): Promise<Finding[]> {
  let services: Readonly<Record<string, number>>;
  try {
    ({ services } = readSupervisorFile(folder));
  } catch (error) {
    if (!isPosternError(error)) throw error;
    return [{ what: 'postern up', ok: true, found: 'not running', mend: `postern up --data ${folder.root}` }];
  }
  const answers = await Promise.all(Object.entries(services).map(([app, port]) => askService(app, port)));
  if (answers.every(({ readiness }) => readiness === null)) {
    return [{ what: 'postern up', ok: true, found: 'not running', mend: `postern up --data ${folder.root}` }];
  }
  return answers.flatMap((answer) => [serviceFinding(answer, folder.logDir), ...alarmFindings(answer)]);
}

/** Asked of the nodes themselves, where `postern up` runs on this data folder. */
async function acknowledgements(folder: DataFolder): Promise<Finding> {
  const what = 'acknowledgements';
  try {
    const { durable, found } = await proveDurability({
      servers: readSupervisorFile(folder).natsUrl,
      bundle: readOperator(folder),
    });
    return { what, ok: true, found, mend: durable ? null : 'sync_interval: always in the jetstream block of the node' };
  } catch (error) {
    if (isPosternError(error) && error.code === 'bus.unavailable') {
      return { what, ok: true, found: 'not asked: no bus answers', mend: null };
    }
    if (isPosternError(error) && error.code === 'bus.timeout') {
      return wrong('nats-server', 'it is there and does not answer', 'docs/runbooks/feed-stale.md');
    }
    const found = isPosternError(error) ? error.message : String(error);
    return { what, ok: false, found, mend: 'sync_interval: always in the jetstream block of the node' };
  }
}

/** The providers at which somebody has a client in use; none where nothing runs, which is said elsewhere. */
async function registeredProviders(folder: DataFolder): Promise<Provider[]> {
  const catalog = loadCatalog();
  try {
    const session = await openSession(folder);
    try {
      const registrations = await listAdmin(session, { evolver: registrationEvolver, tenantId: '*' });
      const ids = new Set(registrations.filter(({ disabled }) => !disabled).map(({ providerId }) => providerId));
      return [...ids].flatMap((id) => catalog.get(id) ?? []);
    } finally {
      await session.close();
    }
  } catch (error) {
    if (isPosternError(error)) return [];
    throw error;
  }
}

function configTable(settings: readonly EffectiveSetting[]): string[] {
  const rows = settings.map(({ variable, value, source }) => [variable, value, source]);
  return table([['VARIABLE', 'VALUE', 'SOURCE'], ...rows]);
}
