/**
 * Preloaded into a service by the crash matrix (`node --import`): lets the process die, or stand still, by its own hand
 * where it passes a crash point. It stands among the specs, so no build has it.
 *
 * A shot is a file named after a connection, with the point and the signal in it; whoever takes it away fires it.
 */
import { subscribe } from 'node:diagnostics_channel';
import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env['SPEC_CRASH_SHOTS'] ?? '';

subscribe('postern.crash-point', (message) => {
  const { point, connectionId } = message as { point: string; connectionId: string };
  const shot = join(folder, connectionId);
  if (!existsSync(shot)) return;
  const [wanted, signal = 'SIGKILL'] = readFileSync(shot, 'utf8').split('\n');
  if (wanted !== point) return;
  unlinkSync(shot);
  process.kill(process.pid, signal);
  // The signal has come by now; this is for a system that takes its time.
  if (signal === 'SIGKILL') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
