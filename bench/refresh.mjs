/**
 * Refreshing, as processes: nats-server, PostgreSQL, one vault, refresh, and a token endpoint that costs next to nothing.
 *
 * single_flight  many ask for the refresh of one ended token at the same time, from four processes; how long after the
 *                provider's answer they have theirs, against one publish that is alone, against as many publishes at the same
 *                time from the same processes, and against as many held requests that are answered with nothing to decide;
 *                `four_vaults` is the same for as many leases that wait in four vaults, each of which asks once for all of its
 * throughput     connections that are all due, refreshed by one process, against a bare loop that makes one token call,
 *                one PostgreSQL commit and three JetStream appends with fsync, with as many in flight, before it and after
 * recovery       a process that is killed while it refreshes: how long until another one has ended its claims
 * fairness       many overdue connections of one tenant and, behind them, one of another: how long that one waits
 * lag            connections that are due within minutes, at a provider that takes its time: how late each was refreshed
 * pending        schedules that wait: the server's memory and restart, and the comparison of the log with them
 *
 * `lag` takes two minutes and half a millisecond a connection to make and schedule them, its window, and at most eight minutes
 * more, whatever the machine can do: what was not refreshed by then is told as such. Half the window with half the connections is as
 * many a second (`POSTERN_BENCH_LAG_WINDOW_MS=300000 POSTERN_BENCH_LAG_CONNECTIONS=100000`). `pending` needs 6 GB of disk for a
 * million.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { administratorToken, newId, operations, streams, subjects } from '@postern/contracts';
import { callOperation, JetStreamEventLog, publishMessage } from '@postern/nats';
import { startNatsServer } from '@postern/servers';
import { jetstreamManager } from '@nats-io/jetstream';

import { makeConnections } from './lease/bulk.mjs';
import { cpuMsOf, cpuMsWithChildren, profiling, startPart } from './lease/process.mjs';
import {
  busOf,
  closeWorld,
  linkOf,
  makeCustomer,
  openWorld,
  registerClient,
  restartNats,
  startApp,
  stopApp,
} from './lease/world.mjs';
import { median, ratioOf, round } from './median.mjs';
import { commitIn, drainScheduler, planOf, scheduleAll } from './refresh/pending.mjs';

const minuteMs = 60_000;
const rounds = Number(process.env.POSTERN_BENCH_ROUNDS ?? 3);
const flights = Number(process.env.POSTERN_BENCH_FLIGHTS ?? 30);
const askers = { processes: 4, each: Number(process.env.POSTERN_BENCH_ASKERS ?? 2_500) };
const throughputConnections = Number(process.env.POSTERN_BENCH_THROUGHPUT_CONNECTIONS ?? 6_000);
/** What one tenant gets of a process's 64 seats while nobody else wants any. */
const seatsOfOneTenant = 48;
const fairnessConnections = Number(process.env.POSTERN_BENCH_FAIRNESS_CONNECTIONS ?? 100_000);
const lagConnections = Number(process.env.POSTERN_BENCH_LAG_CONNECTIONS ?? 200_000);
/** Tokens of an hour, which are due five minutes before their end. */
const lagLifeMs = 60 * minuteMs;
const lagLeadMs = 5 * minuteMs;
/** Time for them to be made and scheduled, before the first is due. */
const lagPreparedInMs = (count) => 120_000 + count / 2;
/** How long after the last one's end it is waited for. */
const lagPatienceMs = 180_000;
const lagWindowMs = Number(process.env.POSTERN_BENCH_LAG_WINDOW_MS ?? 600_000);
const pendingConnections = Number(process.env.POSTERN_BENCH_CONNECTIONS ?? 1_000_000);
/** Some of them alone: `POSTERN_BENCH_PARTS=throughput,lag`. */
const wanted = (process.env.POSTERN_BENCH_PARTS ?? 'single_flight,throughput,recovery,fairness,lag,pending').split(',');

const familyOf = (connectionId) => connectionId;
const refreshTokenOf = (connectionId) => `${familyOf(connectionId)}/0`;
const refreshable = { providerId: 'openid-connect', refreshTokenOf };

