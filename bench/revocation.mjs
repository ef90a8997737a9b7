/**
 * Revoking, as processes: nats-server, PostgreSQL, one vault, `revocation`, somebody who sends webhooks signed as Slack
 * signs them, and somebody who leases.
 *
 * propagation  from the last byte of a webhook to the first refused lease at another process, one at a time, against the
 *              bare way: a publish with fsync, its delivery to a consumer, a publish with fsync, core delivery to a follower
 * fan_out      one uninstall that ends many connections while all of them are leased all the time: until all are refused;
 *              whether any lease was granted at a position after the event that ended its connection
 * intake       verified webhooks a second, each of which ends a connection of its own, against a bare Fastify route with
 *              one publish with fsync
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { AccessGroup, consumers, subjects } from '@postern/contracts';
import { JetStreamEventLog } from '@postern/nats';
import { accountKeyDigest } from '@postern/provider-client';
import { startNatsServer } from '@postern/servers';

import { makeConnections } from './lease/bulk.mjs';
import { cpuMsOf, profiling, startPart } from './lease/process.mjs';
import { busOf, closeWorld, linkOf, openWorld, registerClient, startApp, stopApp } from './lease/world.mjs';
import { median, round } from './median.mjs';
import { commitIn } from './refresh/pending.mjs';

const rounds = Number(process.env.POSTERN_BENCH_ROUNDS ?? 3);
const propagations = Number(process.env.POSTERN_BENCH_PROPAGATIONS ?? 500);
const fanOutConnections = Number(process.env.POSTERN_BENCH_FAN_OUT ?? 10_000);
const deliveries = Number(process.env.POSTERN_BENCH_DELIVERIES ?? 3_000);
/** Some of them alone: `POSTERN_BENCH_PARTS=propagation,intake`. */
const wanted = (process.env.POSTERN_BENCH_PARTS ?? 'propagation,fan_out,intake').split(',');

const inFlight = 64;
const secretText = 'the signing secret of the app';
/** As long as ours are, about. */
const bare = { signalBytes: 700, eventBytes: 2_200 };
/** What happened before clocks could be in doubt. */
const agoMs = 60_000;

export async function run(tell) {
  const world = await openWorld();
  const parts = {
    sender: startPart('../revocation/sender.mjs'),
    leasers: startPart('../revocation/leasers.mjs'),
    route: startPart('../revocation/route.mjs'),
    bareDecider: startPart('../revocation/bare.mjs'),
    bareChain: startPart('../revocation/bare.mjs'),
  };
  const bareServer = await startNatsServer({ dataDir: join(world.folder, 'bare-nats'), config: {} });
  try {
    const vault = await startApp(world, 'vault', { execArgv: profiling('vault') });
    const client = {
      providerId: 'slack',
      clientId: 'bench',
      tokenEndpointAuthMethod: 'client_secret_post',
      scopes: [],
    };
    await registerClient(world, { kind: 'webhook_secret', secretText, ...client });
    const revocation = await startApp(world, 'revocation', { execArgv: profiling('revocation') });
    const { tenantId, platformId, agentId, registrationId } = world.customer;
    const subject = `tokens.lease.${tenantId}.${platformId}`;
    await parts.sender.ask({ kind: 'prepare', secret: secretText });
    await parts.leasers.ask({ kind: 'prepare', link: await linkOf(world, 'platform'), subject, agentId });
    await parts.bareDecider.ask({ kind: 'decide', servers: bareServer.url, ...bare });
    const webhook = { port: revocation.httpPort, path: `/webhooks/slack/${registrationId}` };
    const bench = { world, ...parts, webhook, bareServer, tell };
    bench.pids = { revocation: revocation.process.pid, vault: vault.process.pid, nats_server: world.nats.pid };
    const measured = { propagation: benchPropagation, fan_out: benchFanOut, intake: benchIntake };
    const figures = {};
    for (const [name, measure] of Object.entries(measured))
      if (wanted.includes(name)) figures[name] = await measure(bench);
    for (const service of [revocation, vault]) await stopApp(world, service);
    return reportOf(figures);
  } finally {
    for (const part of Object.values(parts)) part.end();
    await bareServer.stop();
    await closeWorld(world);
  }
}

