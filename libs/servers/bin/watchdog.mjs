/**
 * Ends the processes of a parent that is gone, even one that was killed with SIGKILL.
 *
 * Standard input is the lifeline: the kernel closes it when the parent ends, however it ends. Until then it
 * carries one JSON message a line: `{"guard":{pid,signal,graceMs,remove}}` before a process begins its work, and
 * `{"release":pid}` after it ended. At the end of the input every process still guarded gets its own stop
 * signal, after `graceMs` its whole process group gets SIGKILL, and what `remove` names is deleted.
 */
import { readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

const pollMs = 25;
const guarded = new Map();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});

function signalTo(pid, signal) {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** A zombie has ended, whether or not somebody has collected it. */
function isAlive(pid) {
  if (!signalTo(pid, 0)) return false;
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

async function end({ pid, signal, graceMs, remove }) {
  signalTo(pid, signal);
  const deadline = performance.now() + graceMs;
  while (isAlive(pid) && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, pollMs));
  signalTo(-pid, 'SIGKILL');
  signalTo(pid, 'SIGKILL');
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, pollMs));
  for (const path of remove) rmSync(path, { force: true, recursive: true });
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.guard) guarded.set(message.guard.pid, message.guard);
  else guarded.delete(message.release);
}
await Promise.all([...guarded.values()].map(end));
