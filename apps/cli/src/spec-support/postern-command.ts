import { execFile } from 'node:child_process';
import { join } from 'node:path';

const command = join(import.meta.dirname, '../../bin/postern.mjs');

/** What a run of the `postern` command printed, and how it ended. */
export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the `postern` command as an operator does, on a data folder. */
export async function ranPostern(folder: string, ...args: readonly string[]): Promise<Ran> {
  return await new Promise((resolve) => {
    const options = { maxBuffer: 64 * 1024 * 1024 };
    execFile(process.execPath, [command, '--data', folder, ...args], options, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

/** The same, where nothing but success will do. @returns what it printed. */
export async function postern(folder: string, ...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await ranPostern(folder, ...args);
  if (exitCode === 0) return stdout;
  throw new Error(`postern ${args.join(' ')} ended with ${exitCode}: ${stderr}${stdout}`);
}
