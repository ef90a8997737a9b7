import { execFile } from 'node:child_process';
import { join } from 'node:path';

import { describeWithServer } from '@postern/servers';
import { assertionProfiles, keyProfiles, providerProfiles } from '@postern/testing';

const tool = join(import.meta.dirname, '../../../../tools/provider-drill.mjs');
const timeoutMs = 600_000;

/** Runs as a process of its own: how to meet the simulated providers is a matter of the whole process. */
function drill(): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [tool], { timeout: timeoutMs }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

await describeWithServer('nats-server', 'the table of named providers', () => {
  test(
    'each is connected, leased, refreshed, ended there and ended by us, as processes against its profile',
    async () => {
      const { code, stdout, stderr } = await drill();
      expect({ failed: stdout.match(/^failed: .*$/gm), code, stderr: code === 0 ? '' : stderr }).toEqual({
        ...{ failed: null, code: 0, stderr: '' },
      });
      const named = [...providerProfiles, ...assertionProfiles, ...keyProfiles];
      const rows = stdout.split('\n').filter((line) => named.some(({ name }) => line.startsWith(`${name}  `)));
      expect(rows).toHaveLength(named.length);
      expect(stdout).toMatch(/^GitHub App \(installation\)  /m);
      expect(stdout).not.toMatch(/(access|refresh|asserted)-[A-Za-z0-9_-]{32}|sk_test_|ghs_/);
    },
    timeoutMs,
  );
});
