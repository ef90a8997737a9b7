/**
 * What `audit` does with the log against the least that could be done, in one run, both sides in turn.
 *
 * Each part is a file of `bench/audit/` that gets the same world and adds its own lines; `POSTERN_BENCH_PARTS=project`
 * names those to run.
 *
 * replay   every connection folded, against an ordered consumer that only parses JSON; what the signatures cost stands apart
 * project  CONNECTIONS projected into its read models, against bare batched inserts of the same rows into
 *          tables of the same columns and key
 * tree     growing the tree of CONNECTIONS and signing its heads while projecting: how much that adds to projecting
 * verify   the whole of CONNECTIONS as `audit verify` does: how long, and how much memory
 * who_could  which platforms and agents could have used what at moments of the past: how long, with and without snapshots
 * telemetry_c64  leases at 64 in flight by a vault that is watched, against one that is not
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { connectBus, createOperator, identityCreds, provision, serverOperatorConfig } from '@postern/nats';
import { startNatsServer, startPostgres, temporaryDataDir } from '@postern/servers';

import { makeLog, trustOf } from './audit/make-log.mjs';
import { benchProject } from './audit/project.mjs';
import { benchReplay } from './audit/replay.mjs';
import { benchTelemetry } from './audit/telemetry.mjs';
import { benchTree } from './audit/tree.mjs';
import { benchVerify } from './audit/verify.mjs';
import { benchWhoCould } from './audit/who-could.mjs';

const parts = {
  replay: benchReplay,
  project: benchProject,
  tree: benchTree,
  verify: benchVerify,
  who_could: benchWhoCould,
  telemetry_c64: benchTelemetry,
};
const events = Number(process.env.POSTERN_BENCH_EVENTS ?? 100_000);
const rounds = Number(process.env.POSTERN_BENCH_ROUNDS ?? 5);

export async function run(tell) {
  const wanted = (process.env.POSTERN_BENCH_PARTS ?? Object.keys(parts).join(',')).split(',');
  const strange = wanted.find((name) => !Object.hasOwn(parts, name));
  if (strange !== undefined)
    throw new Error(`there is no part ${strange}: name some of ${Object.keys(parts).join(', ')}`);
  const folder = temporaryDataDir('postern-bench-');
  const operator = await createOperator();
  const config = { operatorMode: serverOperatorConfig(operator), fileStoreBytesMax: 32 * 1024 ** 3 };
  const [nats, postgres] = await Promise.all([
    startNatsServer({ dataDir: join(folder, 'nats'), config }),
    startPostgres({ dataDir: join(folder, 'postgres') }),
  ]);
  const buses = [];
  const connect = async (identity) => {
    const creds = await identityCreds(operator, identity);
    const bus = await connectBus({ servers: nats.url, creds, identity, name: `bench ${identity}` });
    buses.push(bus);
    return bus;
  };
  try {
    await provision(await connect('provisioner'));
    tell(`a log of ${events} commits`);
    const made = await makeLog(await connect('revocation'), events);
    const link = async (identity) => ({ servers: nats.url, creds: await identityCreds(operator, identity), identity });
    const world = { bus: await connect('audit'), link, connect, postgres, rounds, ...made, trust: trustOf(made.keys) };
    const report = { baseline: {}, result: { commits: made.commits, connections: made.connections }, ratios: {} };
    for (const name of wanted) {
      tell(name);
      await parts[name](world, report, tell);
      tell(`ratios so far: ${JSON.stringify(report.ratios)}`);
    }
    return report;
  } finally {
    for (const bus of buses) await bus.close();
    await Promise.all([nats.stop(), postgres.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}
