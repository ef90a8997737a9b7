import { assertId, ConnectionHealthState, operations, PosternError } from '@postern/contracts';
import type { Command } from 'commander';

import type { RunCommand } from '../run-command.ts';
import { connectionsLines, overviewLines } from './health-lines.ts';

interface HealthOptions {
  readonly provider?: string;
  readonly connections?: boolean;
  readonly connection?: string;
  readonly state?: string;
  readonly after?: string;
}

/** `postern health`: how providers and connections fare. */
export function healthCommand(program: Command, run: RunCommand): void {
  program
    .command('health')
    .description('how providers fare, over all tenants, or over one with --tenant; with --connections, its connections')
    .option('--provider <id>', 'only this provider')
    .option('--connections', 'each connection of the tenant instead, and why')
    .option('--connection <id>', 'this connection, and why')
    .option('--state <state>', 'only connections in this state')
    .option('--after <id>', 'connections after this one: the next page')
    .action(
      run.withSession(async ({ session, tenantId, globals, options: given, printer }) => {
        const options = given as HealthOptions;
        const provider = options.provider;
        const ofProvider = provider === undefined ? {} : { provider };
        const connectionId = options.connection;
        if (options.connections === true || connectionId !== undefined || options.state !== undefined) {
          const request = {
            ...ofProvider,
            ...(connectionId !== undefined && { connection_id: assertId('connection', connectionId) }),
            ...(options.state !== undefined && { state: stateOf(options.state) }),
            ...(options.after !== undefined && { after: assertId('connection', options.after) }),
          };
          const found = await session.call(operations.connectionsHealth, tenantId, request);
          return printer.result(found, () => connectionsLines(found));
        }
        const operation = globals.tenant === undefined ? operations.providersHealth : operations.healthOverview;
        const overview = await session.call(operation, tenantId, ofProvider);
        printer.result(overview, () => overviewLines(overview));
      }),
    );
}

function stateOf(word: string): ConnectionHealthState {
  const state = ConnectionHealthState.safeParse(word);
  if (state.success) return state.data;
  const states = ConnectionHealthState.options.join(', ');
  throw new PosternError('request.malformed', `There is no state ${word}; there are ${states}.`);
}
