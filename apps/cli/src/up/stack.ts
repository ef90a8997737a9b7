import { chmodSync, mkdirSync } from 'node:fs';

import { appNames, type AppName } from '@postern/contracts';
import { freePort } from '@postern/servers';

import { chooseKeyring, type KeyringChoice } from '../data-folder/keyring-choice.ts';
import { ensureKeys } from '../data-folder/keys.ts';
import { identityTtlMs as defaultTtlMs } from '../data-folder/operator.ts';
import type { DataFolder } from '../data-folder/paths.ts';
import { writeSupervisorFile } from '../session/supervisor-file.ts';
import { ensureFirstTenant } from './first-tenant.ts';
import { keepRunning, type KeptProcess } from './keep-running.ts';
import { startReverseProxy } from './reverse-proxy.ts';
import { startBus } from './start-bus.ts';
import { startDatabase } from './start-database.ts';
import { startKeyServer } from './start-key-server.ts';
import { isReady, startService } from './start-service.ts';

export interface StackOptions {
  readonly folder: DataFolder;
  readonly host: string;
  readonly port: number;
  /** What browsers and platforms use; the address of the one port when absent. */
  readonly publicUrl?: string | undefined;
  /** Who holds the key-encryption keys; what the data folder was begun with when absent. */
  readonly keyring?: KeyringChoice | undefined;
  /** How long the services' users of the bus live; an hour when absent. */
  readonly identityTtlMs?: number | undefined;
  /** How much room nats-server must have to be started again after a full disk; 64 MiB when absent. */
  readonly storeRoomBytesMin?: number | undefined;
  /** Told what is being done, and what went wrong with a child. */
  readonly onProgress: (sentence: string) => void;
}

export interface Stack {
  readonly url: string;
  /** The one port on this machine, whatever stands in front of it. */
  readonly localUrl: string;
  readonly natsUrl: string;
  readonly tenantId: string;
  readonly processes: () => readonly { name: string; pid: number }[];
  stop(): Promise<void>;
}

/** What runs so far; ended in this order: the port, the services, the servers they hang on. */
class Running {
  readonly servers: KeptProcess[] = [];
  readonly services: KeptProcess[] = [];
  stopPort: () => Promise<void> = () => Promise.resolve();

  processes(): { name: string; pid: number }[] {
    return [...this.servers, ...this.services].map((one) => ({ name: one.name, pid: one.current()?.pid ?? 0 }));
  }

  async stop(): Promise<void> {
    await this.stopPort();
    await Promise.all(this.services.map((one) => one.stop()));
    await Promise.all(this.servers.map((one) => one.stop()));
  }
}

/**
 * Starts everything of one machine: servers first, then streams and schema, then one process a service, then the one
 * port. Children are kept running and are gone when this process is gone, even after `kill -9`.
 *
 * @effect processes and files below the data folder; starting again goes on with the same data.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const running = new Running();
  try {
    return await start(options, running);
  } catch (error) {
    await running.stop();
    throw error;
  }
}

async function start(options: StackOptions, running: Running): Promise<Stack> {
  const { folder, host, onProgress } = options;
  makePassable(folder.root);
  const keyring = chooseKeyring(folder, options.keyring);
  await ensureKeys(folder, keyring);
  onProgress(`starting nats-server and PostgreSQL${keyring === 'vault' ? ' and HashiCorp Vault' : ''}`);
  const { bus, keyServerUrl } = await startServers({ ...options, keyring }, running);
  const ports = await servicePorts();
  const port = options.port === 0 ? await freePort() : options.port;
  const localUrl = `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`;
  const publicUrl = options.publicUrl ?? localUrl;
  const tenantId = await ensureFirstTenant(folder, { natsUrl: bus.url, publicUrl, keyServerUrl });
  onProgress(`starting ${appNames.join(', ')}`);
  await startServices({ folder, natsUrl: bus.url, publicUrl, keyServerUrl, ports, onProgress, running });
  const proxy = await startReverseProxy({ host, port, portOf: (app) => ports[app], readiness: readinessOf(ports) });
  running.stopPort = () => proxy.stop();
  writeSupervisorFile(folder, {
    pid: process.pid,
    natsUrl: bus.url,
    natsMonitorUrl: bus.monitorUrl,
    publicUrl,
    tenantId,
    keyServerUrl,
    services: ports,
  });
  return {
    url: publicUrl,
    localUrl,
    natsUrl: bus.url,
    tenantId,
    processes: () => running.processes(),
    stop: () => running.stop(),
  };
}

/** Waits for all even when one fails, so that nothing that did start is left behind. */
async function startServers(options: StackOptions, running: Running) {
  const { folder, keyring, onProgress, identityTtlMs = defaultTtlMs, storeRoomBytesMin: roomBytesMin } = options;
  const bus = startBus(folder, { identityTtlMs, roomBytesMin, onProblem: onProgress }).then(
    (one) => (running.servers.push(one.kept), one),
  );
  const database = startDatabase(folder, onProgress).then((one) => running.servers.push(one.kept));
  const keyServer = keyring === 'vault' ? startKeyServer(folder, onProgress) : undefined;
  const keptKeyServer = keyServer?.then((one) => running.servers.push(one.kept));
  await Promise.allSettled([bus, database, keptKeyServer]);
  await database;
  await keptKeyServer;
  return { bus: await bus, keyServerUrl: (await keyServer)?.url };
}

/** Others may pass through to what is theirs (PostgreSQL runs as its own user under root), and list nothing. */
function makePassable(root: string): void {
  mkdirSync(root, { recursive: true, mode: 0o711 });
  chmodSync(root, 0o711);
}

async function servicePorts(): Promise<Record<AppName, number>> {
  const entries: [AppName, number][] = [];
  for (const app of appNames) entries.push([app, await freePort()]);
  return Object.fromEntries(entries) as Record<AppName, number>;
}

async function startServices(options: {
  readonly folder: DataFolder;
  readonly natsUrl: string;
  readonly publicUrl: string;
  readonly keyServerUrl: string | undefined;
  readonly ports: Record<AppName, number>;
  readonly onProgress: (sentence: string) => void;
  readonly running: Running;
}): Promise<void> {
  const { ports, onProgress, running, ...shared } = options;
  const abort = new AbortController();
  const starts = appNames.map(async (app) => {
    const start = () => startService(app, { ...shared, httpPort: ports[app] }, abort.signal);
    running.services.push(await keepRunning({ name: app, start, onProblem: onProgress }));
  });
  try {
    await Promise.all(starts);
  } catch (error) {
    // One that does not start ends the others at once, and nothing is left behind.
    abort.abort();
    await Promise.allSettled(starts);
    throw error;
  }
}

/** Asked by `/readyz`: the newest answers, refreshed in the background so that the question costs nothing. */
function readinessOf(ports: Record<AppName, number>): () => { ready: boolean; checks: Record<string, boolean> } {
  const checks: Record<string, boolean> = Object.fromEntries(appNames.map((app) => [app, true]));
  const refresh = async () => {
    for (const app of appNames) checks[app] = await isReady(ports[app]);
  };
  setInterval(() => void refresh(), 1_000).unref();
  return () => ({ ready: Object.values(checks).every(Boolean), checks: { ...checks } });
}
