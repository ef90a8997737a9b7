/**
 * Leases at 64 in flight by a vault that is watched (one trace of a hundred, numbers each second, to a collector in a
 * process of its own), against a vault that is not.
 */
import { makeConnections } from '../lease/bulk.mjs';
import { cpuMsOf, startPart } from '../lease/process.mjs';
import { closeWorld, linkOf, openWorld, startApp, stopApp } from '../lease/world.mjs';
import { inTurn, median, ratioOf, round } from '../median.mjs';

const connections = 2_000;
const inFlight = 64;
const leasesMs = 2_000;
/** So many times as long until what a vault runs most has been compiled. */
const warmUps = 2;

export async function benchTelemetry({ rounds }, { baseline, result, ratios }) {
  const world = await openWorld();
  const parts = { load: startPart('load.mjs'), collector: startPart('../audit/collector.mjs') };
  try {
    const ids = await makeConnections(world, connections);
    const { tenantId, platformId, agentId } = world.customer;
    await parts.load.ask({ kind: 'prepare', link: await linkOf(world, 'platform'), ids, agentId });
    const { port } = await parts.collector.ask({ kind: 'start' });
    const unwatched = { OTEL_SDK_DISABLED: 'true', OTEL_TRACES_SAMPLER: 'always_off' };
    const watched = {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
      OTEL_METRIC_EXPORT_INTERVAL: '1000',
    };
    const subject = `tokens.lease.${tenantId}.${platformId}`;
    const leasing = async (env) => {
      const vault = await startApp(world, 'vault', { env });
      await parts.load.ask({ kind: 'each', subject, inFlight, from: 0, to: ids.length });
      const asked = { kind: 'bus', subject, inFlight, durationMs: leasesMs, checked: true };
      for (let turn = 0; turn < warmUps; turn += 1) await parts.load.ask(asked);
      const pids = { vault: vault.process.pid };
      const before = cpuMsOf(pids);
      const { perSecond, count } = await parts.load.ask(asked);
      const cpuUs = ((cpuMsOf(pids).vault - before.vault) * 1_000) / count;
      await stopApp(world, vault);
      return { perSecond, cpuUs };
    };
    const figures = await inTurn({ rounds, baseline: () => leasing(unwatched), ours: () => leasing(watched) });
    const { requests, bytes } = await parts.collector.ask({ kind: 'received' });
    if (requests === 0) throw new Error('the collector was told nothing');
    const middle = (side, name) => median(figures[side].map((one) => one[name]));
    baseline.lease_c64_per_s = round(middle('baseline', 'perSecond'), 0);
    baseline.lease_c64_vault_cpu_us = round(middle('baseline', 'cpuUs'), 0);
    result.watched_lease_c64_per_s = round(middle('ours', 'perSecond'), 0);
    result.watched_lease_c64_vault_cpu_us = round(middle('ours', 'cpuUs'), 0);
    result.collector = { requests, bytes };
    const rates = (side) => figures[side].map(({ perSecond }) => perSecond);
    ratios.telemetry_c64 = round(ratioOf({ baseline: rates('baseline'), ours: rates('ours') }));
  } finally {
    for (const part of Object.values(parts)) part.end();
    await closeWorld(world);
  }
}
