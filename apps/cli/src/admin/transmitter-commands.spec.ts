import { newId, operations } from '@postern/contracts';
import { Command } from 'commander';

import type { RunCommand, SessionRun } from '../run-command.ts';
import { transmitterCommands } from './transmitter-commands.ts';

const tenantId = newId('tenant');
const id = newId('transmitter');

/** What `postern transmitters …` asks on the bus, what it prints, and its exit code. */
async function asked(verified: boolean, ...args: string[]) {
  const calls: unknown[] = [];
  let printed: string[] = [];
  const session = {
    call: async (...call: unknown[]) => {
      calls.push(call);
      return { transmitter_id: id, state: 'state', verified, took_ms: 42 };
    },
    repository: () => ({ load: async () => ({ revision: 1 }) }),
  };
  const printer = { result: (_shown: unknown, lines: () => string[]) => void (printed = lines()) };
  const withSession: RunCommand['withSession'] =
    (work) =>
    async (...parameters) => {
      const command = parameters.at(-1) as Command;
      const given = { args: command.args, options: command.opts(), globals: {}, tenantId };
      await work({ ...given, session, printer } as unknown as SessionRun);
    };
  const program = new Command().exitOverride();
  transmitterCommands(program.command('transmitters'), { withSession, plain: withSession as never });
  await program.parseAsync(['transmitters', ...args], { from: 'user' });
  const { exitCode } = process;
  process.exitCode = undefined;
  return { calls, printed, exitCode };
}

describe('postern transmitters verify', () => {
  test('asks for a verification as it is told, and says that it came', async () => {
    const registrationId = newId('registration');
    const endpoint = 'https://tr.example/verify';
    const { calls, printed, exitCode } = await asked(
      true,
      ...['verify', id, '--endpoint', endpoint, '--stream-id', 's1', '--token-of', registrationId],
    );
    const bearer_of = { tenant_id: tenantId, registration_id: registrationId };
    const request = { transmitter_id: id, endpoint, stream_id: 's1', bearer_of };
    expect(calls).toEqual([[operations.verifyTransmitter, tenantId, request]]);
    expect(printed.join()).toContain('is verified');
    expect(exitCode).toBeUndefined();
  });

  test('that brings nothing in time is a no', async () => {
    const { calls, printed, exitCode } = await asked(false, 'verify', id);
    expect(calls).toEqual([[operations.verifyTransmitter, tenantId, { transmitter_id: id }]]);
    expect(printed.join()).toContain('nothing came');
    expect(exitCode).toBe(1);
  });
});
