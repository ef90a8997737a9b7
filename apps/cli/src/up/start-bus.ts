import { readFileSync } from 'node:fs';

import { connectBus, provision, serverOperatorConfig } from '@postern/nats';
import { startNatsServer, type NatsServer } from '@postern/servers';

import { ensureOperator, readOperator } from '../data-folder/operator.ts';
import type { DataFolder } from '../data-folder/paths.ts';
import { keepRunning, type KeptProcess } from './keep-running.ts';
import { proveDurability } from './prove-durability.ts';
import { keepIdentitiesRenewed } from './renew-identities.ts';
import { watchStore } from './watch-store.ts';

/** Room for every stream's own limit; a disk with less is watched by nats-server itself. */
const fileStoreBytesMax = 32 * 1024 ** 3;

export interface RunningBus {
  readonly url: string;
  readonly monitorUrl: string;
  readonly kept: KeptProcess;
}

export interface StartBusOptions {
  /** How long the users live that the identities get. */
  readonly identityTtlMs: number;
  /** How much room there must be before a server that stopped at a full disk is started again. */
  readonly roomBytesMin?: number | undefined;
  readonly onProblem: (sentence: string) => void;
}

/**
 * Starts nats-server in operator mode on the data folder, keeps it running and able to write, provisions the streams, and
 * gives the identities new users in time.
 */
export async function startBus(
  folder: DataFolder,
  { identityTtlMs, roomBytesMin, onProblem }: StartBusOptions,
): Promise<RunningBus> {
  const bundle = await ensureOperator(folder, identityTtlMs);
  let ports: { port?: number; monitorPort?: number } = {};
  let server: NatsServer | undefined;
  const start = async () => {
    // Read anew: users of platforms may have been ended since.
    const operatorMode = serverOperatorConfig(readOperator(folder));
    const config = { operatorMode, serverName: 'postern', fileStoreBytesMax };
    server = await startNatsServer({ dataDir: folder.natsDir, ...ports, config });
    ports = { port: server.port, monitorPort: server.monitorPort };
    return server;
  };
  const kept = await keepRunning({ name: 'nats-server', start, onProblem });
  const { url, monitorUrl } = server as unknown as NatsServer;
  const stopRenewing = keepIdentitiesRenewed({ folder, bundle, ttlMs: identityTtlMs, onProblem });
  const stopWatching = watchStore({
    monitorUrl,
    folder: folder.natsDir,
    restart: async () => kept.current()?.stop(),
    onProblem,
    roomBytesMin,
  });
  const stop = async () => {
    stopRenewing();
    await stopWatching();
    await kept.stop();
  };
  try {
    const { durable, found } = await proveDurability({ servers: url, bundle });
    if (!durable) onProblem(`WARNING: ${found}`);
    await provisionStreams(folder, url);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, monitorUrl, kept: { ...kept, stop } };
}

async function provisionStreams(folder: DataFolder, url: string): Promise<void> {
  const creds = readFileSync(folder.credsFile('provisioner'), 'utf8');
  const bus = await connectBus({ servers: url, creds, identity: 'provisioner', name: 'postern provisioner' });
  try {
    await provision(bus);
  } finally {
    await bus.close();
  }
}
