/**
 * The event log against raw NATS clients: the same server, the same bytes, the same headers, in one run.
 *
 * append  commits over 64 aggregates in parallel, each with its expected sequence and fsync, against bare publishes
 * load    the state of one aggregate, nothing cached, against a bare direct get of the same message
 * replay  every commit through schema check and fold, against an ordered consumer that only parses JSON; what the
 *         signatures cost stands apart
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { headers as natsHeaders } from '@nats-io/nats-core';
import { newId, subjects } from '@postern/contracts';
import { generateSigningKey, publicJwkOf } from '@postern/crypto';
import { connectionEvolver, upcast } from '@postern/domain';
import { CommitReader, commitSigner, commitVerifier, foldEntry, messageBytes, Repository } from '@postern/event-log';
import {
  connectBus,
  createOperator,
  identityCreds,
  JetStreamEventLog,
  provision,
  serverOperatorConfig,
} from '@postern/nats';
import { startNatsServer } from '@postern/servers';

import { median, round, sideBySide } from './median.mjs';

const aggregates = 64;
const appendsEach = 40;
const loads = 1_500;
/** Many and short: what else the machine does falls on one or the other. */
const rounds = 15;
const stream = 'CONNECTIONS';

export async function run(tell) {
  const dataDir = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  const operator = await createOperator();
  const server = await startNatsServer({
    dataDir: join(dataDir, 'nats'),
    config: { operatorMode: serverOperatorConfig(operator), fileStoreBytesMax: 32 * 1024 ** 3 },
  });
  const connect = async (identity) =>
    connectBus({
      servers: server.url,
      creds: await identityCreds(operator, identity),
      identity,
      name: `bench ${identity}`,
    });
  try {
    const provisioner = await connect('provisioner');
    await provision(provisioner);
    const bus = await connect('revocation');
    const world = worldOf(bus);
    tell(`append: ${rounds} rounds of ${aggregates * appendsEach}`);
    const append = await appendBench(world);
    tell(`load: ${rounds} rounds of ${loads}`);
    const load = await loadBench(world);
    tell('replay');
    const replay = await replayBench(world);
    await bus.close();
    await provisioner.close();
    return reportOf({ append, load, replay });
  } finally {
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function worldOf(bus) {
  const { privateJwk } = generateSigningKey();
  const signer = commitSigner('revocation', privateJwk);
  const trust = { writers: { revocation: [publicJwkOf(privateJwk)] }, recipients: {} };
  const verifier = commitVerifier(trust, { rememberedMax: 1_000 });
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  const tenantId = newId('tenant');
  const repository = (cacheEntriesMax, reader = new CommitReader({ verifier })) =>
    new Repository({
      log,
      reader,
      signer,
      evolver: connectionEvolver,
      upcast,
      source: '/postern/bench',
      cacheEntriesMax,
    });
  return {
    bus,
    log,
    tenantId,
    verifier,
    repository,
    ids: Array.from({ length: aggregates }, () => newId('connection')),
  };
}

const options = { actor: { type: 'service', id: 'bench' }, correlationId: newId('correlation') };
const event = (turn) => ({
  type: turn % 2 === 0 ? 'ConnectionSuspended' : 'ConnectionResumed',
  version: 1,
  data: { reason: 'bench' },
});

async function appendBench(world) {
  const { bus, log, tenantId, ids } = world;
  const repository = world.repository(10_000);
  const ours = async () => {
    const since = performance.now();
    await Promise.all(
      ids.map(async (id) => {
        for (let turn = 0; turn < appendsEach; turn += 1)
          await repository.execute({ tenantId, id }, () => [event(turn)], options);
      }),
    );
    return perSecond(aggregates * appendsEach, since);
  };
  await ours();
  // The same bytes and headers, the longest of ours, with ids of their own so that the stream does not take them for repeats.
  const lasts = await Promise.all(ids.map((connectionId) => log.last(subjects.connection({ tenantId, connectionId }))));
  const sample = lasts.toSorted((left, right) => sizeOf(right) - sizeOf(left))[0];
  const js = jetstream(bus.connection);
  const baseline = async () => {
    const since = performance.now();
    await Promise.all(
      Array.from({ length: aggregates }, async () => {
        const subject = subjects.connection({ tenantId: newId('tenant'), connectionId: newId('connection') });
        let lastSubjectSequence = 0;
        for (let turn = 0; turn < appendsEach; turn += 1) {
          const headers = natsHeaders();
          for (const [name, value] of Object.entries(sample.headers))
            if (!name.startsWith('Nats-')) headers.set(name, value);
          const ack = await js.publish(subject, sample.payload, {
            msgID: newId('commit'),
            headers,
            expect: { lastSubjectSequence },
          });
          lastSubjectSequence = ack.seq;
        }
      }),
    );
    return perSecond(aggregates * appendsEach, since);
  };
  const figures = await sideBySide({ rounds, baseline, ours });
  return { ...figures, bytes: sizeOf(sample) };
}

const sizeOf = ({ payload, headers }) => messageBytes({ payload, headers, messageId: '' });

async function loadBench(world) {
  const { bus, tenantId, ids } = world;
  const signed = world.repository(0);
  const repository = world.repository(0, new CommitReader({ verifier: unchecked }));
  const manager = await jetstreamManager(bus.connection, { checkAPI: false });
  const each = async (work) => {
    const times = [];
    for (let turn = 0; turn < loads; turn += 1) {
      const since = performance.now();
      await work(ids[turn % ids.length]);
      times.push(performance.now() - since);
    }
    return median(times);
  };
  const lastOf = (id) => ({ last_by_subj: subjects.connection({ tenantId, connectionId: id }) });
  const baseline = () => each((id) => manager.direct.getMessage(stream, lastOf(id)));
  const figures = await sideBySide({ rounds, baseline, ours: () => each((id) => repository.load({ tenantId, id })) });
  const checked = await sideBySide({ rounds: 3, baseline, ours: () => each((id) => signed.load({ tenantId, id })) });
  return { ...figures, withSignatures: checked.ours };
}

/** As many at a time as our reading asks for, and as early: a refill costs both sides the same. */
const asOurs = { max_messages: 1_000, threshold_messages: 500 };

async function replayBench(world) {
  const { bus, log, tenantId, verifier } = world;
  const filter = subjects.connectionsOfTenant(tenantId);
  const js = jetstream(bus.connection);
  let count = 0;
  const baseline = async () => {
    const consumer = await js.consumers.get(stream, { filter_subjects: filter });
    const since = performance.now();
    const messages = await consumer.consume(asOurs);
    count = 0;
    for await (const message of messages) {
      message.json();
      count += 1;
      if (message.info.pending === 0) break;
    }
    return perSecond(count, since);
  };
  const replayThrough = (reader) => async () => {
    const states = new Map();
    const since = performance.now();
    let read = 0;
    for await (const message of log.read({ filter })) {
      const { entry } = reader.read(message);
      const before = states.get(entry.subject) ?? {
        state: connectionEvolver.initialState,
        revision: 0,
        position: 0,
        hash: null,
      };
      states.set(entry.subject, foldEntry(before, entry, { evolver: connectionEvolver, upcast }));
      read += 1;
    }
    if (read !== count) throw new Error(`${read} commits were replayed of ${count}`);
    return perSecond(read, since);
  };
  const figures = await sideBySide({
    rounds,
    baseline,
    ours: replayThrough(new CommitReader({ verifier: unchecked })),
  });
  const signed = await sideBySide({ rounds: 3, baseline, ours: replayThrough(new CommitReader({ verifier })) });
  return { ...figures, commits: count, withSignatures: signed.ours };
}

/** Believes every key: what is left is the work beside the signature. */
const unchecked = { verify: (keyId) => ({ identity: keyId.split('.', 1)[0] }) };

const perSecond = (count, since) => (count * 1_000) / (performance.now() - since);

function reportOf({ append, load, replay }) {
  return {
    baseline: {
      append_per_s: round(append.baseline, 0),
      load_p50_ms: round(load.baseline),
      replay_per_s: round(replay.baseline, 0),
    },
    result: {
      append_per_s: round(append.ours, 0),
      append_bytes: append.bytes,
      load_p50_ms: round(load.ours),
      load_with_signature_p50_ms: round(load.withSignatures),
      replay_per_s: round(replay.ours, 0),
      replay_commits: replay.commits,
      replay_with_signatures_per_s: round(replay.withSignatures, 0),
      signature_check_us: round(1e6 / replay.withSignatures - 1e6 / replay.ours, 0),
    },
    ratios: {
      append: round(append.ratio),
      load: round(load.ratio),
      replay: round(replay.ratio),
    },
  };
}
