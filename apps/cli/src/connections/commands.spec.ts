import { operations } from '@postern/contracts';
import { Command } from 'commander';

import type { RunCommand, SessionRun } from '../run-command.ts';
import { connectionCommands } from './commands.ts';

/** What `postern …` asks on the bus; nobody answers anything but an empty reply. */
async function asked(...args: string[]): Promise<unknown[]> {
  const calls: unknown[] = [];
  const session = {
    call: async (operation: unknown, tenantId: string, request: unknown) => {
      calls.push([operation, tenantId, request]);
      return {};
    },
  };
  const withSession: RunCommand['withSession'] =
    (work) =>
    async (...parameters) => {
      const command = parameters.at(-1) as Command;
      const given = { args: command.args, options: command.opts(), globals: {} };
      await work({
        ...given,
        session,
        tenantId: 'ten_1',
        printer: { result: () => undefined },
      } as unknown as SessionRun);
    };
  const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  connectionCommands(program, { withSession, plain: withSession as never });
  await program.parseAsync(args, { from: 'user' });
  return calls;
}

describe('postern connections', () => {
  test.each([
    ['revoke', operations.revokeConnection],
    ['delete', operations.deleteConnection],
  ])('%s ends what ends with it only when it is told so', async (name, operation) => {
    expect(await asked('connections', name, 'con_1')).toEqual([[operation, 'ten_1', { connection_id: 'con_1' }]]);
    expect(await asked('connections', name, 'con_1', '--cascade', '--reason', 'moved')).toEqual([
      [operation, 'ten_1', { connection_id: 'con_1', reason: 'moved', cascade: true }],
    ]);
  });

  test.each(['suspend', 'resume', 'refresh', 'reauthorize'])(
    '%s ends nothing, and knows no --cascade',
    async (name) => {
      await expect(asked('connections', name, 'con_1', '--cascade')).rejects.toMatchObject({
        code: 'commander.unknownOption',
      });
    },
  );
});
