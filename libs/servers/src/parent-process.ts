import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** What a parent to be killed tells of one server. */
export interface StartedServer {
  readonly name: string;
  readonly pid: number;
  readonly port?: number;
  readonly monitorPort?: number;
}

const script = fileURLToPath(new URL('../fixtures/parent.mjs', import.meta.url));

/** Starts another Node process that starts these servers itself; for tests that kill it. */
export async function startParent(
  folder: string,
  names: readonly string[],
): Promise<{ parent: ChildProcess; servers: readonly StartedServer[] }> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const args = ['--conditions=@postern/source', script, folder, ...names];
  const parent = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: parent.stdout })) {
    return { parent, servers: JSON.parse(line) as StartedServer[] };
  }
  throw new Error('The parent ended before its servers were ready');
}
