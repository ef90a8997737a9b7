import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  commitHeaders,
  commitSignatureContext,
  newId,
  provenStreams,
  streamFilters,
  streams,
  accessSignatureContext,
  timestampOf,
  type AccessGroup,
  type AccessRecord,
  type LeaseReceipt,
  type IdentityName,
  type ProvenStream,
  type TrustBundle,
} from '@postern/contracts';
import { addCheckpointBody, generateSigningKey, isWitnessed, signCheckpoint, signedMessage } from '@postern/crypto';
import {
  completeAuthorization,
  connectionEvolver,
  createTenant,
  startAuthorization,
  startCodeExchange,
  tenantEvolver,
  upcast,
  type Connection,
} from '@postern/domain';
import {
  CheckpointKeeper,
  CheckpointReader,
  checkpointOrigin,
  CommitReader,
  commitSigner,
  commitVerifier,
  exportMessage,
  openReceipt,
  Repository,
  signReceipt,
  type LogFinding,
  type StoredCheckpoint,
  type StoredMessage,
} from '@postern/event-log';
import {
  AccessGroupWriter,
  connectBus,
  createOperator,
  identityCreds,
  JetStreamEventLog,
  provision,
  serverOperatorConfig,
  type Bus,
} from '@postern/nats';
import { startNatsServer, temporaryDataDir, type NatsServer } from '@postern/servers';
import { startWitness, type TestWitness } from '@postern/testing';
import { jetstreamManager } from '@nats-io/jetstream';
import { headers as natsHeaders } from '@nats-io/nats-core';

import { checkLeaseProof, proveLease } from './prove.ts';
import { verifyExport, verifyOnline, verifyPart, type ProvenLog } from './verify.ts';

const folder = temporaryDataDir();
const writers = ['authorization', 'vault', 'administrator', 'refresh'] as const;
const keys = Object.fromEntries(writers.map((name) => [name, generateSigningKey()])) as Record<
  (typeof writers)[number],
  ReturnType<typeof generateSigningKey>
>;
const logKey = generateSigningKey();
const trust: TrustBundle & { log: NonNullable<TrustBundle['log']> } = {
  writers: Object.fromEntries(writers.map((name) => [name, [keys[name].publicJwk]])),
  recipients: {},
  log: { name: 'log.example/spec', keys: [logKey.publicJwk] },
};
const tenantId = newId('tenant');

let server: NatsServer;
let buses: Record<'authorization' | 'vault' | 'administrator' | 'audit' | 'provisioner', Bus>;
let proven: ProvenLog;
/** What stands in each stream of a log that nobody touched. */
let original: Record<ProvenStream | 'checkpoints', StoredMessage[]>;
/** A checkpoint of each stream that left the house, at the end. */
let outside: string[];
/** What clients hold of their leases, by the position of its record. */
const receipts = new Map<number, string>();

