import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { newId, streams, subjects, type RefreshDue } from '@postern/contracts';
import { createOperator, JetStreamWorker, publishMessage, serverOperatorConfig, type WorkMessage } from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { Clock, Metrics } from '@postern/service';
import { waitFor } from '@postern/testing';

import type { Due } from '../due/due-messages.ts';
import { WorkDue } from '../due/work-due.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { World } from '../spec-support/world.ts';
import { Pace } from './pace.ts';

const { workConcurrencyMax, workPrefetchMax } = refreshLimits;
/** Far more than one process has seats, asks for at a time, and than once could be delivered without being settled. */
const backlog = 200;
const shareMax = 24;
/** How long a machine that does much else may take; nothing is decided by it. */
const patienceMs = 300_000;

await describeWithServer('nats-server', 'a long queue of one tenant on a real work queue', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-pace-'));
  let server: NatsServer;
  let world: World;

  beforeAll(async () => {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle), extra: 'authorization { timeout: 30 }' };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    world = await World.create(server.url, bundle, folder);
  }, patienceMs);
  afterAll(async () => {
    await world?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function publishDue(tenantId: string, count = 1): Promise<void> {
    const bus = await world.bus('refresh');
    const payload: RefreshDue = { reason: 'scheduled', credential_version: 1, position: 1 };
    const publish = () =>
      publishMessage(bus, {
        stream: streams.refresh.name,
        subject: subjects.refreshDue({ tenantId, connectionId: newId('connection') }),
        payload,
        ackTimeoutMs: 30_000,
      });
    for (let left = count; left > 0; left -= 50) {
      await Promise.all(Array.from({ length: Math.min(left, 50) }, publish));
    }
  }

  /** A worker whose provider never answers for one tenant: only the shares decide who else is worked on. */
  function worker(slowTenantId: string) {
    const clock = new Clock();
    const logger = { warn: () => undefined, info: () => undefined };
    const pace = new Pace({ providerCallsPerSecond: 10_000 } as never, clock, logger as never, new Metrics());
    const release = Promise.withResolvers<void>();
    const spent: string[] = [];
    const working = new Map<string, number>();
    let most = 0;
    const claims = { take: async (due: Due) => ({ kind: 'claimed', held: due }) };
    const spending = {
      isInHand: () => false,
      spend: async ({ tenantId }: Due) => {
        working.set(tenantId, (working.get(tenantId) ?? 0) + 1);
        most = Math.max(most, working.get(tenantId) ?? 0);
        if (tenantId === slowTenantId) await release.promise;
        working.set(tenantId, (working.get(tenantId) ?? 0) - 1);
        spent.push(tenantId);
      },
    };
    const state = { claim: null, registrationId: newId('registration'), providerId: 'slack' };
    const connections = { load: async () => ({ state }) };
    const scheduled = { ripeness: async () => 'refresh' };
    const takeOver = { recover: async () => false };
    const parts = [claims, {}, takeOver, spending, scheduled, {}, connections, pace, new Clock(), new Metrics()];
    const work = new WorkDue(...(parts as unknown as ConstructorParameters<typeof WorkDue>));
    return {
      ...{ pace, release, spent, working },
      mostAtATime: () => most,
      handle: (message: WorkMessage) => work.due(message.json(), message),
    };
  }

  test(
    'another tenant’s only connection is worked on while none of the queue before it gets anywhere',
    async () => {
      const [crowded, lonely] = [newId('tenant'), newId('tenant')];
      await publishDue(crowded, backlog);
      await publishDue(lonely);
      const { handle, spent, working, release, mostAtATime, pace } = worker(crowded);
      const jobs = new JetStreamWorker({
        ...{ bus: await world.bus('refresh'), consumer: 'refreshWorker', handle },
        ...{ concurrencyMax: workConcurrencyMax, prefetchMax: workPrefetchMax },
      });
      await jobs.start();
      await waitFor(() => spent.includes(lonely), { describe: 'the lonely connection', timeoutMs: patienceMs });
      expect(spent).toEqual([lonely]);
      expect(working.get(crowded)).toBe(shareMax);
      release.resolve();
      await waitFor(() => spent.length > 3 * shareMax, { describe: 'the queue to go on', timeoutMs: patienceMs });
      expect(mostAtATime()).toBeLessThanOrEqual(shareMax);
      expect(pace.readings()).toEqual([expect.objectContaining({ providerId: 'slack', breaker: 'closed' })]);
      await jobs.stop();
    },
    patienceMs,
  );
});
