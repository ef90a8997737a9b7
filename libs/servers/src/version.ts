import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const versionTimeoutMs = 20_000;

/** The first three-part version in a text, without a leading v or a build suffix; undefined when there is none. */
export function parseVersion(text: string): string | undefined {
  return /\bv?(\d+\.\d+\.\d+)/.exec(text)?.[1];
}

/** Is `version` at least `versionMin`, part by part? */
export function isAtLeast(version: string, versionMin: string): boolean {
  const have = version.split('.').map(Number);
  const want = versionMin.split('.').map(Number);
  const at = want.findIndex((part, index) => part !== (have[index] ?? 0));
  return at === -1 || (have[at] ?? 0) > (want[at] ?? 0);
}

/** Asks a program for its version; undefined when it does not run or does not say. */
export async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(path, ['--version'], { timeout: versionTimeoutMs });
    return parseVersion(stdout) ?? parseVersion(stderr);
  } catch {
    return undefined;
  }
}
