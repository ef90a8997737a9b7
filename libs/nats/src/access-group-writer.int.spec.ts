import { jetstreamManager } from '@nats-io/jetstream';
import {
  newId,
  PosternError,
  streams,
  subjects,
  timestampOf,
  type AccessGroup,
  type AccessRecord,
} from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';
import { AccessReader, commitSigner, commitVerifier } from '@postern/event-log';
import { startTcpProxy, type TcpProxy } from '@postern/testing';

import { AccessGroupWriter } from './access-group-writer.ts';
import type { Bus } from './bus.ts';
import { JetStreamEventLog } from './jetstream-event-log.ts';
import { dropBeginning } from './log-epochs.ts';
import { provision } from './provision.ts';
import { PosternBus } from './spec-support/postern-bus.ts';

let nats: PosternBus;
let proxy: TcpProxy;
let bus: Bus;
let access: JetStreamEventLog;

beforeAll(async () => {
  nats = await PosternBus.start();
  proxy = await startTcpProxy({ targetPort: nats.port });
  bus = await nats.as('vault', `nats://127.0.0.1:${proxy.port}`);
  access = new JetStreamEventLog({ bus: await nats.as('audit'), stream: 'access' });
});
afterAll(async () => {
  await nats.stop();
  await proxy.close();
});

const record = (): AccessRecord => ({
  leaseId: newId('lease'),
  at: timestampOf(Date.now()),
  tenantId: newId('tenant'),
  platformId: newId('platform'),
  agentId: newId('agent'),
  connectionId: newId('connection'),
  purpose: 'spec',
  scopes: null,
  outcome: 'granted',
  code: null,
  credentialVersion: 1,
  position: 1,
  correlationId: newId('correlation'),
});
const key = generateSigningKey();
const signer = commitSigner('vault', key.privateJwk);
const trust = { writers: { vault: [key.publicJwk] }, recipients: {} };
const reader = new AccessReader({ verifier: commitVerifier(trust) });
let writers = 0;
const nextName = () => `writer_${(writers += 1)}`;
const writerOf = (more: Partial<ConstructorParameters<typeof AccessGroupWriter>[0]> = {}) =>
  new AccessGroupWriter({
    bus,
    signer,
    writer: nextName(),
    ackTimeoutMs: 300,
    recordWaitMs: 10_000,
    ...more,
  });

async function groupsOf(writer: string): Promise<AccessGroup[]> {
  const groups: AccessGroup[] = [];
  for await (const message of access.read({ filter: subjects.access({ service: 'vault', writer }) })) {
    const read = reader.read(message);
    if (read.kind !== 'access') throw new Error(read.reason);
    groups.push(read.entry.group);
  }
  return groups;
}

const leaseIds = (groups: readonly AccessGroup[]) =>
  groups.flatMap(({ records }) => records.map(({ leaseId }) => leaseId));