export async function run(tell) {
  const world = await openWorld();
  const parts = { provider: startPart('../refresh/provider.mjs'), bare: startPart('../refresh/bare.mjs') };
  try {
    const { issuer } = await parts.provider.ask({ kind: 'listen' });
    const vault = await startApp(world, 'vault', { execArgv: profiling('vault') });
    await registerClient(world, clientAt(issuer));
    const measured = {
      single_flight: () => benchSingleFlight(world, parts, tell),
      throughput: () => benchThroughput(world, { ...parts, issuer, vault }, tell),
      recovery: () => benchRecovery(world, parts, tell),
      fairness: () => benchFairness({ ...parts, issuer }, tell),
      lag: () => benchLag(world, parts, tell),
    };
    const figures = {};
    for (const [name, measure] of Object.entries(measured)) {
      if (!wanted.includes(name)) continue;
      figures[name] = await measure();
      tell(`${name}: ${JSON.stringify(figures[name])}`);
    }
    await stopApp(world, vault);
    if (wanted.includes('pending')) figures.pending = await benchPending(tell);
    return reportOf(figures);
  } finally {
    for (const part of Object.values(parts)) part.end();
    await closeWorld(world);
  }
}

/** Our client at the token endpoint. */
function clientAt(issuer) {
  return {
    kind: 'client_secret',
    secretText: 'the secret of the client',
    ...{ providerId: 'openid-connect', clientId: 'bench', tokenEndpointAuthMethod: 'client_secret_basic' },
    ...{ parameters: { issuer }, scopes: ['contacts.read'] },
  };
}

async function benchSingleFlight(world, { provider }, tell) {
  tell(`single flight: ${flights} rounds of ${askers.processes * askers.each} requests, and as many in four vaults`);
  await provider.ask({ kind: 'set', delayMs: 1_000 });
  const services = [
    await startApp(world, 'refresh', { execArgv: profiling('flight') }),
    await startApp(world, 'refresh'),
  ];
  const startParts = (file) => Array.from({ length: askers.processes }, () => startPart(file));
  const [platforms, vaults] = [startParts('../refresh/askers.mjs'), startParts('../refresh/vault-asker.mjs')];
  try {
    const { tenantId, platformId } = world.customer;
    const ofPlatform = { kind: 'connect', link: await linkOf(world, 'platform') };
    const ofVault = { kind: 'connect', link: await linkOf(world, 'vault'), trust: world.trust };
    await Promise.all(platforms.map((part) => part.ask(ofPlatform)));
    await Promise.all(vaults.map((part) => part.ask(ofVault)));
    const fly = async (parts, asked) => await flightRounds(world, { provider, parts, asked });
    const asked = { kind: 'ask', subject: `connections.refresh.${tenantId}.${platformId}` };
    const overTheBus = await fly(platforms, asked);
    const fourVaults = await fly(vaults, { tenantId, platformId });
    const publishMs = await publishP50(world);
    const heldMs = await benchHeld(world, platforms);
    return { ...overTheBus, fourVaults, publishMs, heldMs, together: await publishTogether(world, platforms) };
  } finally {
    for (const part of [...platforms, ...vaults]) part.end();
    for (const service of services) await stopApp(world, service);
  }
}

/** Each round asks for another connection, in all parts at once. */
async function flightRounds(world, { provider, parts, asked }) {
  const ids = await makeConnections(world, flights, { ...refreshable, livesMs: () => -minuteMs });
  const figures = { first: [], middle: [], last: [], exact: 0, unanswered: 0 };
  for (const connectionId of ids) {
    const { calls } = await provider.ask({ kind: 'count' });
    const question = { ...asked, connectionId, credentialVersion: 1, count: askers.each };
    const answers = await Promise.all(parts.map((part) => part.ask(question)));
    const { calls: after, answeredAtMs } = await provider.ask({ kind: 'count' });
    const times = answers.flatMap(({ atMs }) => atMs.map((at) => at - answeredAtMs)).sort((a, b) => a - b);
    const refreshed = answers.reduce((sum, answer) => sum + answer.refreshed, 0);
    figures.unanswered += answers.reduce((sum, { unanswered = 0 }) => sum + unanswered, 0);
    if (after - calls === 1 && refreshed === askers.processes * askers.each) figures.exact += 1;
    figures.first.push(times[0]);
    figures.middle.push(median(times));
    figures.last.push(times[Math.floor(times.length * 0.99)]);
  }
  return figures;
}

