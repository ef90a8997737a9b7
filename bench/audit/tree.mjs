/**
 * The tree of CONNECTIONS grown and its heads signed, by itself, and while its read models are projected, as `audit` does
 * both in one process, from one reading while they are at about the same place: what it adds to projecting.
 */
import { generateSigningKey } from '@postern/crypto';
import { CheckpointKeeper, MemoryEventLog, readTogether } from '@postern/event-log';
import { JetStreamEventLog } from '@postern/nats';

import { median, round } from '../median.mjs';
import { openProjecting } from './project.mjs';
import { unchecked } from './replay.mjs';

/** A head so often, kept in memory (each would cost one fsync more): oftener than once in `audit`'s interval on a log that grows as fast as it can. */
const messagesPerRoundMax = 10_000;

export async function benchTree(world, { result, ratios }) {
  const { bus, rounds, commits } = world;
  const log = readTogether(new JetStreamEventLog({ bus, stream: 'connections' }));
  const { project, close } = await openProjecting(world, 'bench_tree', log);
  const times = { tree: [], alone: [], both: [] };
  try {
    for (let turn = 0; turn < rounds; turn += 1) {
      times.tree.push(await grown(log));
      times.alone.push(await project(unchecked));
      times.both.push(await project(unchecked, { beside: () => grown(log) }));
    }
  } finally {
    await close();
  }
  result.tree_per_s = round((commits * 1_000) / median(times.tree), 0);
  ratios.tree = round(median(times.both) / median(times.alone));
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
