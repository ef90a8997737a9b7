import { readFileSync } from 'node:fs';

import {
  newId,
  provenStreams,
  timestampOf,
  type AccessRecord,
  type IdentityName,
  type ProvenStream,
  consumers,
  streams,
} from '@postern/contracts';
import type { SigningPrivateJwk } from '@postern/crypto';
import {
  administratorEvolver,
  completeAuthorization,
  connectionEvolver,
  createAdministrator,
  createTenant,
  startAuthorization,
  startCodeExchange,
  tenantEvolver,
  upcast,
  type Connection,
} from '@postern/domain';
import {
  CheckpointKeeper,
  CommitReader,
  commitSigner,
  commitVerifier,
  Repository,
  type AggregateRef,
  type AnyEvent,
} from '@postern/event-log';
import { AccessGroupWriter, connectBus, JetStreamEventLog, type Bus } from '@postern/nats';

import { jetstream, jetstreamManager } from '@nats-io/jetstream';

import { ensureKeys, readTrust } from '../data-folder/keys.ts';
import { dataFolder, type DataFolder } from '../data-folder/paths.ts';
import { openSession, type Session } from '../session/session.ts';
import { startBus } from '../up/start-bus.ts';

/** A data folder with its nats-server and the identities that write the log, without the services: for specs. */
export interface LogHouse {
  readonly folder: DataFolder;
  readonly natsUrl: string;
  readonly session: Session;
  readonly tenantId: string;
  busOf(identity: IdentityName): Promise<Bus>;
  /** Connections as an identity writes them. */
  connectionsOf(identity: IdentityName): Promise<Repository<Connection, AnyEvent>>;
  /** Makes a connection that is authorized; of the house's own tenant unless another is named. */
  connect(tenantId?: string, at?: ProviderFile): Promise<AggregateRef>;
  /** Records a lease. */
  lease(connectionId: string): Promise<AccessRecord>;
  /** Signs the heads of all trees. @returns the notes. */
  checkpoint(): Promise<Record<ProvenStream, string>>;
  /** As if the services had worked off what stands in CONNECTIONS. */
  workOff(): Promise<void>;
  stop(): Promise<void>;
}

/** A provider, and the version of its file that the connection is pinned to. */
interface ProviderFile {
  readonly providerId: string;
  readonly providerVersion?: number;
}

export const houseTtlMs = 3_600_000;
const sources = { actor: { type: 'service', id: 'spec' } } as const;

