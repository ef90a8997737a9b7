import { execFile } from 'node:child_process';
import { join } from 'node:path';

import { describeWithServer } from '@postern/servers';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const storyTimeoutMs = 180_000;

function runDemo(): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const options = { maxBuffer: 16 * 1024 * 1024, timeout: storyTimeoutMs };
    execFile(process.execPath, [command, 'demo', '--json'], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

await describeWithServer('nats-server', 'postern demo', () => {
  test(
    'the story holds, step by step, as processes against a real authorization server',
    async () => {
      const { code, stdout, stderr } = await runDemo();
      const { steps } = JSON.parse(stdout === '' ? `{"steps":[],"stderr":${JSON.stringify(stderr)}}` : stdout) as {
        steps: { step: string; held: boolean; proof: unknown; ms: number }[];
      };
      expect(steps.filter(({ held }) => !held)).toEqual([]);
      expect([steps.length, code, stderr.includes('Error')]).toEqual([9, 0, false]);
      // What a step shows as its proof is for everybody to read.
      expect(stdout).not.toMatch(/"access_token":"(?!given)|client_secret|refresh_token":"[A-Za-z0-9_-]{20}/);
    },
    storyTimeoutMs,
  );
});
