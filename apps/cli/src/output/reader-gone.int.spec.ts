import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const command = join(import.meta.dirname, '../../bin/postern.mjs');

test('a reader that has read enough is no error', async () => {
  const child = spawn(process.execPath, [command, 'providers', 'list', '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString('utf8')));
  const [code] = (await once(child, 'close')) as [number | null];
  expect({ code, words }).toEqual({ code: 0, words: '' });
});
