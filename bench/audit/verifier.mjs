/** Verifies CONNECTIONS as `postern audit verify` does. */
import { streamFilters, streams } from '@postern/contracts';
import { evolverOf, upcast } from '@postern/domain';
import { CommitReader, commitVerifier, TreeVerifier, verifyLog } from '@postern/event-log';
import { connectBus, JetStreamEventLog } from '@postern/nats';

import { serveJobs } from '../lease/process.mjs';

const mebibyte = 1_024 ** 2;

serveJobs(async ({ link, trust }) => {
  const bus = await connectBus({ ...link, name: 'bench verifier' });
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  const startMiB = process.memoryUsage().rss / mebibyte;
  const since = performance.now();
  const { messages, findings } = await verifyLog(log.read({ filter: streamFilters.connections }), {
    reader: new CommitReader({ verifier: commitVerifier(trust, { rememberedMax: 1_000 }) }),
    ...{ upcast, evolverOf },
    tree: new TreeVerifier({ stream: streams.connections.name, stored: nothing(), outside: [] }),
  });
  const seconds = (performance.now() - since) / 1_000;
  await bus.close();
  // Linux tells kibibytes.
  return { seconds, startMiB, mostMiB: process.resourceUsage().maxRSS / 1_024, messages, findings: findings.length };
});

// oxlint-disable-next-line require-yield -- no checkpoint was made
async function* nothing() {}