/** @param tenantId of a house that holds a log already; a new tenant and administrator are made when absent. */
export async function openLogHouse(root: string, tenantId?: string): Promise<LogHouse> {
  const folder = await dataFolder(root);
  await ensureKeys(folder, 'local');
  const { url, kept } = await startBus(folder, { identityTtlMs: houseTtlMs, onProblem: () => undefined });
  const buses = new Map<IdentityName, Promise<Bus>>();
  const busOf = (identity: IdentityName) => {
    const creds = () => readFileSync(folder.credsFile(identity), 'utf8');
    const made = buses.get(identity) ?? connectBus({ servers: url, creds, identity, name: identity });
    buses.set(identity, made);
    return made;
  };
  const reader = new CommitReader({ verifier: commitVerifier(readTrust(folder)) });
  const signerOf = (identity: IdentityName) =>
    commitSigner(identity, JSON.parse(readFileSync(folder.signingKeyFile(identity), 'utf8')) as SigningPrivateJwk);
  const own = tenantId ?? newId('tenant');
  const session = await openSession(folder, { natsUrl: url, publicUrl: 'http://spec', tenantId: own });
  const { actor, correlationId } = session;
  if (tenantId === undefined) {
    const ref = { tenantId: own, id: own };
    await session
      .repository(tenantEvolver)
      .execute(ref, (s) => createTenant({ name: 'spec' }, s), { actor, correlationId });
    const administrator = { tenantId: own, id: newId('administrator') };
    await session
      .repository(administratorEvolver)
      .execute(administrator, (s) => createAdministrator({ label: 'spec' }, s), { actor, correlationId });
  }
  const connectionsOf = async (identity: IdentityName) =>
    new Repository<Connection, AnyEvent>({
      log: new JetStreamEventLog({ bus: await busOf(identity), stream: 'connections' }),
      evolver: connectionEvolver as never,
      reader,
      signer: signerOf(identity),
      source: '/spec',
      upcast,
    });
  let writer: AccessGroupWriter | undefined;
  return {
    folder,
    natsUrl: url,
    session,
    tenantId: own,
    busOf,
    connectionsOf,
    connect: async (of = own, at) => await authorized(await connectionsOf('authorization'), of, at),
    lease: async (connectionId) => {
      writer ??= new AccessGroupWriter({
        bus: await busOf('vault'),
        signer: signerOf('vault'),
        writer: newId('correlation'),
      });
      const record = leaseRecord(own, connectionId);
      await writer.record(record);
      return record;
    },
    checkpoint: async () => {
      const bus = await busOf('audit');
      const { log: trust } = readTrust(folder);
      if (trust === undefined) throw new Error('the house signs no checkpoints');
      const key = JSON.parse(readFileSync(folder.checkpointKeyFile, 'utf8')) as SigningPrivateJwk;
      const checkpoints = new JetStreamEventLog({ bus, stream: 'checkpoints' });
      const notes: [ProvenStream, string][] = [];
      for (const stream of provenStreams) {
        const log = new JetStreamEventLog({ bus, stream });
        const { newest, findings } = await new CheckpointKeeper({
          stream,
          log,
          checkpoints,
          trust,
          keys: [key],
        }).round();
        expect(findings).toEqual([]);
        notes.push([stream, newest?.note ?? '']);
      }
      return Object.fromEntries(notes) as Record<ProvenStream, string>;
    },
    workOff: async () => {
      const manager = await jetstreamManager((await busOf('provisioner')).connection, { checkAPI: false });
      const { state } = await manager.streams.info(streams.connections.name);
      const durable = Object.values(consumers).filter(({ stream }) => stream === streams.connections.name);
      for (const { stream, name, deliverPolicy } of durable) {
        if (deliverPolicy === 'all') await manager.consumers.reset(stream, name, state.last_seq + 1);
        else await acknowledgeAll(await busOf('refresh'), stream, name);
      }
    },
    stop: async () => {
      await session.close();
      for (const bus of buses.values()) await (await bus).close();
      await kept.stop();
    },
  };
}

async function acknowledgeAll(bus: Bus, stream: string, name: string): Promise<void> {
  const consumer = await jetstream(bus.connection).consumers.get(stream, name);
  while ((await consumer.info()).num_pending > 0) {
    for await (const message of await consumer.fetch({ max_messages: 100, expires: 1_000 })) await message.ackAck();
  }
}

async function authorized(
  connections: Repository<Connection, AnyEvent>,
  tenantId: string,
  at: ProviderFile = { providerId: 'acme' },
): Promise<AggregateRef> {
  const ref = { tenantId, id: newId('connection') };
  const sessionId = newId('session');
  const nowMs = Date.now();
  const started = {
    sessionId,
    purpose: 'connect' as const,
    platformId: newId('platform'),
    ...at,
    registrationId: newId('registration'),
    endUserDigest: 'digest',
    requestedScopes: ['read'],
    returnUrl: 'https://platform.example/back',
    expiresAtMs: nowMs + 600_000,
    nowMs,
  };
  const completed = {
    sessionId,
    endUserDigest: 'digest',
    credentialVersion: 1,
    grantedScopes: ['read'],
    accessTokenExpiresAtMs: null,
    hasRefreshToken: true,
    accountDigest: null,
    nowMs,
  };
  const steps: ((state: Connection) => readonly AnyEvent[])[] = [
    (state) => startAuthorization(started, state),
    (state) => startCodeExchange({ sessionId, nowMs }, state),
    (state) => completeAuthorization(completed, state),
  ];
  for (const step of steps) await connections.execute(ref, step, { ...sources, correlationId: newId('correlation') });
  return ref;
}

const leaseRecord = (tenantId: string, connectionId: string): AccessRecord => ({
  leaseId: newId('lease'),
  at: timestampOf(Date.now()),
  tenantId,
  platformId: newId('platform'),
  agentId: newId('agent'),
  connectionId,
  purpose: 'spec',
  scopes: null,
  outcome: 'granted',
  code: null,
  credentialVersion: 1,
  position: 1,
  correlationId: newId('correlation'),
});
