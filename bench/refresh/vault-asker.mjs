/**
 * What a vault does with many leases that meet the same ended token: its own asker asks `refresh` once for all of them,
 * and they wait until its own feed has applied the outcome.
 */
import { connectionEvolver, upcast } from '@postern/domain';
import { CommitReader, commitVerifier } from '@postern/event-log';
import { connectBus } from '@postern/nats';
import { Clock, EventLogs, Logger, Metrics, OperationsClient, ReadinessRegistry } from '@postern/service';

import { ConnectionFeed } from '../../apps/vault/dist/connection-feed.js';
import { Connections } from '../../apps/vault/dist/connections.js';
import { RefreshAsker } from '../../apps/vault/dist/lease/refresh-asker.js';
import { serveJobs } from '../lease/process.mjs';

let connections;
let asker;

serveJobs(async (job) => {
  if (job.kind === 'connect') return await connect(job);
  const { tenantId, platformId, connectionId, credentialVersion, count } = job;
  const ref = { tenantId, id: connectionId };
  const versionNow = () => connections.peek(ref)?.state.credential.version;
  // A lease has looked at the connection before it finds that its token has ended.
  await connections.load(ref);
  const wait = async () => {
    const failure = await asker.ask({ tenantId, platformId, connectionId, credentialVersion });
    return {
      atMs: performance.timeOrigin + performance.now(),
      refreshed: failure === undefined,
      version: versionNow(),
    };
  };
  const answers = await Promise.all(Array.from({ length: count }, wait));
  const isServed = ({ refreshed, version }) => refreshed && version === credentialVersion + 1;
  return { atMs: answers.map(({ atMs }) => atMs), refreshed: answers.filter(isServed).length };
});

async function connect({ link, trust }) {
  const bus = await connectBus({ ...link, name: 'bench vault asker' });
  const logs = new EventLogs(bus);
  const logger = new Logger({ level: 'error', base: { app: 'bench' } });
  const reader = new CommitReader({ verifier: commitVerifier(trust, { rememberedMax: 1_000 }) });
  const source = { log: logs.connections, evolver: connectionEvolver, reader, upcast, source: '/postern/bench' };
  connections = new Connections({ ...source, cacheEntriesMax: 1_000 });
  // No lease here waits for its record.
  const records = { connectionEnded: () => undefined };
  const parts = [logs, reader, connections, new Clock(), logger, new Metrics(), new ReadinessRegistry(), records];
  const feed = new ConnectionFeed(...parts);
  await feed.onServiceReady();
  asker = new RefreshAsker(new OperationsClient(bus), feed, logger);
}
