/**
 * Leases against raw NATS: the same server, the same import from PLATFORMS to CORE, the same payload sizes, in one run,
 * both sides in turn. Load, echo, gateway and vault are processes of their own, on loopback.
 *
 * lease_c1, c64, c256  leases of 10,000 connections sealed to one recipient, against an echo at so many in flight
 * lease_recipients     the same at 64 in flight, each connection's requests with a recipient key of their own
 * http_c64             leases through the gateway, against a bare Fastify route that makes one NATS echo
 * cold                 first leases of connections, whose data keys Vault must unwrap, against warm ones, one at a time
 * memory               a vault before a million connections: start to ready, and resident memory once its caches are full
 */
import { readFileSync } from 'node:fs';

import { accessToken, makeConnections } from './lease/bulk.mjs';
import { profiling, startPart } from './lease/process.mjs';
import { closeWorld, linkOf, openWorld, platformToken, restartNats, startApp, stopApp } from './lease/world.mjs';
import { inTurn, median, ratioOf, round } from './median.mjs';

const connections = 10_000;
const manyConnections = Number(process.env.POSTERN_BENCH_CONNECTIONS ?? 1_000_000);
const coldLeases = 300;
/** More than any cache of the vault holds. */
const leasesToFillCaches = 60_000;
const rounds = Number(process.env.POSTERN_BENCH_ROUNDS ?? 5);
const roundMs = 1_500;
const body = (agentId) => JSON.stringify({ agent_id: agentId, purpose: 'sync contacts' });

export async function run(tell) {
  const world = await openWorld({ keyring: 'transit' });
  const parts = { load: startPart('load.mjs'), echo: startPart('echo.mjs'), route: startPart('route.mjs') };
  try {
    tell(`${connections} connections`);
    world.ids = await makeConnections(world, connections);
    world.fresh = await makeConnections(world, coldLeases * rounds);
    const bus = await benchBus(world, parts, tell);
    const memory = await benchMemory(world, parts, tell);
    return reportOf(bus, memory, world.keyring.kind);
  } finally {
    for (const part of Object.values(parts)) part.end();
    await closeWorld(world);
  }
}

async function benchBus(world, { load, echo, route }, tell) {
  const { ids, fresh, customer } = world;
  const { tenantId, platformId, agentId } = customer;
  const vault = await startApp(world, 'vault', { execArgv: profiling('vault') });
  const leases = `tokens.lease.${tenantId}.${platformId}`;
  // An operation that platforms may ask by the same import, and that nobody else answers here.
  const echoes = `connections.show.${tenantId}.${platformId}`;
  const link = await linkOf(world, 'platform');
  const { requestBytes } = await load.ask({ kind: 'prepare', link, ids: [...ids, ...fresh], agentId });
  const replyBytes = await sizeOfReply(load, leases);
  await echo.ask({ link: await linkOf(world, 'audit'), subject: 'connections.show.*.*', bytes: replyBytes });

  await load.ask({ kind: 'prepare', link, ids, agentId });
  tell('every connection once');
  await load.ask({ kind: 'each', subject: leases, inFlight: 64, from: 0, to: ids.length });
  const figures = { requestBytes, replyBytes };
  const onBus = (inFlight, more = {}) => ({
    baseline: () => withCpu(echo.pid, () => load.ask({ kind: 'bus', subject: echoes, inFlight, durationMs: roundMs })),
    ours: () =>
      withCpu(vault.process.pid, () =>
        load.ask({ kind: 'bus', subject: leases, inFlight, durationMs: roundMs, checked: true, ...more }),
      ),
  });
  for (const inFlight of [1, 64, 256]) {
    tell(`leases, ${inFlight} in flight`);
    figures[`c${inFlight}`] = await compared(onBus(inFlight));
  }
  tell('leases, as many recipients as connections');
  figures.recipients = await compared(onBus(64, { recipients: 'many' }));

  tell('cold leases');
  await load.ask({ kind: 'prepare', link, ids: fresh, agentId });
  let from = 0;
  figures.cold = await compared({
    warm: false,
    baseline: () => load.ask({ kind: 'each', subject: leases, from: 0, to: coldLeases }),
    ours: () => load.ask({ kind: 'each', subject: leases, from, to: (from += coldLeases) }),
  });

  tell('leases over HTTP');
  figures.http = await benchHttp(world, { load, route, echoes, requestBytes });
  await stopApp(world, vault);
  return figures;
}

async function sizeOfReply(load, subject) {
  const { bytes } = await load.ask({ kind: 'bus-one', subject, checked: true });
  return bytes;
}

async function benchHttp(world, { load, route, echoes, requestBytes }) {
  const { ids, customer } = world;
  const gateway = await startApp(world, 'gateway', { execArgv: profiling('gateway') });
  const token = await platformToken(world);
  const asked = { kind: 'http', token, ids, body: body(customer.agentId), inFlight: 64, durationMs: roundMs };
  const sample = await load.ask({ ...asked, kind: 'http-one', port: gateway.httpPort });
  const bare = await route.ask({
    link: await linkOf(world, 'gateway'),
    subject: echoes,
    requestBytes,
    replyBytes: sample.bytes,
  });
  const figures = await compared({
    baseline: () => load.ask({ ...asked, port: bare.httpPort }),
    ours: () => load.ask({ ...asked, port: gateway.httpPort }),
  });
  await stopApp(world, gateway);
  return figures;
}