/** Connections that an uninstall in their team ends, or a revoked token of their own bot. */
async function connectionsOf({ world, leasers, tell }, team, count) {
  tell(`${count} connections of team ${team}`);
  const scope = { tenantId: world.customer.tenantId, providerId: 'slack' };
  const digest = (key, values) => accountKeyDigest(world.digestKey, scope, { key, values });
  const ofTeam = digest('team', [team]);
  const accountKeysOf = (index) => ({ team: ofTeam, team_bot: digest('team_bot', [team, botOf(index)]) });
  const ids = await makeConnections(world, count, { providerId: 'slack', accountKeysOf, agoMs });
  await leasers.ask({ kind: 'warm', ids, inFlight });
  return ids;
}

const botOf = (index) => `U${String(index).padStart(10, '0')}`;
const tokenRevoked = (team, index) => ({ team, event: { type: 'tokens_revoked', tokens: { bot: [botOf(index)] } } });

async function endOne({ sender, leasers, webhook }, { id, said }) {
  const refused = leasers.ask({ kind: 'watch', id });
  // It leases by then, and is somewhere in the middle of a lease.
  await delay(5 + Math.random() * 10);
  const { sentAtMs, answeredAtMs } = await sender.ask({ kind: 'one', ...webhook, said: [said] });
  return { refusedMs: (await refused) - sentAtMs, answeredMs: answeredAtMs - sentAtMs };
}

async function benchPropagation(bench) {
  const { bareChain, bareServer, tell } = bench;
  const team = 'TPROPAGATION';
  const ids = await connectionsOf(bench, team, propagations);
  const chain = { kind: 'chain', servers: bareServer.url, ...bare };
  await bareChain.ask({ ...chain, count: 50 });
  const figures = { ours: [], answered: [], bare: [] };
  tell(`propagation: ${propagations} webhooks, one at a time`);
  for (const [index, id] of ids.entries()) {
    const { refusedMs, answeredMs } = await endOne(bench, { id, said: tokenRevoked(team, index) });
    figures.ours.push(refusedMs);
    figures.answered.push(answeredMs);
    // In turn, so that what else the machine does falls on both.
    if (index % 20 === 19) figures.bare.push(...(await bareChain.ask({ ...chain, count: 20 })));
  }
  return figures;
}

async function benchFanOut(bench) {
  const { world, sender, leasers, webhook, pids, tell } = bench;
  const team = 'TFANOUT';
  const ids = await connectionsOf(bench, team, fanOutConnections);
  // Once this one is refused, all that was authorized before it stands in the index.
  const [last] = await connectionsOf(bench, 'TLAST', 1);
  await endOne(bench, { id: last, said: tokenRevoked('TLAST', 0) });
  tell(`fan-out: one uninstall, ${ids.length} connections`);
  const before = cpuMsOf(pids);
  const swept = leasers.ask({ kind: 'sweep', ids, inFlight, beyondMs: 1_000 });
  await delay(1_000);
  const said = [{ team, event: { type: 'app_uninstalled' } }];
  const { sentAtMs } = await sender.ask({ kind: 'one', ...webhook, said });
  const { firstAtMs, lastAtMs, ...counts } = await swept;
  const after = cpuMsOf(pids);
  const cpuMs = Object.keys(pids).map((name) => [name, (after[name] - before[name]) / ids.length]);
  const firstMs = firstAtMs - sentAtMs;
  return { ...counts, firstMs, allMs: lastAtMs - sentAtMs, cpuMs, ...(await leasesAfterTheEnd(world, ids)) };
}

/** From the log and the records of leases alone. */
async function leasesAfterTheEnd(world, ids) {
  const bus = await busOf(world, 'audit');
  const wantedIds = new Set(ids);
  const endedAt = new Map();
  for await (const { payload, position } of new JetStreamEventLog({ bus, stream: 'connections' }).read({
    filter: subjects.allConnections,
  })) {
    const { aggregateId: id, events } = commitIn(payload);
    if (!wantedIds.has(id) || !events.some(({ type }) => type === 'ConnectionRevoked')) continue;
    if (endedAt.has(id)) throw new Error(`${id} was ended twice`);
    endedAt.set(id, position);
  }
  let records = 0;
  let afterTheEnd = 0;
  for await (const { payload } of new JetStreamEventLog({ bus, stream: 'access' }).read({
    filter: subjects.allAccess,
  })) {
    const group = AccessGroup.parse(commitIn(payload));
    for (const { connectionId, outcome, position } of group.records) {
      if (!wantedIds.has(connectionId)) continue;
      records += 1;
      if (outcome === 'granted' && position >= endedAt.get(connectionId)) afterTheEnd += 1;
    }
  }
  await bus.close();
  return { ended: endedAt.size, records, afterTheEnd };
}

