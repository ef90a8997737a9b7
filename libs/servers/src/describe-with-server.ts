import { findProgram } from './find-program.ts';
import type { FoundProgram } from './find-program.ts';
import type { ProgramName } from './programs.ts';

type Body = () => void;
interface Describe {
  (name: string, body: Body): void;
  skip(name: string, body: Body): void;
}
/** The part of jest's globals that is used; they exist only inside a test file. */
interface TestGlobals {
  readonly describe: Describe;
  readonly test: (name: string, body: () => void) => void;
}

async function look(name: ProgramName, required: boolean): Promise<FoundProgram | Error> {
  try {
    return await findProgram(name, required ? {} : { sources: ['env', 'path', 'cache'] });
  } catch (error) {
    return error as Error;
  }
}

/**
 * A `describe` whose tests need a server program.
 *
 * Without the program they are skipped, and their name says why; with `POSTERN_REQUIRE_SERVERS=1` the program is
 * built or fetched, and when that fails, so do they. Await it at the top of a test file.
 */
export async function describeWithServer(name: ProgramName, title: string, body: Body): Promise<void> {
  const { describe, test } = globalThis as unknown as TestGlobals;
  const required = process.env['POSTERN_REQUIRE_SERVERS'] === '1';
  const found = await look(name, required);
  if (!(found instanceof Error)) return describe(title, body);
  if (!required) return describe.skip(`${title} (skipped: ${name} was not found)`, body);
  describe(title, () =>
    test(`${name} is there, as POSTERN_REQUIRE_SERVERS demands`, () => {
      throw found;
    }),
  );
}
