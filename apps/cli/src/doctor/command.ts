import { appNames, isPosternError, type AppName } from '@postern/contracts';
import { findNatsServer, findVault, type FoundProgram } from '@postern/servers';
import type { ConfigClass, ServiceDefinition } from '@postern/service';
import type { Command } from 'commander';

import { keyringOf } from '../data-folder/keyring-choice.ts';
import { readOperator } from '../data-folder/operator.ts';
import { dataFolder, type DataFolder } from '../data-folder/paths.ts';
import { exitCodes } from '../output/exit-code.ts';
import { paint, table } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import { readSupervisorFile } from '../session/supervisor-file.ts';
import { proveDurability } from '../up/prove-durability.ts';
import { isReady } from '../up/start-service.ts';

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly found: string;
  /** The command that mends it, or none. */
  readonly mend: string | null;
}

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
          await running(() => readSupervisorFile(folder).services),
          await acknowledgements(folder),
        ];
        const config = typeof options['config'] === 'string' ? await configOf(options['config']) : [];
        printer.result({ findings, data: folder.root, config }, () => [
          ...findings.map(findingLine),
          `        data folder: ${folder.root}`,
          ...(config.length === 0 ? [] : ['', ...table([['VARIABLE', 'VALUE', 'SOURCE'], ...config])]),
        ]);
        if (findings.some(({ ok }) => !ok)) process.exitCode = exitCodes.notSo;
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

async function running(services: () => Readonly<Record<string, number>>): Promise<Finding> {
  try {
    const ports = Object.entries(services());
    const ready = await Promise.all(ports.map(async ([app, port]) => ((await isReady(port)) ? null : app)));
    const waiting = ready.filter((app) => app !== null);
    if (waiting.length === 0)
      return { what: 'postern up', ok: true, found: `${ports.length} services ready`, mend: null };
    return {
      what: 'postern up',
      ok: true,
      found: `not running, or not ready: ${waiting.join(', ')}`,
      mend: 'postern up',
    };
  } catch {
    return { what: 'postern up', ok: true, found: 'not running', mend: 'postern up' };
  }
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
    const found = isPosternError(error) ? error.message : String(error);
    return { what, ok: false, found, mend: 'sync_interval: always in the jetstream block of the node' };
  }
}

async function configOf(name: string): Promise<string[][]> {
  const app = appNames.find((known): known is AppName => known === name);
  if (app === undefined) return [[name, `no such app; there are ${appNames.join(', ')}`, '']];
  const { describeConfig } = await import('@postern/service');
  const { service } = (await import(`@postern/app-${app}`)) as { service: ServiceDefinition };
  return describeConfig(service.config as unknown as ConfigClass<object>, process.env).map(
    ({ variable, value, source }) => [variable, value, source],
  );
}

function findingLine({ what, ok, found, mend }: Finding): string {
  const mark = ok ? paint('32', 'ok    ') : paint('31', 'mend  ');
  return `${mark}  ${what}: ${found}${mend === null ? '' : `\n          → ${mend}`}`;
}