beforeAll(async () => {
  const bundle = await createOperator();
  server = await startNatsServer({
    dataDir: join(folder, 'nats'),
    config: { operatorMode: serverOperatorConfig(bundle), extra: 'authorization { timeout: 30 }' },
  });
  const as = async (identity: IdentityName) => {
    const creds = await identityCreds(bundle, identity);
    return await connectBus({ servers: server.url, creds, identity, name: identity, connectTimeoutMs: 60_000 });
  };
  const names = ['authorization', 'vault', 'administrator', 'audit', 'provisioner'] as const;
  buses = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await as(name)]))) as typeof buses;
  await provision(buses.provisioner);
  const logOf = (stream: ProvenStream | 'checkpoints') => new JetStreamEventLog({ bus: buses.audit, stream });
  proven = {
    logs: { connections: logOf('connections'), admin: logOf('admin'), access: logOf('access') },
    checkpoints: logOf('checkpoints'),
  };
  await live();
  await checkpointed();
  await live();
  outside = await checkpointed();
  original = {
    connections: await everything('connections'),
    admin: await everything('admin'),
    access: await everything('access'),
    checkpoints: await everything('checkpoints'),
  };
}, 120_000);
afterAll(async () => {
  await Promise.all(Object.values(buses).map((bus) => bus.close()));
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Some life: a tenant, three connections side by side, leases by two writers. */
async function live(): Promise<void> {
  const reader = new CommitReader({ verifier: commitVerifier(trust) });
  const origin = { actor: { type: 'service', id: 'spec' }, correlationId: newId('correlation') } as const;
  const admin = new Repository({
    log: new JetStreamEventLog({ bus: buses.administrator, stream: 'admin' }),
    evolver: tenantEvolver,
    reader,
    signer: commitSigner('administrator', keys.administrator.privateJwk),
    source: '/spec',
    upcast,
  });
  const connections = new Repository({
    log: new JetStreamEventLog({ bus: buses.authorization, stream: 'connections' }),
    evolver: connectionEvolver,
    reader,
    signer: commitSigner('authorization', keys.authorization.privateJwk),
    source: '/spec',
    upcast,
  });
  for (const name of ['one', 'two']) {
    const id = newId('tenant');
    await admin.execute({ tenantId: id, id }, (state) => createTenant({ name }, state), origin);
  }
  const refs = Array.from({ length: 3 }, () => ({ tenantId, id: newId('connection') }));
  const sessionId = newId('session');
  const nowMs = Date.now();
  const steps: ((state: Connection) => ReturnType<typeof startAuthorization>)[] = [
    (state) =>
      startAuthorization(
        {
          sessionId,
          purpose: 'connect',
          platformId: newId('platform'),
          providerId: 'acme',
          registrationId: newId('registration'),
          endUserDigest: 'digest',
          requestedScopes: ['read'],
          returnUrl: 'https://platform.example/back',
          expiresAtMs: nowMs + 600_000,
          nowMs,
        },
        state,
      ),
    (state) => startCodeExchange({ sessionId, nowMs }, state),
    (state) =>
      completeAuthorization(
        {
          sessionId,
          endUserDigest: 'digest',
          credentialVersion: 1,
          grantedScopes: ['read'],
          accessTokenExpiresAtMs: null,
          hasRefreshToken: true,
          accountDigest: null,
          nowMs,
        },
        state,
      ),
  ];
  for (const step of steps) for (const ref of refs) await connections.execute(ref, step, origin);
  const signer = commitSigner('vault', keys.vault.privateJwk);
  const records = [1, 2].map(() => new AccessGroupWriter({ bus: buses.vault, signer, writer: newId('correlation') }));
  for (let round = 0; round < 3; round += 1) {
    for (const writer of records) {
      const one = record();
      const place = await writer.record(one);
      receipts.set(place.position ?? 0, signReceipt(one, place, signer));
    }
  }
}

const record = (): AccessRecord => ({
  leaseId: newId('lease'),
  at: timestampOf(Date.now()),
  tenantId,
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

/** Makes the checkpoints of all streams. */
async function checkpointed(): Promise<string[]> {
  const notes: string[] = [];
  for (const stream of provenStreams) {
    const keeper = keeperOf(stream);
    const round = await keeper.round();
    expect(round).toMatchObject({ findings: [], more: false });
    notes.push(round.newest?.note ?? '');
  }
  return notes;
}

const keeperOf = (stream: ProvenStream) =>
  new CheckpointKeeper({
    stream,
    log: proven.logs[stream],
    checkpoints: proven.checkpoints,
    trust: trust.log,
    keys: [logKey.privateJwk],
  });

async function everything(stream: ProvenStream | 'checkpoints'): Promise<StoredMessage[]> {
  const log = stream === 'checkpoints' ? proven.checkpoints : proven.logs[stream];
  const messages: StoredMessage[] = [];
  for await (const { subject, position, timeMs, payload, headers } of log.read({ filter: streamFilters[stream] })) {
    messages.push({ subject, position, timeMs, payload, headers });
  }
  return messages;
}

/** As short as the server takes. */
const duplicateWindowNsMin = 100_000_000;

/** A store that holds other messages than were written: made anew, as whoever holds the disk could. */
async function store(stream: ProvenStream | 'checkpoints', messages: readonly StoredMessage[]): Promise<void> {
  const manager = await jetstreamManager(buses.provisioner.connection, { checkAPI: false });
  await manager.streams.delete(streams[stream].name);
  await provision(buses.provisioner);
  const { config } = await manager.streams.info(streams[stream].name);
  await manager.streams.update(streams[stream].name, { ...config, duplicate_window: duplicateWindowNsMin });
  for (const message of messages) await put(stream, message);
}

/** Stores a message as it is, without what the log expects of whoever appends. */
async function put(stream: ProvenStream | 'checkpoints', { subject, payload, headers }: StoredMessage): Promise<void> {
  const kept = natsHeaders();
  for (const [name, value] of Object.entries(headers)) if (!name.startsWith('Nats-Expected')) kept.set(name, value);
  for (;;) {
    const answer = await rawBus(stream).connection.request(subject, payload, { headers: kept, timeout: 10_000 });
    const { stream: stored, duplicate } = answer.json<{ stream?: string; duplicate?: boolean }>();
    expect(stored).toBe(streams[stream].name);
    // A repetition is taken once the server has forgotten its id.
    if (duplicate !== true) return;
  }
}

const rawBus = (stream: ProvenStream | 'checkpoints') =>
  ({ connections: buses.authorization, admin: buses.administrator, access: buses.vault, checkpoints: buses.audit })[
    stream
  ];

/** What verifying finds of one stream, in short. */
async function found(stream: ProvenStream, { notes = outside, shown = [] as number[] } = {}): Promise<string[]> {
  const reports = await verifyOnline(proven, { trust, outside: notes, receipts: shown.map(receiptOf) });
  return (reports[streams[stream].name]?.findings ?? []).map(short);
}
function receiptOf(position: number): LeaseReceipt {
  const receipt = openReceipt(receipts.get(position) ?? '', commitVerifier(trust));
  if (receipt === undefined) throw new Error(`the spec has no receipt of position ${position}`);
  return receipt;
}
const short = ({ kind, position }: LogFinding) => `${kind} ${position}`;

/** Tampers with a stream, asks, and puts it back. */
async function tampered(
  stream: ProvenStream,
  change: (messages: StoredMessage[]) => StoredMessage[],
): Promise<string[]> {
  await store(stream, change([...original[stream]]));
  try {
    return await found(stream);
  } finally {
    await store(stream, original[stream]);
  }
}

const at = (messages: readonly StoredMessage[], position: number): StoredMessage => {
  const message = messages[position - 1];
  if (message === undefined) throw new Error(`the spec has no message ${position}`);
  return message;
};
const without = (position: number) => (messages: StoredMessage[]) =>
  messages.filter((_, index) => index !== position - 1);
const changed = (position: number) => (messages: StoredMessage[]) => {
  const message = at(messages, position);
  const payload = Buffer.from(message.payload);
  payload.writeUInt8((payload[40] ?? 0) ^ 1, 40);
  return messages.with(position - 1, { ...message, payload });
};
const swapped = (one: number, other: number) => (messages: StoredMessage[]) =>
  messages.with(one - 1, at(messages, other)).with(other - 1, at(messages, one));
const repeated = (position: number) => (messages: StoredMessage[]) =>
  messages.toSpliced(position, 0, at(messages, position));

describe('a log that nobody touched', () => {
  test('is whole, and proved to the checkpoint that left the house', async () => {
    const reports = await verifyOnline(proven, { trust, outside });
    for (const stream of provenStreams) {
      const size = original[stream].length;
      const report = reports[streams[stream].name];
      expect(report).toMatchObject({ messages: size, findings: [], findingsOmitted: 0 });
      expect(report?.tree).toEqual({ checkpointedUpTo: size, provenUpTo: size });
    }
  });

  test('is unproved at its end where no checkpoint left the house', async () => {
    const reports = await verifyOnline(proven, { trust, outside: [] });
    const size = original.connections.length;
    expect(reports['CONNECTIONS']?.tree).toEqual({ checkpointedUpTo: size, provenUpTo: 0 });
  });
});

describe('on CONNECTIONS', () => {
  test('a changed byte is named, and what follows it', async () => {
    expect(await tampered('connections', changed(5))).toEqual(
      expect.arrayContaining(['foreign 5', 'checkpoint 9', 'chain 8']),
    );
  });

  test('a dropped message shows at the next one of its connection', async () => {
    expect(await tampered('connections', without(4))).toEqual(
      expect.arrayContaining(['revision 6', 'chain 6', 'checkpoint 9', 'cut 18']),
    );
  });

  test('a dropped message that nothing follows shows in the tree', async () => {
    expect(await tampered('connections', without(9))).toEqual(['checkpoint 9', 'cut 18']);
  });

  test('an inserted message is foreign', async () => {
    const inserted = await tampered('connections', (messages) =>
      messages.toSpliced(6, 0, { ...at(messages, 6), headers: {} }),
    );
    expect(inserted).toEqual(expect.arrayContaining(['foreign 7', 'checkpoint 9']));
  });

  test('an inserted message that a writer signed, who may not write its events, is foreign', async () => {
    const signer = commitSigner('refresh', keys.refresh.privateJwk);
    const inserted = await tampered('connections', (messages) => {
      const { headers, ...message } = at(messages, 6);
      const signature = signer.sign(signedMessage(commitSignatureContext, message.subject, message.payload));
      const signed = { [commitHeaders.key]: signer.keyId, [commitHeaders.signature]: signature };
      return messages.toSpliced(6, 0, { ...message, headers: { ...headers, ...signed } });
    });
    expect(inserted).toEqual(expect.arrayContaining(['foreign 7', 'checkpoint 9']));
  });

  test('messages of one connection in another order break its chain', async () => {
    expect(await tampered('connections', swapped(4, 7))).toEqual(
      expect.arrayContaining(['revision 4', 'chain 4', 'checkpoint 9']),
    );
  });

  test('messages of two connections in another order show in the tree', async () => {
    expect(await tampered('connections', swapped(4, 5))).toEqual(['checkpoint 9']);
  });

  test('a repeated message is named', async () => {
    expect(await tampered('connections', repeated(5))).toEqual(
      expect.arrayContaining(['revision 6', 'chain 6', 'checkpoint 9']),
    );
  });

  test('a cut tail is named from where on', async () => {
    expect(await tampered('connections', (messages) => messages.slice(0, -2))).toEqual(['cut 17']);
  });

  test('a deleted message leaves a hole that is named', async () => {
    await store('connections', original.connections);
    const manager = await jetstreamManager(buses.provisioner.connection, { checkAPI: false });
    const { config } = await manager.streams.info('CONNECTIONS');
    expect(config).toMatchObject({ deny_delete: true });
    // Nobody can delete where it is denied: a hole is made by storing around it.
    await manager.streams.delete('CONNECTIONS');
    await manager.streams.add({ ...config, deny_delete: false });
    for (const message of original.connections) await put('connections', message);
    await manager.streams.deleteMessage('CONNECTIONS', 9);
    expect(await found('connections')).toEqual(['missing 9', 'checkpoint 9']);
    await store('connections', original.connections);
  });
});

describe('of a part of the log', () => {
  const idAt = (position: number) => at(original.connections, position).subject.split('.').at(-1) ?? '';
  const foundOf = async (part: { tenantId: string; connectionId?: string }) => {
    const reports = await verifyPart({ logs: proven.logs }, part, { trust, outside: [] });
    return Object.entries(reports).map(([stream, { findings, messages, tree }]) => {
      expect(tree).toBeUndefined();
      return [stream, messages, ...findings.map(short)];
    });
  };

  test('a tenant’s findings are told with it, a connection’s with it alone, and no other’s', async () => {
    const [broken, well] = [idAt(5), idAt(4)];
    expect(await foundOf({ tenantId })).toEqual([
      ['CONNECTIONS', 18],
      ['ADMIN', 0],
    ]);
    await store('connections', changed(5)(original.connections));
    try {
      expect(await foundOf({ tenantId, connectionId: broken })).toEqual([
        ['CONNECTIONS', 3, 'foreign 5', 'revision 8', 'chain 8'],
      ]);
      expect(await foundOf({ tenantId, connectionId: well })).toEqual([['CONNECTIONS', 3]]);
      expect(await foundOf({ tenantId })).toEqual([
        ['CONNECTIONS', 18, 'foreign 5', 'revision 8', 'chain 8'],
        ['ADMIN', 0],
      ]);
      expect(await foundOf({ tenantId: newId('tenant') })).toEqual([
        ['CONNECTIONS', 0],
        ['ADMIN', 0],
      ]);
    } finally {
      await store('connections', original.connections);
    }
  });
});

describe('on ADMIN and ACCESS', () => {
  test('a changed byte is named', async () => {
    expect(await tampered('admin', changed(1))).toEqual(['foreign 1', 'checkpoint 2']);
    expect(await tampered('access', changed(3))).toEqual(['foreign 3', 'sequence 5', 'checkpoint 6']);
  });

  test('a dropped group of records shows at its writer’s next one', async () => {
    expect(await tampered('access', without(3))).toEqual(['sequence 4', 'checkpoint 6', 'cut 12']);
  });

  test('a repeated group and groups in another order are named', async () => {
    expect(await tampered('access', repeated(3))).toEqual(['sequence 4', 'checkpoint 6']);
    expect(await tampered('access', swapped(1, 2))).toEqual(['checkpoint 6']);
    expect(await tampered('access', swapped(1, 3))).toEqual(['sequence 1', 'sequence 3', 'checkpoint 6']);
  });

  test('a cut tail is named', async () => {
    expect(await tampered('access', (messages) => messages.slice(0, -1))).toEqual(['cut 12']);
    expect(await tampered('admin', () => [])).toEqual(['cut 1']);
  });
});

describe('whoever changes the checkpoints too', () => {
  const olderOf = (stream: ProvenStream) =>
    original.checkpoints.filter(({ subject }) => subject.endsWith(streams[stream].name)).slice(0, 1);
  const restored = async (work: () => Promise<void>) => {
    try {
      await work();
    } finally {
      await store('connections', original.connections);
      await store('checkpoints', original.checkpoints);
    }
  };

  test('an older backup of all is found by the checkpoint that left the house, and only by it', async () => {
    await restored(async () => {
      await store('connections', original.connections.slice(0, 9));
      await store('checkpoints', [...olderOf('connections'), ...olderOf('admin'), ...olderOf('access')]);
      expect(await found('connections')).toEqual(['cut 10']);
      expect(await found('connections', { notes: [] })).toEqual([]);
    });
  });

  test('an older backup that went on is a fork', async () => {
    await restored(async () => {
      await store('connections', original.connections.slice(0, 9));
      await store('checkpoints', olderOf('connections'));
      await live();
      expect((await keeperOf('connections').round()).findings).toEqual([]);
      expect(await found('connections')).toEqual(['fork 18']);
      expect(await found('connections', { notes: [] })).toEqual([]);
    });
    await store('admin', original.admin);
    await store('access', original.access);
  });

  test('a checkpoint that does not continue the one before it, or that nobody signed, is named', async () => {
    await restored(async () => {
      const [first, second] = original.checkpoints.filter(({ subject }) => subject.endsWith('CONNECTIONS'));
      if (first === undefined || second === undefined) throw new Error('the spec has no checkpoints');
      await store('checkpoints', [second, first, { ...first, payload: Buffer.from('{}') }]);
      expect(await found('connections')).toEqual(['checkpoint 9', 'foreign 3']);
    });
  });
});

describe('witnesses', () => {
  const origin = checkpointOrigin(trust.log, 'connections');
  let witnesses: TestWitness[];
  beforeAll(async () => {
    const logs = [{ origin, keys: trust.log.keys }];
    witnesses = await Promise.all(['one', 'two'].map((name) => startWitness(`witness.example/${name}`, logs)));
  });
  afterAll(() => Promise.all(witnesses.map((one) => one.close())));

  const reader = new CheckpointReader(trust.log, 'connections');
  /** The checkpoints of CONNECTIONS as they are kept, the eldest first. */
  async function kept(): Promise<StoredCheckpoint[]> {
    const messages = (await everything('checkpoints')).filter(({ subject }) => subject.endsWith('CONNECTIONS'));
    return messages.flatMap(({ payload }) => reader.stored(payload) ?? []);
  }
  async function submit({ url }: TestWitness, { note, consistency }: StoredCheckpoint, oldSize: number) {
    const body = addCheckpointBody({ oldSize, proof: consistency, checkpoint: note });
    const response = await fetch(`${url}/add-checkpoint`, { method: 'POST', body });
    return { status: response.status, text: await response.text() };
  }
  /** A note with what all witnesses say to it. */
  async function witnessed(checkpoint: StoredCheckpoint): Promise<string> {
    const answers = await Promise.all(witnesses.map((one) => submit(one, checkpoint, one.sizeOf(origin))));
    return checkpoint.note + answers.map(({ status, text }) => (status === 200 ? text : '')).join('');
  }
  const policy = () => ({ witnesses, quorum: 2 });

  test('cosign what continues, and a fork that our own key signed is found by it, though all here agrees', async () => {
    const [first, second] = await kept();
    if (first === undefined || second === undefined) throw new Error('the spec has no checkpoints');
    await witnessed(first);
    const note = await witnessed(second);
    expect(isWitnessed(note, policy())).toBe(true);
    const place = { trust, outside: [note], witnesses: policy() };
    expect((await verifyOnline(proven, place))['CONNECTIONS']).toMatchObject({
      findings: [],
      tree: { provenUpTo: 18 },
    });
    try {
      await store('connections', original.connections.slice(0, 9));
      await store(
        'checkpoints',
        original.checkpoints.filter(({ subject }) => subject.endsWith('CONNECTIONS')).slice(0, 1),
      );
      await live();
      await keeperOf('connections').round();
      const forked = (await kept()).at(-1) ?? second;
      // The witnesses have seen the other history: their newest size, and no cosignature.
      expect(await submit(witnesses[0] as TestWitness, forked, 9)).toEqual({ status: 409, text: '18\n' });
      expect((await submit(witnesses[0] as TestWitness, { ...forked, consistency: [] }, 18)).status).toBe(409);
      const unseen = { ...place, outside: [await witnessed(forked)] };
      await expect(verifyOnline(proven, unseen)).rejects.toMatchObject({ code: 'request.malformed' });
      expect((await verifyOnline(proven, place))['CONNECTIONS']?.findings.map(short)).toEqual(['fork 18']);
    } finally {
      await store('connections', original.connections);
      await store('checkpoints', original.checkpoints);
      await store('admin', original.admin);
      await store('access', original.access);
    }
  });

  test('refuse what nobody of the log signed, what they do not know, and a proof that does not hold', async () => {
    const [first, second] = await kept();
    if (first === undefined || second === undefined) throw new Error('the spec has no checkpoints');
    const fresh = await startWitness('witness.example/three', [{ origin, keys: trust.log.keys }]);
    try {
      const stranger = signCheckpoint({ origin, size: 9, root: first.root }, [generateSigningKey().privateJwk]);
      expect((await submit(fresh, { ...first, note: stranger }, 0)).status).toBe(403);
      expect((await submit(fresh, { ...first, note: outside[1] ?? '' }, 0)).status).toBe(404);
      expect((await submit(fresh, first, 10)).status).toBe(400);
      expect((await submit(fresh, first, 0)).status).toBe(200);
      expect((await submit(fresh, { ...second, consistency: second.consistency.slice(1) }, 9)).status).toBe(422);
      expect((await submit(fresh, second, 9)).status).toBe(200);
      // Told the size that it has, whoever asks again learns from where to go on.
      expect(await submit(fresh, second, 9)).toEqual({ status: 409, text: '18\n' });
      expect(fresh.sizeOf(origin)).toBe(18);
    } finally {
      await fresh.close();
    }
  });
});

describe('the keeper of the checkpoints', () => {
  test('signs nothing on top of a log that was cut or is another one, and says so', async () => {
    await store('connections', original.connections.slice(0, 12));
    expect((await keeperOf('connections').round()).findings.map(short)).toEqual(['cut 13']);
    await store('connections', changed(18)(original.connections));
    expect((await keeperOf('connections').round()).findings.map(short)).toEqual(['checkpoint 18']);
    await store('connections', original.connections);
    expect(await keeperOf('connections').round()).toMatchObject({ findings: [], newest: { size: 18 } });
    expect(await everything('checkpoints')).toHaveLength(original.checkpoints.length);
  });
});

describe('the record of a lease', () => {
  const leaseAt = (position: number) => {
    const { records } = JSON.parse(Buffer.from(at(original.access, position).payload).toString('utf8')) as {
      records: AccessRecord[];
    };
    return records[0]?.leaseId ?? '';
  };

  test('is proved wherever it stands, against the newest checkpoint or one that was kept, and checked without the log', async () => {
    for (let position = 1; position <= original.access.length; position += 1) {
      const proof = await proveLease(leaseAt(position), proven, { trust });
      expect(proof).toMatchObject({ position, inclusion: { index: position - 1 } });
      expect(checkLeaseProof(proof, trust)).toMatchObject({ leaseId: leaseAt(position), outcome: 'granted' });
    }
    const kept = await proveLease(leaseAt(7), proven, { trust, checkpoint: outside[2] });
    expect(checkLeaseProof(kept, trust).leaseId).toBe(leaseAt(7));
  });

  test('is not proved by anything that was changed', async () => {
    const proof = await proveLease(leaseAt(7), proven, { trust });
    const other = await proveLease(leaseAt(8), proven, { trust });
    const strange = { ...trust, log: { ...trust.log, keys: [generateSigningKey().publicJwk] } };
    const refused = expect.objectContaining({ code: 'log.message_damaged' }) as Error;
    expect(() => checkLeaseProof({ ...proof, lease_id: leaseAt(8) }, trust)).toThrow(refused);
    expect(() => checkLeaseProof({ ...proof, inclusion: { ...proof.inclusion, index: 7 } }, trust)).toThrow(refused);
    const { leaf } = other.inclusion;
    const moved = { ...proof, lease_id: leaseAt(8), inclusion: { ...proof.inclusion, leaf } };
    expect(() => checkLeaseProof(moved, trust)).toThrow(refused);
    expect(() => checkLeaseProof(proof, strange)).toThrow(refused);
  });

  test('that stands nowhere is not proved, nor one in a log that was changed', async () => {
    await expect(proveLease(newId('lease'), proven, { trust })).rejects.toMatchObject({ code: 'request.malformed' });
    await store('access', without(3)(original.access));
    await expect(proveLease(leaseAt(7), proven, { trust })).rejects.toMatchObject({ code: 'log.message_damaged' });
    await store('access', original.access);
  });
});

describe('a lease receipt', () => {
  /** Whoever holds the vault's key leaves a record out: its writer's later groups are numbered and signed anew. */
  const leftOut = (position: number) => {
    const signer = commitSigner('vault', keys.vault.privateJwk);
    const { subject: left } = at(original.access, position);
    const before = original.access.slice(0, position - 1);
    const after = original.access.slice(position).map((message) => {
      if (message.subject !== left) return message;
      const { writer, sequence, records } = JSON.parse(Buffer.from(message.payload).toString('utf8')) as AccessGroup;
      const payload = Buffer.from(JSON.stringify({ writer, sequence: sequence - 1, records }));
      const signature = signer.sign(signedMessage(accessSignatureContext, left, payload));
      const headers = { ...message.headers, [commitHeaders.signature]: signature };
      return { ...message, payload, headers: { ...headers, [commitHeaders.messageId]: `${writer}.${sequence - 1}` } };
    });
    return [...before, ...after];
  };

  test('finds nothing in a log that has its record, wherever that stands', async () => {
    expect(await found('access', { shown: original.access.map(({ position }) => position) })).toEqual([]);
  });

  test('finds a record that was never to be missed: no chain, number or checkpoint tells of it', async () => {
    await store('access', leftOut(3));
    await store('checkpoints', []);
    try {
      expect(await found('access', { notes: [] })).toEqual([]);
      expect(await found('access', { notes: [], shown: [1, 3] })).toEqual(['receipt 3']);
    } finally {
      await store('access', original.access);
      await store('checkpoints', original.checkpoints);
    }
  });

  test('finds its record where it was changed by whoever can sign', async () => {
    const signer = commitSigner('vault', keys.vault.privateJwk);
    const { subject, headers, payload, ...rest } = at(original.access, 5);
    const group = JSON.parse(Buffer.from(payload).toString('utf8')) as AccessGroup;
    const records = group.records.map((one) => ({ ...one, purpose: 'another' }));
    const changedPayload = Buffer.from(JSON.stringify({ ...group, records }));
    const signature = signer.sign(signedMessage(accessSignatureContext, subject, changedPayload));
    const signed = { ...headers, [commitHeaders.signature]: signature };
    await store('access', original.access.with(4, { ...rest, subject, payload: changedPayload, headers: signed }));
    await store('checkpoints', []);
    try {
      expect(await found('access', { notes: [], shown: [5] })).toEqual(['receipt 5']);
    } finally {
      await store('access', original.access);
      await store('checkpoints', original.checkpoints);
    }
  });

  test('is believed only as the vault signed it', () => {
    const jws = receipts.get(1) ?? '';
    const [header = '', payload = '', signature = ''] = jws.split('.');
    const other = (receipts.get(2) ?? '').split('.')[1] ?? '';
    const open = (text: string) => openReceipt(text, commitVerifier(trust));
    expect(open(jws)).toMatchObject({ service: 'vault', sequence: 1, position: 1 });
    const stranger = commitSigner('refresh', keys.refresh.privateJwk);
    const refreshes = signReceipt(record(), { writer: 'w', sequence: 1, position: 1 }, stranger);
    const without = Buffer.from('{"alg":"none"}').toString('base64url');
    const vault = commitSigner('vault', keys.vault.privateJwk);
    const claims = { alg: 'EdDSA', typ: 'JWT', kid: vault.keyId };
    const otherType = `${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${payload}`;
    const signedForElse = `${otherType}.${vault.sign(Buffer.from(otherType))}`;
    for (const forged of [
      signedForElse,
      `${header}.${other}.${signature}`,
      refreshes,
      `${without}.${payload}.`,
      '',
      'a.b.c',
    ]) {
      expect([forged, open(forged)]).toEqual([forged, undefined]);
    }
  });

  test('is kept by a proof of its own lease alone', async () => {
    const { lease_id: leaseId } = receiptOf(7);
    const proof = await proveLease(leaseId, proven, { trust });
    expect(checkLeaseProof(proof, trust, receiptOf(7))).toMatchObject({ leaseId });
    const refused = expect.objectContaining({ code: 'log.message_damaged' }) as Error;
    expect(() => checkLeaseProof(proof, trust, receiptOf(8))).toThrow(refused);
  });
});

describe('an export', () => {
  const path = join(folder, 'export.ndjson');
  const write = (messages: readonly StoredMessage[]) =>
    writeFileSync(path, messages.map((message) => `${JSON.stringify(exportMessage(message))}\n`).join(''));
  const verified = async (notes: readonly string[]) => (await verifyExport(path, { trust, outside: notes }))[path];

  test('is verified offline with the public keys and the newest checkpoint', async () => {
    for (const stream of provenStreams) {
      write(original[stream]);
      expect(await verified(outside)).toMatchObject({
        findings: [],
        tree: { provenUpTo: original[stream].length, checkpointedUpTo: 0 },
      });
    }
    write(original.access);
    expect((await verified([]))?.tree).toBeUndefined();
  });

  test('shows a line that was dropped, or told again', async () => {
    write(without(9)(original.connections));
    expect((await verified(outside))?.findings.map(short)).toEqual(['missing 9', 'fork 18']);
    write(repeated(5)(original.connections));
    expect((await verified(outside))?.findings.map(short)).toEqual(expect.arrayContaining(['order 5', 'revision 5']));
  });

  test('is refused when it is empty: that would prove nothing', async () => {
    write([]);
    await expect(verified(outside)).rejects.toMatchObject({ code: 'request.malformed' });
    write(original.admin);
  });

  test('takes no checkpoint that another key signed', async () => {
    const strange = { ...trust, log: { ...trust.log, keys: [generateSigningKey().publicJwk] } };
    await expect(verifyExport(path, { trust: strange, outside })).rejects.toMatchObject({ code: 'request.malformed' });
  });
});
