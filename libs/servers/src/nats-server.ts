import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { ManagedProcess } from './child-process.ts';
import { privateDir } from './data-dir.ts';
import { findNatsServer } from './find-program.ts';
import type { FoundProgram } from './find-program.ts';
import { freePort } from './free-port.ts';
import { natsServerConfig } from './nats-server-config.ts';
import type { NatsServerConfigOptions } from './nats-server-config.ts';
import { startServer } from './server-process.ts';
import type { ServerStart } from './server-process.ts';

const name = 'nats-server';
const healthTimeoutMs = 2_000;

/** The places that the launcher chose; a configuration must use them. */
export interface NatsServerPlaces {
  readonly port: number;
  readonly monitorPort: number;
  readonly storeDir: string;
}

export interface NatsServerOptions {
  /** The server's own folder: configuration, log, JetStream's files. Created when absent. */
  readonly dataDir: string;
  /** The client port; a free one when absent. */
  readonly port?: number;
  /** The monitoring port; a free one when absent. */
  readonly monitorPort?: number;
  /** What to add to {@link natsServerConfig}, or a function that writes the whole configuration text. */
  readonly config?: Omit<NatsServerConfigOptions, keyof NatsServerPlaces> | ((places: NatsServerPlaces) => string);
  /** A program found before; looked for when absent. */
  readonly program?: FoundProgram;
}

/** A running nats-server. */
export interface NatsServer extends ManagedProcess {
  /** For clients: `nats://127.0.0.1:<port>`. */
  readonly url: string;
  /** For `/varz`, `/healthz` and their like. */
  readonly monitorUrl: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly dataDir: string;
  readonly logPath: string;
  readonly program: FoundProgram;
}

/** Healthy as a server: a cluster's quorum is not waited for, since its nodes start one after another. */
async function isHealthy(monitorUrl: string): Promise<boolean> {
  try {
    const answer = await fetch(`${monitorUrl}/healthz?js-server-only=true`, {
      signal: AbortSignal.timeout(healthTimeoutMs),
    });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}

function configText(config: NatsServerOptions['config'], places: NatsServerPlaces): string {
  return typeof config === 'function' ? config(places) : natsServerConfig({ ...config, ...places });
}

function plan(dataDir: string, program: FoundProgram, places: NatsServerPlaces, text: string): ServerStart {
  const configPath = join(dataDir, 'nats-server.conf');
  rmSync(configPath, { force: true });
  writeFileSync(configPath, text, { mode: 0o600 });
  const portsFile = (pid: number): string => join(dataDir, `${basename(program.path)}_${pid}.ports`);
  return {
    name,
    command: program.path,
    args: ['--config', configPath, '--ports_file_dir', dataDir],
    cwd: dataDir,
    env: { PATH: process.env['PATH'] },
    logPath: join(dataDir, 'nats-server.log'),
    removeAtEnd: (pid) => [portsFile(pid)],
    // The ports file names the process: another server that answers on this port is not mistaken for ours.
    isReady: async (pid) => existsSync(portsFile(pid)) && isHealthy(`http://127.0.0.1:${places.monitorPort}`),
  };
}

/**
 * Starts nats-server on its own data folder and waits until JetStream is ready.
 *
 * With the same `dataDir`, `port` and `monitorPort` it starts again on the same data, also after SIGKILL.
 *
 * @throws {PosternError} `servers.not_found`, `servers.too_old`, `servers.start_failed` (with the end of its log).
 * @effect a process under the watchdog; files in `dataDir`, the configuration of mode 0600.
 */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const dataDir = privateDir(resolve(options.dataDir));
  const program = options.program ?? (await findNatsServer());
  const fixedPorts = options.port !== undefined || options.monitorPort !== undefined;
  let places: NatsServerPlaces | undefined;
  let start: ServerStart | undefined;
  const child = await startServer({
    name,
    dataDir,
    fixedPorts,
    plan: async () => {
      const port = options.port ?? (await freePort());
      const monitorPort = options.monitorPort ?? (await freePort());
      places = { port, monitorPort, storeDir: join(dataDir, 'jetstream') };
      start = plan(dataDir, program, places, configText(options.config, places));
      return start;
    },
  });
  const { port, monitorPort } = places as NatsServerPlaces;
  const urls = { url: `nats://127.0.0.1:${port}`, monitorUrl: `http://127.0.0.1:${monitorPort}` };
  return { ...child, ...urls, port, monitorPort, dataDir, program, logPath: (start as ServerStart).logPath };
}
