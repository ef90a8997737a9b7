/**
 * The shortest way from a signal to somebody else who knows that a connection is over: one message to a stream with fsync,
 * a durable consumer in another process, its event to a stream with fsync, and then one message of core NATS to a follower.
 */
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

import { serveJobs } from '../lease/process.mjs';
import { nowMs } from './now.mjs';

let connection;

serveJobs(async (job) => {
  connection ??= await connect({ servers: job.servers });
  return job.kind === 'decide' ? await decide(job) : await chain(job);
});

/** Takes signals and says that they are decided, until the process ends. */
async function decide({ eventBytes }) {
  const { streams, consumers } = await jetstreamManager(connection);
  await streams.add({ name: 'BARE_SIGNALS', subjects: ['bare.signal.*'], storage: 'file' });
  await streams.add({ name: 'BARE_EVENTS', subjects: ['bare.event.*'], storage: 'file' });
  await consumers.add('BARE_SIGNALS', { durable_name: 'decide', ack_policy: 'explicit' });
  const consumer = await jetstream(connection).consumers.get('BARE_SIGNALS', 'decide');
  const payload = Buffer.alloc(eventBytes, 0x61);
  await consumer.consume({
    callback: async (message) => {
      const id = message.subject.split('.')[2];
      const { error } = (await connection.request(`bare.event.${id}`, payload, { timeout: 30_000 })).json();
      if (error !== undefined) throw new Error(error.description);
      connection.publish(`bare.told.${id}`);
      message.ack();
    },
  });
}

/** Says it and waits until told, so many times. @returns how long each took. */
async function chain({ signalBytes, count }) {
  const payload = Buffer.alloc(signalBytes, 0x61);
  const told = connection.subscribe('bare.told.*');
  await connection.flush();
  const tellings = told[Symbol.asyncIterator]();
  const times = [];
  for (let turn = 0; turn < count; turn += 1) {
    const since = nowMs();
    connection.publish(`bare.signal.${turn}`, payload);
    await tellings.next();
    times.push(nowMs() - since);
  }
  told.unsubscribe();
  return times;
}