/** As many requests by the same import, held by two processes that answer them all at once. */
async function benchHeld(world, parts) {
  const { tenantId, platformId } = world.customer;
  const holders = [startPart('../refresh/hold.mjs'), startPart('../refresh/hold.mjs')];
  // An operation that platforms may ask by the same import, and that nobody else answers here.
  const connect = { kind: 'connect', link: await linkOf(world, 'audit'), subject: 'connections.show.*.*' };
  await Promise.all(holders.map((holder) => holder.ask(connect)));
  const middles = [];
  for (let turn = 0; turn < rounds; turn += 1) {
    const asked = { kind: 'ask', subject: `connections.show.${tenantId}.${platformId}`, count: askers.each };
    const answers = parts.map((part) =>
      part.ask({ ...asked, connectionId: newId('connection'), credentialVersion: 1 }),
    );
    await until(async () => {
      const counts = await Promise.all(holders.map((holder) => holder.ask({ kind: 'count' })));
      return counts[0] + counts[1] === askers.processes * askers.each;
    });
    const releasedAtMs = Math.min(
      ...(await Promise.all(holders.map((holder) => holder.ask({ kind: 'go', bytes: 350 })))),
    );
    const times = (await Promise.all(answers)).flatMap(({ atMs }) => atMs.map((at) => at - releasedAtMs));
    middles.push(median(times));
  }
  for (const holder of holders) holder.end();
  return median(middles);
}

/** As many stored messages as there are askers, all sent at the same moment by the same processes. */
async function publishTogether(world, parts) {
  const connect = { kind: 'connect', link: await linkOf(world, 'vault') };
  await Promise.all(parts.map((part) => part.ask(connect)));
  const bus = await busOf(world, 'provisioner');
  const { streams: all } = await jetstreamManager(bus.connection);
  const middles = [];
  for (let turn = 0; turn < rounds; turn += 1) {
    const asked = { kind: 'publish', count: askers.each };
    const published = await Promise.all(parts.map((part) => part.ask(asked)));
    const sinceMs = Math.min(...published.map((part) => part.sinceMs));
    middles.push(median(published.flatMap(({ atMs }) => atMs.map((at) => at - sinceMs))));
    await all.purge(streams.access.name);
  }
  await bus.close();
  return median(middles);
}

/** A message that is stored with an fsync on the same server, one at a time; nobody follows that stream here. */
async function publishP50(world) {
  const bus = await busOf(world, 'vault');
  const times = [];
  for (let turn = 0; turn < 500; turn += 1) {
    const subject = subjects.access({ service: 'vault', writer: newId('connection') });
    const since = performance.now();
    await publishMessage(bus, { stream: streams.access.name, subject, payload: {} });
    times.push(performance.now() - since);
  }
  await bus.close();
  return median(times);
}

