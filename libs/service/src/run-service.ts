import { writeSync } from 'node:fs';
import { isPosternError } from '@postern/contracts';
import type { Environment } from './config.ts';
import { isError } from './printable.ts';
import type { ServiceDefinition } from './service-definition.ts';
import { startService, type RunningService, type StartOptions } from './start-service.ts';

/** The process around a service, as far as a service needs it; tests bring one of their own. */
export interface ServiceHost {
  /** Asks to be told of `SIGTERM`, `SIGINT` and the end of the parent. */
  onStop(stop: (reason: string) => void, watchParent: boolean): void;
  /** Tells the supervisor. */
  tell(message: HostMessage): void;
  /** A sentence for a person, when there may be no logger. */
  complain(sentence: string): void;
  exit(code: number): void;
}

/** What a supervisor hears from a service over IPC, or as JSON lines on `POSTERN_READY_FD`. */
export type HostMessage =
  | { readonly type: 'ready'; readonly app: string; readonly httpPort: number }
  | { readonly type: 'stopped'; readonly app: string };

const exitCodes = { done: 0, failed: 1, unreachable: 3 } as const;

/**
 * Is the process of one service: starts it, tells the supervisor, stops it gracefully on SIGTERM and SIGINT, at once
 * at the second one, and with its parent when `POSTERN_PARENT_WATCH=1`.
 *
 * @effect ends the process: 0 after a graceful stop, 1 when it failed or the bus was closed for good, 3 when the bus
 *   was never reached.
 */
export async function runService(
  definition: ServiceDefinition,
  env: Environment = process.env,
  host: ServiceHost = processHost(env),
  options: Pick<StartOptions, 'logDestination'> = {},
): Promise<void> {
  const starting = new AbortController();
  const stopAsked = Promise.withResolvers<string>();
  let asked = 0;
  host.onStop((reason) => {
    asked += 1;
    if (asked > 1) return host.exit(exitCodes.failed);
    starting.abort();
    stopAsked.resolve(reason);
  }, env['POSTERN_PARENT_WATCH'] === '1');
  try {
    const service = await startService(definition, env, { ...options, signal: starting.signal });
    host.exit(await serveUntilStopped(service, host, stopAsked.promise));
  } catch (error) {
    if (starting.signal.aborted) return host.exit(exitCodes.done);
    host.complain(`${definition.app}: ${isError(error) ? error.message : String(error)}`);
    const unreachable = isPosternError(error) && error.code === 'bus.unavailable';
    host.exit(unreachable ? exitCodes.unreachable : exitCodes.failed);
  }
}

async function serveUntilStopped(service: RunningService, host: ServiceHost, stop: Promise<string>): Promise<number> {
  const { app, httpPort, logger } = service;
  host.tell({ type: 'ready', app, httpPort });
  const lost = service.busLost.then((sentence) => ({ sentence }));
  const end = await Promise.race([stop.then((reason) => ({ reason })), lost]);
  if ('reason' in end) logger.info(`asked to stop by ${end.reason}`);
  else {
    logger.fatal(end.sentence);
    host.complain(`${app}: ${end.sentence}`);
  }
  const inTime = await service.stop();
  host.tell({ type: 'stopped', app });
  return 'reason' in end && inTime ? exitCodes.done : exitCodes.failed;
}

/** The real process. */
function processHost(env: Environment): ServiceHost {
  const readyFd = Number.parseInt(env['POSTERN_READY_FD'] ?? '', 10);
  return {
    onStop(stop, watchParent) {
      process.on('SIGTERM', () => stop('SIGTERM'));
      process.on('SIGINT', () => stop('SIGINT'));
      if (watchParent) onParentGone(() => stop('the end of its parent'));
    },
    tell(message) {
      process.send?.(message);
      if (Number.isInteger(readyFd) && readyFd > 2) writeSync(readyFd, `${JSON.stringify(message)}\n`);
    },
    complain: (sentence) => process.stderr.write(`${sentence}\n`),
    exit: (code) => process.exit(code),
  };
}

/** A supervisor that was killed closes its ends: the IPC channel if there is one, otherwise standard input. */
function onParentGone(gone: () => void): void {
  if (process.channel !== undefined) {
    process.once('disconnect', gone);
    return;
  }
  process.stdin.once('end', gone).once('close', gone).once('error', gone).resume();
}
