import { execFile } from 'node:child_process';
import { join } from 'node:path';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
export const storyTimeoutMs = 180_000;

/** What `postern demo --json` came to. */
export interface PlayedDemo {
  readonly steps: readonly {
    readonly step: string;
    readonly held: boolean;
    readonly proof: unknown;
    readonly ms: number;
  }[];
  readonly code: number;
  /** What everybody may read. */
  readonly output: string;
  readonly stderr: string;
}

/** Plays the demo as somebody would who types it. @throws when it tells of no step at all. */
export async function playDemo(...args: readonly string[]): Promise<PlayedDemo> {
  const { code, stdout, stderr } = await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const options = { maxBuffer: 16 * 1024 * 1024, timeout: storyTimeoutMs };
    execFile(process.execPath, [command, 'demo', ...args, '--json'], options, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout: out, stderr: err });
    });
  });
  if (stdout === '') throw new Error(`the demo printed nothing: ${stderr}`);
  return { ...(JSON.parse(stdout) as Pick<PlayedDemo, 'steps'>), code, output: stdout, stderr };
}
