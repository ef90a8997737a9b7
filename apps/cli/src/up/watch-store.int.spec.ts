import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { startNatsServer, temporaryDataDir, type NatsServer } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { describeWithSmallDisk, mountSmallDisk, type SmallDisk } from '../spec-support/small-disk.ts';
import { keepRunning, type KeptProcess } from './keep-running.ts';
import { watchStore } from './watch-store.ts';

const mebibyte = 1024 ** 2;
const publishTimeoutMs = 2_000;

describeWithSmallDisk('nats-server on a disk that is full', () => {
  let root: string;
  let disk: SmallDisk;
  let kept: KeptProcess;
  let server: NatsServer;
  let client: NatsConnection;
  let starts = 0;

  beforeEach(async () => {
    root = temporaryDataDir('postern-store-');
    disk = mountSmallDisk(join(root, 'nats'), 24);
    starts = 0;
    let ports = {};
    kept = await keepRunning({
      name: 'nats-server',
      onProblem: () => undefined,
      start: async () => {
        server = await startNatsServer({ dataDir: disk.folder, ...ports });
        ports = { port: server.port, monitorPort: server.monitorPort };
        starts += 1;
        return server;
      },
    });
    client = await connect({ servers: server.url, maxReconnectAttempts: -1, timeout: 30_000 });
    await (await jetstreamManager(client)).streams.add({ name: 'S', subjects: ['s.>'] });
  }, 60_000);

  afterEach(async () => {
    await client?.close();
    await kept?.stop();
    disk?.unmount();
    await rm(root, { recursive: true, force: true });
  });

  const publishes = async (): Promise<boolean> => {
    try {
      await jetstream(client).publish('s.x', new Uint8Array(8_192), { timeout: publishTimeoutMs });
      return true;
    } catch {
      return false;
    }
  };

  /** Stands before the monitoring port, to count how often it is looked at. */
  async function countingMonitor(): Promise<{ url: string; looks: () => number; close: () => void }> {
    let looks = 0;
    const monitor = createServer((request, response) => {
      void fetch(`${server.monitorUrl}${request.url ?? ''}`)
        .then(async (answer) => response.writeHead(answer.status).end(await answer.text()))
        .catch(() => response.destroy())
        .finally(() => (looks += 1));
    });
    await new Promise<void>((resolve) => monitor.listen(0, '127.0.0.1', resolve));
    const { port } = monitor.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}`, looks: () => looks, close: () => monitor.close() };
  }

  test('is told once, left alone while there is no room, and started again when there is', async () => {
    const monitor = await countingMonitor();
    const sentences: string[] = [];
    const stop = watchStore({
      monitorUrl: monitor.url,
      folder: disk.folder,
      restart: async () => kept.current()?.stop(),
      onProblem: (sentence) => sentences.push(sentence),
      roomBytesMin: 8 * mebibyte,
      checkIntervalMs: 100,
    });
    try {
      expect(await publishes()).toBe(true);
      disk.fill();
      await waitFor(async () => !(await publishes()), { timeoutMs: 60_000, describe: 'it goes on writing' });
      await waitFor(() => sentences.length > 0, { timeoutMs: 60_000, describe: 'nothing was said' });
      const before = monitor.looks();
      await waitFor(() => monitor.looks() > before + 5, { timeoutMs: 60_000, describe: 'it does not look again' });
      expect(starts).toBe(1);
      expect(sentences).toEqual([
        expect.stringMatching(/^the disk of .*nats is full \(\d+\.\d MiB free\).* once 8\.0 MiB are free$/),
      ]);
      disk.empty();
      await waitFor(publishes, { timeoutMs: 60_000, describe: 'it does not write again' });
      expect(starts).toBe(2);
      expect(sentences.slice(1)).toEqual([expect.stringMatching(/^there is room in .*nats-server is started again$/)]);
    } finally {
      await stop();
      monitor.close();
    }
  }, 240_000);

  test('stays frozen by itself, also with room: why anybody has to watch it', async () => {
    disk.fill();
    await waitFor(async () => !(await publishes()), { timeoutMs: 60_000, describe: 'it goes on writing' });
    disk.empty();
    expect(await publishes()).toBe(false);
    const page = async (query: string) => (await fetch(`${server.monitorUrl}/healthz${query}`)).status;
    expect([await page(''), await page('?js-server-only=true'), await page('?js-enabled-only=true')]).toEqual([
      503, 200, 200,
    ]);
  }, 120_000);
});
