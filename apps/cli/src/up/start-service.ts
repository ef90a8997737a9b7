import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { PosternError, type AppName } from '@postern/contracts';
import { childProcess, type ManagedProcess } from '@postern/servers';

import { serviceEnvironment, type ServiceEnvironmentOptions } from './service-environment.ts';

const readyWaitMsMax = 60_000;
const readyPollMs = 50;
const command = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));

/**
 * Starts one service as a process of its own, exactly as production does, and waits until it says it is ready.
 *
 * @throws {PosternError} `servers.start_failed` when it ends or is not ready in time; its log tells why.
 */
export async function startService(
  app: AppName,
  options: ServiceEnvironmentOptions,
  signal: AbortSignal,
): Promise<ManagedProcess> {
  mkdirSync(options.folder.logDir, { recursive: true, mode: 0o700 });
  const logPath = join(options.folder.logDir, `${app}.log`);
  const child = childProcess({
    name: app,
    command: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', command, 'serve', app],
    env: serviceEnvironment(app, options),
    logPath,
  });
  let ended = false;
  void child.exited.then(() => {
    ended = true;
  });
  const deadline = performance.now() + readyWaitMsMax;
  while (!(await isReady(options.httpPort))) {
    if (ended || signal.aborted || performance.now() > deadline) {
      await child.kill();
      const why = ended
        ? 'ended while it was starting'
        : signal.aborted
          ? 'was given up, since another service did not start'
          : `was not ready within ${readyWaitMsMax / 1_000} s`;
      throw new PosternError('servers.start_failed', `${app} ${why}; see ${logPath}.`);
    }
    await new Promise((resolve) => setTimeout(resolve, readyPollMs));
  }
  return child;
}

/** Does the service on this port say that it is ready? */
export async function isReady(httpPort: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${httpPort}/readyz`, { signal: AbortSignal.timeout(1_000) });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