async function benchThroughput(world, { provider, bare, issuer, vault }, tell) {
  const server = await startNatsServer({ dataDir: join(world.folder, 'bare-nats'), config: {} });
  const figures = { ours: [], bare: [], refused: 0, cpuMs: [] };
  const refresh = await startApp(world, 'refresh', { execArgv: profiling('refresh') });
  try {
    const bareLoop = async () => {
      await provider.ask({ kind: 'set', delayMs: 0 });
      const families = Array.from({ length: throughputConnections }, () => newId('connection'));
      const loop = { servers: server.url, databaseUrl: world.ownerUrl, issuer, families, inFlight: seatsOfOneTenant };
      return (await bare.ask({ ...loop, commitBytes: 1_100, rowBytes: 600 })).perSecond;
    };
    for (let turn = 1; turn <= rounds; turn += 1) {
      tell(`throughput: round ${turn} of ${rounds}`);
      // Due a fifth of their life before their end, less chance: they are scheduled by then, and come faster than they can go.
      await makeConnections(world, throughputConnections, { ...refreshable, livesMs: () => 2 * minuteMs + 30_000 });
      // The loop runs shortly before and right after: a machine that becomes faster in between changes little about the ratio.
      await delay(minuteMs);
      const before = await bareLoop();
      await provider.ask({ kind: 'set', delayMs: 0 });
      const pids = { vault: vault.process.pid, refresh: refresh.process.pid, nats_server: world.nats.pid };
      const { pid: postgres } = world.postgres;
      const cpuMs = () => ({
        ...cpuMsOf({ ...pids, provider: provider.pid }),
        ...(postgres !== undefined && { postgres: cpuMsWithChildren(postgres) }),
      });
      await until(async () => (await provider.ask({ kind: 'count' })).calls > 0);
      const cpuBefore = cpuMs();
      await until(async () => (await provider.ask({ kind: 'count' })).calls >= throughputConnections);
      const cpuAfter = cpuMs();
      figures.cpuMs.push(
        Object.keys(cpuAfter).map((name) => [name, (cpuAfter[name] - cpuBefore[name]) / throughputConnections]),
      );
      const { perSecond, refused } = await provider.ask({ kind: 'rate' });
      figures.ours.push(perSecond);
      figures.refused += refused;
      figures.bare.push((before + (await bareLoop())) / 2);
    }
    return figures;
  } finally {
    await stopApp(world, refresh);
    await server.stop();
  }
}

/** A process is killed while its calls are under way, and the provider, which notices that, spends nothing. */
async function benchRecovery(world, { provider }, tell) {
  tell('recovery: one of two processes is killed while it refreshes');
  await provider.ask({ kind: 'set', delayMs: 5_000 });
  const services = [await startApp(world, 'refresh'), await startApp(world, 'refresh')];
  const ids = new Set(await makeConnections(world, seatsOfOneTenant, { ...refreshable, livesMs: () => minuteMs }));
  await until(async () => (await provider.ask({ kind: 'count' })).calls >= seatsOfOneTenant / 2);
  services[0].process.kill('SIGKILL');
  const killedAtMs = Date.now();
  world.services.splice(world.services.indexOf(services[0]), 1);
  const bus = await busOf(world, 'audit');
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  const interrupted = new Map();
  const refreshed = new Map();
  await until(async () => {
    for await (const { payload } of log.read({ filter: subjects.allConnections, sinceMs: killedAtMs })) {
      const { aggregateId: id, at, events } = commitIn(payload);
      const said = (type) => ids.has(id) && events.some((event) => event.type === type);
      if (said('RefreshInterrupted')) interrupted.set(id, Date.parse(at) - killedAtMs);
      if (said('AccessTokenRefreshed')) refreshed.set(id, Date.parse(at) - killedAtMs);
    }
    return refreshed.size === ids.size;
  });
  await bus.close();
  await stopApp(world, services[1]);
  const last = (times) => Math.max(0, ...times) / 1_000;
  const again = [...refreshed].filter(([id]) => interrupted.has(id)).map(([, ms]) => ms);
  return { claims: interrupted.size, endedS: last(interrupted.values()), refreshedS: last(again) };
}

/** In a world of its own: what is overdue here would be in everybody's way. */
async function benchFairness({ provider, issuer }, tell) {
  tell(`fairness: ${fairnessConnections} overdue connections of one tenant, then one of another`);
  await provider.ask({ kind: 'set', delayMs: 50 });
  const world = await openWorld();
  try {
    await startApp(world, 'vault');
    const other = { ...world, customer: await makeCustomer(world) };
    await world.keyring.ensureTenantKey(other.customer.tenantId);
    for (const one of [world, other]) await registerClient(one, clientAt(issuer));
    // Authorized an hour ago, and ended in a minute: due since minutes.
    const overdue = { ...refreshable, agoMs: 60 * minuteMs, livesMs: () => 61 * minuteMs, tell };
    await makeConnections(world, fairnessConnections, overdue);
    await scheduleAll(world, tell);
    const [lonely] = await makeConnections(other, 1, overdue);
    await scheduleAll(other, tell);
    await drainScheduler(world, tell);
    await startApp(world, 'refresh', { execArgv: profiling('fairness') });
    await until(async () => (await provider.ask({ kind: 'count' })).calls > 0);
    const sinceMs = performance.now();
    let told;
    await until(async () => (told = await provider.ask({ kind: 'seen', family: familyOf(lonely) })).seen);
    return { waitedS: (performance.now() - sinceMs) / 1_000, callsBefore: told.calls - 1 };
  } finally {
    await closeWorld(world);
  }
}

