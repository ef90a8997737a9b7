/** Schedules in bulk, and a scheduler that has seen everything: as after a long time in which nothing was lost. */
import { consumers, RefreshDue, streams, subjects, timestampOf } from '@postern/contracts';
import { loadCatalog } from '@postern/provider-catalog';
import { JetStreamEventLog, JetStreamWorker } from '@postern/nats';
import { headers as natsHeaders } from '@nats-io/nats-core';

import { Plans } from '../../apps/refresh/dist/schedule/plans.js';
import { busOf } from '../lease/world.mjs';

const inFlightMax = 1_024;
/** No provider's file is on its way here: the pins count. */
const plans = new Plans({ of: () => undefined }, loadCatalog());

/** When a commit's connection is due next. */
export const planOf = ({ state }) => plans.of(state);

/** What was written a moment ago needs no check. */
export const commitIn = (payload) => JSON.parse(Buffer.from(payload).toString('utf8'));

/** Every connection of the world's customer, as its last commit has it. */
async function* lastCommits(log, { customer }) {
  const filter = subjects.connectionsOfTenant(customer.tenantId);
  for await (const { payload } of log.read({ filter, lastPerSubject: true })) {
    yield commitIn(payload);
  }
}

/** A schedule for each connection of the world's customer, as `refresh` sets them. */
export async function scheduleAll(world, tell) {
  const bus = await busOf(world, 'refresh');
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  const inFlight = new Set();
  let count = 0;
  for await (const commit of lastCommits(log, world)) {
    const plan = planOf(commit);
    if (plan === undefined) continue;
    const stored = publishSchedule(bus, commit, plan).finally(() => inFlight.delete(stored));
    inFlight.add(stored);
    if (inFlight.size >= inFlightMax) await Promise.race(inFlight);
    if (++count % 100_000 === 0) tell(`${count} schedules`);
  }
  await Promise.all(inFlight);
  await bus.close();
}

async function publishSchedule(bus, { tenantId, aggregateId: connectionId }, { credentialVersion, atMs }) {
  const due = { reason: 'scheduled', credential_version: credentialVersion, position: 1, due_at_ms: atMs };
  const headers = natsHeaders();
  headers.set('Nats-Schedule', `@at ${timestampOf(atMs)}`);
  headers.set('Nats-Schedule-Target', subjects.refreshDue({ tenantId, connectionId }));
  const payload = JSON.stringify(RefreshDue.parse(due));
  const subject = subjects.refreshSchedule({ tenantId, connectionId });
  const { error } = (await bus.connection.request(subject, payload, { headers, timeout: 60_000 })).json();
  if (error !== undefined)
    throw new Error(`a schedule was not stored in ${streams.refresh.name}: ${error.description}`);
}

/** Acknowledges every commit that waits to be turned into a schedule. */
export async function drainScheduler(world, tell) {
  const bus = await busOf(world, 'refresh');
  const { maxAckPending: concurrencyMax, stream, name } = consumers.refreshScheduler;
  const worker = new JetStreamWorker({
    bus,
    consumer: 'refreshScheduler',
    concurrencyMax,
    handle: async () => undefined,
  });
  await worker.start();
  const info = async () => (await bus.connection.request(`$JS.API.CONSUMER.INFO.${stream}.${name}`)).json();
  for (let waiting = Infinity; waiting > 0;) {
    const { num_pending: pending, num_ack_pending: unacknowledged } = await info();
    waiting = pending + unacknowledged;
    tell(`${waiting} commits wait for the scheduler`);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
  }
  await worker.stop();
  await bus.close();
}