async function benchIntake(bench) {
  const { world, sender, route, bareServer, webhook, pids, tell } = bench;
  const { httpPort } = await route.ask({ servers: bareServer.url });
  const figures = { ours: [], bare: [], decided: [], cpuMs: [] };
  for (let turn = 0; turn <= rounds; turn += 1) {
    const team = `TINTAKE${turn}`;
    await connectionsOf(bench, team, deliveries);
    tell(turn === 0 ? 'intake: once to warm up' : `intake: round ${turn} of ${rounds}`);
    const said = Array.from({ length: deliveries }, (_, index) => tokenRevoked(team, index));
    const before = cpuMsOf(pids);
    const since = performance.now();
    const { perSecond: ours } = await sender.ask({ kind: 'all', ...webhook, said, inFlight });
    await allDecided(world);
    const decided = (deliveries * 1_000) / (performance.now() - since);
    const after = cpuMsOf(pids);
    const bareJob = { kind: 'all', port: httpPort, path: '/webhook', said, inFlight };
    const { perSecond: bareRate } = await sender.ask(bareJob);
    if (turn === 0) continue;
    figures.ours.push(ours);
    figures.bare.push(bareRate);
    figures.decided.push(decided);
    figures.cpuMs.push(Object.keys(pids).map((name) => [name, (after[name] - before[name]) / deliveries]));
  }
  return figures;
}

/** Until no signal waits for its decision. */
async function allDecided(world) {
  const bus = await busOf(world, 'revocation');
  const { stream, name } = consumers.signalDecisions;
  for (let waiting = Infinity; waiting > 0; await delay(50)) {
    const info = (await bus.connection.request(`$JS.API.CONSUMER.INFO.${stream}.${name}`)).json();
    waiting = info.num_pending + info.num_ack_pending;
  }
  await bus.close();
}

function reportOf({ propagation, fan_out: fanOut, intake }) {
  const report = { baseline: {}, result: {}, ratios: {} };
  if (propagation !== undefined) addPropagation(report, propagation);
  if (fanOut !== undefined) {
    report.result.fan_out = {
      connections: fanOut.ended,
      first_refused_ms: round(fanOut.firstMs, 1),
      all_refused_ms: round(fanOut.allMs, 0),
      lease_records: fanOut.records,
      leases_granted: fanOut.granted,
      granted_after_their_end: fanOut.afterTheEnd,
      granted_after_a_refusal: fanOut.grantedAfterRefusal,
      late: fanOut.late,
      cpu_ms_a_connection: cpuOf(fanOut.cpuMs),
    };
  }
  if (intake !== undefined) addIntake(report, intake);
  return report;
}

const cpuOf = (cpuMs) => Object.fromEntries(cpuMs.map(([name, ms]) => [name, round(ms, 2)]));

function share(numbers, part) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

function addPropagation({ baseline, result, ratios }, { ours, answered, bare: chains }) {
  const both = (numbers) => ({ p50_ms: round(share(numbers, 0.5)), p99_ms: round(share(numbers, 0.99)) });
  baseline.bare_chain = both(chains);
  result.propagation = { webhooks: ours.length, refused: both(ours), answered: both(answered) };
  ratios.propagation_p50 = round(share(ours, 0.5) / share(chains, 0.5), 2);
  ratios.propagation_p99 = round(share(ours, 0.99) / share(chains, 0.99), 2);
}

function addIntake({ baseline, result, ratios }, { ours, bare: route, decided, cpuMs }) {
  baseline.bare_route_per_s = round(median(route), 0);
  result.intake = {
    webhooks_per_s: round(median(ours), 0),
    decided_per_s: round(median(decided), 0),
    cpu_ms_a_webhook: cpuOf(cpuMs.at(-1)),
  };
  ratios.intake = round(median(ours) / median(route));
}