async function benchLag(world, { provider }, tell) {
  const count = lagConnections;
  tell(`lag: ${count} connections due within ${lagWindowMs / 1_000} s`);
  await provider.ask({ kind: 'set', delayMs: 50 });
  const firstDueMs = Date.now() + lagPreparedInMs(count);
  const firstEndMs = firstDueMs + lagLeadMs;
  const livesMs = (index) => lagLifeMs + Math.floor((index / count) * (lagWindowMs / 1_000)) * 1_000;
  const untilMs = firstEndMs + lagWindowMs + lagPatienceMs;
  const ids = new Set(
    await makeConnections(world, count, { ...refreshable, atMs: firstEndMs - lagLifeMs, livesMs, tell }),
  );
  await scheduleAll(world, tell);
  await drainScheduler(world, tell);
  const refresh = await startApp(world, 'refresh', { execArgv: profiling('lag') });
  try {
    tell(`the first of them is due in ${round((firstDueMs - Date.now()) / 1_000, 0)} s`);
    let told = 0;
    await until(async () => {
      const { calls } = await provider.ask({ kind: 'count' });
      if (calls - told >= 20_000) tell(`${(told = calls)} of ${count} are refreshed`);
      return calls >= count || Date.now() > untilMs;
    });
    await delay(5_000);
    return await lagOf(world, ids);
  } finally {
    await stopApp(world, refresh);
  }
}