describe('the access log', () => {
  test('has every record that was acknowledged, many a message, in a gapless sequence', async () => {
    const writer = writerOf({ groupRecordsMax: 10 });
    const records = Array.from({ length: 95 }, record);
    await Promise.all(records.map((one) => writer.record(one)));
    const groups = await groupsOf(writer.writer);
    expect(leaseIds(groups)).toEqual(records.map(({ leaseId }) => leaseId));
    expect(groups.map(({ sequence }) => sequence)).toEqual(groups.map((_, index) => index + 1));
    expect(groups.length).toBeGreaterThanOrEqual(10);
    expect(groups.length).toBeLessThan(20);
    expect(writer.sequence).toBe(groups.length);
  });

  test('bounds a group by its bytes too', async () => {
    const writer = writerOf({ groupBytesMax: 1_200 });
    await Promise.all(Array.from({ length: 9 }, () => writer.record(record())));
    expect(Math.max(...(await groupsOf(writer.writer)).map(({ records }) => records.length))).toBeLessThan(4);
  });

  test('has a group once, though its acknowledgement was lost', async () => {
    const writer = writerOf();
    await writer.record(record());
    const loss = proxy.dropServerToClient((chunk) => chunk.includes('"stream":"ACCESS"'));
    await writer.record(record());
    await writer.record(record());
    expect(loss.lost()).toBe(1);
    expect((await groupsOf(writer.writer)).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });

  test('refuses a record that is not durable by its deadline, and stores it when it can', async () => {
    const writer = writerOf({ recordWaitMs: 100 });
    proxy.cut();
    const late = record();
    await expect(writer.record(late)).rejects.toMatchObject({ code: 'vault.audit_unavailable' });
    proxy.heal();
    await writer.drain();
    expect(leaseIds(await groupsOf(writer.writer))).toEqual([late.leaseId]);
  });

  test('lets nobody wait for what grants the use of a connection that ended, and stores it', async () => {
    const writer = writerOf();
    const reason = new PosternError('vault.audit_unavailable', 'It ended.');
    const [granted, refused, other] = [record(), { ...record(), outcome: 'refused' as const }, record()];
    const ended = granted.connectionId;
    const waiting = [granted, { ...refused, connectionId: ended }, { ...other, connectionId: newId('connection') }].map(
      (one) => writer.record(one),
    );
    writer.stopWaitingFor(ended, reason);
    const outcomes = await Promise.allSettled(waiting);
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && (outcome.reason as unknown) === reason)).toEqual([
      true,
      false,
      false,
    ]);
    await writer.drain();
    expect(leaseIds(await groupsOf(writer.writer))).toEqual([granted, refused, other].map(({ leaseId }) => leaseId));
  });

  test('does what can be done meanwhile while the group is being stored, once each, and before it is told', async () => {
    const writer = writerOf();
    const done: string[] = [];
    bus.aroundSend = async (_stream, send) => {
      const sent = send();
      done.push('sent');
      const outcome = await sent;
      done.push('stored');
      return outcome;
    };
    const records = [record(), record()].map((one) => writer.record(one, () => done.push('meanwhile')));
    await Promise.all(records.map((one) => one.then(() => done.push('told'))));
    bus.aroundSend = undefined;
    expect(done).toEqual(['sent', 'meanwhile', 'meanwhile', 'stored', 'told', 'told']);
  });

  test('is told what went wrong meanwhile by its own record alone, which is stored', async () => {
    const writer = writerOf();
    const [wrong, right] = [record(), record()];
    const failure = new Error('nothing was made');
    const failing = writer.record(wrong, () => {
      throw failure;
    });
    const other = writer.record(right, () => undefined);
    await expect(failing).rejects.toBe(failure);
    await other;
    expect(leaseIds(await groupsOf(writer.writer))).toEqual([wrong.leaseId, right.leaseId]);
  });

  test('does nothing meanwhile for whom nobody waits any more', async () => {
    const writer = writerOf();
    const granted = record();
    let isDone = false;
    const recording = writer.record(granted, () => (isDone = true));
    writer.stopWaitingFor(granted.connectionId, new PosternError('vault.audit_unavailable', 'It ended.'));
    await expect(recording).rejects.toMatchObject({ code: 'vault.audit_unavailable' });
    await writer.drain();
    expect(isDone).toBe(false);
    expect(leaseIds(await groupsOf(writer.writer))).toEqual([granted.leaseId]);
  });

  test('tells once of each record how long somebody waited for it', async () => {
    const waited: number[] = [];
    const writer = writerOf({ onWaited: (waitedMs) => waited.push(waitedMs) });
    const [ended, durable] = [record(), record()];
    const since = performance.now();
    const both = Promise.allSettled([ended, durable].map((one) => writer.record(one)));
    writer.stopWaitingFor(ended.connectionId, new PosternError('vault.audit_unavailable', 'It ended.'));
    writer.stopWaitingFor(ended.connectionId, new PosternError('vault.audit_unavailable', 'It ended again.'));
    expect(waited).toHaveLength(1);
    await both;
    await writer.drain();
    expect(waited).toHaveLength(2);
    for (const waitedMs of waited) {
      expect(waitedMs).toBeGreaterThanOrEqual(0);
      expect(waitedMs).toBeLessThanOrEqual(performance.now() - since);
    }
  });

  test('refuses at once when too many records wait', async () => {
    const writer = writerOf({ queuedRecordsMax: 2 });
    const waiting = [writer.record(record()), writer.record(record())];
    await expect(writer.record(record())).rejects.toMatchObject({ code: 'vault.audit_unavailable' });
    await Promise.all(waiting);
  });

  test('goes on under another name when somebody else wrote under its own, and refuses nothing for that', async () => {
    const errors: string[] = [];
    const writer = writerOf({ onError: ({ code }) => errors.push(code) });
    const name = writer.writer;
    await writer.record(record());
    await bus.connection.request(subjects.access({ service: 'vault', writer: name }), 'forged', { timeout: 5_000 });
    await writer.record(record());
    expect(errors).toEqual(['log.conflict']);
    await writer.record(record());
    expect(writer.writer).toBe(`${name}_2`);
    expect((await groupsOf(writer.writer)).map(({ sequence }) => sequence)).toEqual([1, 2]);
  });

  test('goes on when what it wrote last was archived and dropped while it was quiet', async () => {
    const writer = writerOf({ ackTimeoutMs: 10_000, recordWaitMs: 60_000 });
    const name = writer.writer;
    await writer.record(record());
    const provisioner = await nats.as('provisioner');
    // What goes never reaches the head: a checkpoint has to follow it.
    await writerOf().record(record());
    await dropBeginning(provisioner, 'access', { upTo: (await access.head()) - 1, verifiedUpTo: 0 });
    expect(await groupsOf(name)).toEqual([]);
    await writer.record(record());
    expect((await groupsOf(`${name}_2`)).map(({ sequence }) => sequence)).toEqual([1]);
  });

  test('refuses what nobody stores in time, and stores it under another name when the log that it knew is gone', async () => {
    const writer = writerOf({ recordWaitMs: 200 });
    await writer.record(record());
    const provisioner = await nats.as('provisioner');
    const manager = await jetstreamManager(provisioner.connection);
    await manager.streams.delete(streams.access.name);
    await expect(writer.record(record())).rejects.toMatchObject({ code: 'vault.audit_unavailable' });
    await provision(provisioner);
    await writer.drain();
    await writer.record(record());
    expect(writer.writer).toMatch(/_2$/);
    expect((await groupsOf(writer.writer)).map(({ sequence }) => sequence)).toEqual([1, 2]);
  });
});