/** Both sides in turn; the median of each figure, and of each round's ratio. */
async function compared({ baseline, ours, warm = true }) {
  if (warm) for (const side of [baseline, ours]) await side();
  const figures = await inTurn({ rounds, baseline, ours });
  const all = (side, name) => figures[side].map((answer) => answer[name]);
  const of = (side) => ({
    perSecond: median(all(side, 'perSecond')),
    p50Ms: median(all(side, 'p50Ms')),
    cpuUs: median(all(side, 'cpuUs')),
    late: all(side, 'late').reduce((sum, late) => sum + late, 0),
  });
  const ratio = (name) => ratioOf({ baseline: all('baseline', name), ours: all('ours', name) });
  return {
    baseline: of('baseline'),
    ours: of('ours'),
    ratio: { perSecond: ratio('perSecond'), p50Ms: ratio('p50Ms') },
  };
}

async function benchMemory(world, { load }, tell) {
  const { ids, customer } = world;
  const missing = manyConnections - ids.length - world.fresh.length;
  tell(`${missing} more connections, stored without a sync for each`);
  await restartNats(world, { syncAlways: false });
  const more = await makeConnections(world, Math.max(0, missing), { tell });
  await restartNats(world);
  const vault = await startApp(world, 'vault');
  const startMiB = rssMiB(vault.process.pid);
  const link = await linkOf(world, 'platform');
  const leased = [...ids, ...more].slice(-leasesToFillCaches);
  await load.ask({ kind: 'prepare', link, ids: leased, agentId: customer.agentId });
  tell(`first leases of ${leased.length} connections`);
  const subject = `tokens.lease.${customer.tenantId}.${customer.platformId}`;
  const first = await load.ask({ kind: 'each', subject, inFlight: 64, from: 0, to: leased.length });
  const figures = {
    connections: ids.length + world.fresh.length + more.length,
    readyS: vault.readyMs / 1_000,
    startMiB,
  };
  figures.fullMiB = rssMiB(vault.process.pid);
  figures.firstPerSecond = first.perSecond;
  await stopApp(world, vault);
  return figures;
}

/** What one request costs its responder: time on a processor, whoever else wants the machine. */
async function withCpu(pid, ask) {
  const before = cpuUs(pid);
  const answer = await ask();
  return { ...answer, cpuUs: (cpuUs(pid) - before) / answer.count };
}

/** Linux counts in hundredths of a second. */
function cpuUs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

function rssMiB(pid) {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) / 1_024;
}

function reportOf({ requestBytes, replyBytes, c1, c64, c256, recipients, cold, http }, memory, keyring) {
  const perSecond = ({ perSecond: rate }) => round(rate, 0);
  return {
    baseline: {
      request_bytes: requestBytes,
      reply_bytes: replyBytes,
      echo_c1_p50_ms: round(c1.baseline.p50Ms),
      echo_c64_per_s: perSecond(c64.baseline),
      echo_c256_per_s: perSecond(c256.baseline),
      echo_c64_responder_cpu_us: round(c64.baseline.cpuUs, 0),
      http_route_c64_per_s: perSecond(http.baseline),
      warm_p50_ms: round(cold.baseline.p50Ms),
    },
    result: {
      access_token_bytes: accessToken.length,
      lease_c1_p50_ms: round(c1.ours.p50Ms),
      lease_c64_per_s: perSecond(c64.ours),
      lease_c64_p50_ms: round(c64.ours.p50Ms),
      lease_c64_vault_cpu_us: round(c64.ours.cpuUs, 0),
      lease_c256_per_s: perSecond(c256.ours),
      lease_c256_p50_ms: round(c256.ours.p50Ms),
      lease_recipients_per_s: perSecond(recipients.ours),
      http_c64_per_s: perSecond(http.ours),
      cold_p50_ms: round(cold.ours.p50Ms),
      cold_key_service: keyring,
      late: [c1, c64, c256, recipients, http].reduce((sum, { ours }) => sum + ours.late, 0),
      memory: {
        connections: memory.connections,
        start_to_ready_s: round(memory.readyS, 2),
        rss_at_start_mib: round(memory.startMiB, 0),
        rss_caches_full_mib: round(memory.fullMiB, 0),
        first_leases_per_s: round(memory.firstPerSecond, 0),
      },
    },
    ratios: {
      lease_c1_p50: round(c1.ratio.p50Ms),
      lease_c64: round(c64.ratio.perSecond),
      lease_c256: round(c256.ratio.perSecond),
      lease_recipients: round(recipients.ratio.perSecond),
      http_c64: round(http.ratio.perSecond),
      cold: round(cold.ratio.p50Ms),
    },
  };
}