/** From the log alone: when each was due, when its tokens ended, when new ones stood. */
async function lagOf(world, ids) {
  const bus = await busOf(world, 'audit');
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  const due = new Map();
  const lags = [];
  let expiredUnseen = 0;
  for await (const { payload } of log.read({ filter: subjects.allConnections })) {
    const commit = commitIn(payload);
    const { aggregateId: id, events, state } = commit;
    if (!ids.has(id)) continue;
    if (events.some(({ type }) => type === 'ConnectionAuthorized')) {
      due.set(id, { atMs: planOf(commit).atMs, endsAtMs: state.credential.accessTokenExpiresAtMs });
    }
    if (!events.some(({ type }) => type === 'AccessTokenRefreshed')) continue;
    const { atMs, endsAtMs } = due.get(id);
    const refreshedAtMs = Date.parse(commit.at);
    lags.push(refreshedAtMs - atMs);
    if (refreshedAtMs > endsAtMs) expiredUnseen += 1;
    due.delete(id);
  }
  await bus.close();
  // Nobody has seen these, and their tokens have ended.
  for (const { endsAtMs } of due.values()) if (Date.now() > endsAtMs) expiredUnseen += 1;
  lags.sort((a, b) => a - b);
  const at = (share) => lags[Math.min(lags.length - 1, Math.floor(lags.length * share))];
  return { connections: lags.length, neverRefreshed: due.size, expiredUnseen, p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** In a world of its own: a million authorizations and what was refreshed before would not fit into one epoch's stream. */
async function benchPending(tell) {
  const world = await openWorld();
  try {
    return await measurePending(world, tell);
  } finally {
    await closeWorld(world);
  }
}

async function measurePending(world, tell) {
  tell(`pending: ${pendingConnections} schedules, stored without a sync for each`);
  await restartNats(world, { syncAlways: false });
  const livesMs = () => 24 * 3_600_000;
  await makeConnections(world, pendingConnections, { ...refreshable, livesMs, tell });
  await scheduleAll(world, tell);
  await drainScheduler(world, tell);
  const since = performance.now();
  await restartNats(world);
  const restartS = (performance.now() - since) / 1_000;
  const memoryMiB = rssMiB(world.nats.pid);
  tell('comparing the log with the schedules');
  const refresh = await startApp(world, 'refresh');
  const bus = await busOf(world, 'administrator');
  let status;
  await until(async () => {
    const call = [operations.refreshStatus, { tenantId: administratorToken, app: 'administrator' }, {}];
    status = await callOperation(bus, ...call, { timeoutMs: 30_000 });
    return status.surveyed_at !== null;
  });
  const refreshMiB = rssMiB(refresh.process.pid);
  await bus.close();
  await stopApp(world, refresh);
  const { scheduled, unscheduled, survey_ms: surveyMs } = status;
  return { restartS, memoryMiB, refreshMiB, readyS: refresh.readyMs / 1_000, scheduled, unscheduled, surveyMs };
}

async function until(holds) {
  while (!(await holds())) await delay(250);
}

function rssMiB(pid) {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;
}

function reportOf({ single_flight: flight, throughput, recovery, fairness, lag, pending }) {
  const report = { baseline: {}, result: {}, ratios: {} };
  if (flight !== undefined) addFlight(report, flight);
  if (throughput !== undefined) addThroughput(report, throughput);
  if (recovery !== undefined) {
    report.result.recovery = {
      claims_of_the_killed_process: recovery.claims,
      last_ended_after_s: round(recovery.endedS, 1),
      last_refreshed_after_s: round(recovery.refreshedS, 1),
    };
  }
  if (fairness !== undefined) {
    report.result.fairness = {
      overdue_of_one_tenant: fairnessConnections,
      other_tenants_one_waited_s: round(fairness.waitedS, 1),
      calls_before_it: fairness.callsBefore,
    };
  }
  if (lag !== undefined) {
    report.result.lag = {
      connections: lag.connections,
      due_per_s: round((lag.connections * 1_000) / lagWindowMs, 1),
      window_s: lagWindowMs / 1_000,
      never_refreshed: lag.neverRefreshed,
      refreshed_after_their_end: lag.expiredUnseen,
      p50_ms: lag.p50Ms,
      p99_ms: lag.p99Ms,
    };
  }
  if (pending !== undefined) {
    report.result.pending = {
      schedules: pending.scheduled,
      without_schedule: pending.unscheduled,
      nats_server_mib: round(pending.memoryMiB, 0),
      nats_server_restart_s: round(pending.restartS, 1),
      refresh_ready_s: round(pending.readyS, 1),
      refresh_mib: round(pending.refreshMiB, 0),
      compare_s: round(pending.surveyMs / 1_000, 1),
    };
  }
  return report;
}

function addFlight({ baseline, result, ratios }, { fourVaults, publishMs, together, heldMs, ...overTheBus }) {
  const first = median(overTheBus.first);
  const middle = median(overTheBus.middle);
  baseline.publish_p50_ms = round(publishMs);
  baseline.publish_together_p50_ms = round(together, 1);
  baseline.held_answers_p50_ms = round(heldMs, 1);
  result.single_flight = flightOf(overTheBus);
  result.four_vaults = { ...flightOf(fourVaults), requests_on_the_bus_a_round: askers.processes };
  ratios.single_flight_first = round(first / publishMs, 1);
  ratios.single_flight_p50 = round(middle / publishMs, 1);
  ratios.single_flight_of_publish_together = round(middle / together, 2);
  ratios.four_vaults_first = round(median(fourVaults.first) / publishMs, 1);
  ratios.four_vaults_p50 = round(median(fourVaults.middle) / publishMs, 1);
  ratios.held_answers_p50 = round(heldMs / publishMs, 1);
  ratios.single_flight_of_held = round(middle / heldMs, 2);
}

function flightOf({ first, middle, last, exact, unanswered }) {
  return {
    rounds: middle.length,
    requests_a_round: askers.processes * askers.each,
    rounds_with_one_call: exact,
    requests_without_answer: unanswered,
    added_first_ms: round(median(first), 1),
    added_p50_ms: round(median(middle), 1),
    added_p99_ms: round(median(last), 1),
  };
}

function addThroughput({ baseline, result, ratios }, { ours, bare, refused, cpuMs }) {
  baseline.bare_loop_per_s = round(median(bare), 0);
  result.throughput_per_s = round(median(ours), 0);
  result.cpu_ms_a_refresh = Object.fromEntries(cpuMs.at(-1).map(([name, ms]) => [name, round(ms, 2)]));
  result.spent_twice = refused;
  ratios.throughput = round(ratioOf({ baseline: bare, ours }));
}
