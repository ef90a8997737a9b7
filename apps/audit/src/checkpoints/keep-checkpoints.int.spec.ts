import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { newId, subjects, type IdentityName, type TrustBundle } from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';
import { createTenant, tenantEvolver } from '@postern/domain';
import { CheckpointReader, CommitReader, commitSigner, commitVerifier, Repository } from '@postern/event-log';
import {
  connectBus,
  createOperator,
  identityCreds,
  JetStreamEventLog,
  provision,
  serverOperatorConfig,
  type Bus,
} from '@postern/nats';
import { startNatsServer, temporaryDataDir, type NatsServer } from '@postern/servers';
import { startService, type RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';

import { auditService } from '../index.ts';

const folder = temporaryDataDir();
const administrator = generateSigningKey();
const [key, next] = [generateSigningKey(), generateSigningKey()];
const log = { name: 'log.example/spec', keys: [next.publicJwk, key.publicJwk] };
const trust: TrustBundle = { writers: { administrator: [administrator.publicJwk] }, recipients: {}, log };

let server: NatsServer;
let bus: Bus;
let auditBus: Bus;
let checkpoints: JetStreamEventLog;
let creds: (identity: IdentityName) => Promise<string>;

beforeAll(async () => {
  const bundle = await createOperator();
  creds = (identity) => identityCreds(bundle, identity);
  const config = { operatorMode: serverOperatorConfig(bundle), extra: 'authorization { timeout: 30 }' };
  server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
  const connect = async (identity: IdentityName) =>
    await connectBus({ servers: server.url, creds: await creds(identity), identity, name: identity });
  const provisioner = await connect('provisioner');
  await provision(provisioner);
  await provisioner.close();
  bus = await connect('administrator');
  auditBus = await connect('audit');
  checkpoints = new JetStreamEventLog({ bus: auditBus, stream: 'checkpoints' });
  mkdirSync(join(folder, 'keys'));
  for (const [name, content] of Object.entries({
    'audit.creds': await creds('audit'),
    'trust.json': JSON.stringify(trust),
    'key.jwk': JSON.stringify(key.privateJwk),
    'next.jwk': JSON.stringify(next.privateJwk),
    'strange.jwk': JSON.stringify(generateSigningKey().privateJwk),
  })) {
    writeFileSync(join(folder, 'keys', name), content, { mode: 0o600 });
  }
}, 120_000);
afterAll(async () => {
  await bus.close();
  await auditBus.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string) => join(folder, 'keys', name);
const startAudit = (more: Readonly<Record<string, string>>): Promise<RunningService> =>
  startService(auditService, {
    POSTERN_NATS_URL: server.url,
    POSTERN_NATS_CREDS_FILE: file('audit.creds'),
    POSTERN_TRUST_FILE: file('trust.json'),
    POSTERN_LOG_LEVEL: 'fatal',
    POSTERN_CHECKPOINT_INTERVAL: '50ms',
    ...more,
  });

async function addTenant(): Promise<void> {
  const repository = new Repository({
    log: new JetStreamEventLog({ bus, stream: 'admin' }),
    evolver: tenantEvolver,
    reader: new CommitReader({ verifier: commitVerifier(trust) }),
    signer: commitSigner('administrator', administrator.privateJwk),
    source: '/spec',
  });
  const id = newId('tenant');
  const origin = { actor: { type: 'administrator' }, correlationId: newId('correlation') } as const;
  await repository.execute({ tenantId: id, id }, (state) => createTenant({ name: 'spec' }, state), origin);
}

/** The checkpoint of ADMIN that was signed last, as whoever trusts these keys reads it. */
const checkpointedSize = async (keys = log.keys) => {
  const subject = subjects.checkpoint('ADMIN');
  const message = await checkpoints.last(subject, { fromLeader: true });
  return message && new CheckpointReader({ ...log, keys }, 'admin').stored(message.payload)?.size;
};
const becomes = (size: number) =>
  waitFor(async () => (await checkpointedSize()) === size, { describe: `the checkpoint of ${size} messages` });

test('what is written is checkpointed; after a restart it goes on, and two keys sign while one takes over', async () => {
  const first = await startAudit({ POSTERN_CHECKPOINT_KEY_FILE: file('key.jwk') });
  await addTenant();
  await becomes(1);
  await addTenant();
  await becomes(2);
  expect([await checkpointedSize([key.publicJwk]), await checkpointedSize([next.publicJwk])]).toEqual([2, undefined]);
  await first.stop();
  await addTenant();
  const second = await startAudit({
    POSTERN_CHECKPOINT_KEY_FILE: file('next.jwk'),
    POSTERN_CHECKPOINT_PREVIOUS_KEY_FILE: file('key.jwk'),
  });
  await becomes(3);
  expect([await checkpointedSize([key.publicJwk]), await checkpointedSize([next.publicJwk])]).toEqual([3, 3]);
  await second.stop();
});

test('a key that nobody could check is refused at start', async () => {
  await expect(startAudit({ POSTERN_CHECKPOINT_KEY_FILE: file('strange.jwk') })).rejects.toMatchObject({
    code: 'config.invalid',
  });
});
