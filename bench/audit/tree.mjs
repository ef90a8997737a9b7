/** The tree of CONNECTIONS grown and its heads signed, as `audit` does beside its read models: what it adds to projecting. */
import { generateSigningKey } from '@postern/crypto';
import { CheckpointKeeper, MemoryEventLog } from '@postern/event-log';
import { JetStreamEventLog } from '@postern/nats';

import { median, round } from '../median.mjs';

/** A head so often, kept in memory (each would cost one fsync more): oftener than once in `audit`'s interval on a log that grows as fast as it can. */
const messagesPerRoundMax = 10_000;

export async function benchTree({ bus, rounds, commits, projectMs }, { result, ratios }, tell) {
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  const times = [];
  for (let turn = 0; turn < rounds; turn += 1) times.push(await grown(log));
  const treeMs = median(times);
  result.tree_per_s = round((commits * 1_000) / treeMs, 0);
  if (projectMs === undefined) return tell('the part project was not run: nothing to compare the tree with');
  ratios.tree = round((projectMs + treeMs) / projectMs);
}

async function grown(log) {
  const { privateJwk, publicJwk } = generateSigningKey();
  const trust = { name: 'bench.example/log', keys: [publicJwk] };
  const keeper = new CheckpointKeeper({
    ...{
      stream: 'connections',
      log,
      checkpoints: new MemoryEventLog(),
      trust,
      keys: [privateJwk],
      messagesPerRoundMax,
    },
  });
  const since = performance.now();
  for (let more = true; more;) {
    const done = await keeper.round();
    if (done.findings.length > 0) throw new Error(`the log is not whole: ${done.findings[0].reason}`);
    ({ more } = done);
  }
  return performance.now() - since;
}
