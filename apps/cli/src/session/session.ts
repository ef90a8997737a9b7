import { readFileSync } from 'node:fs';

import { newId, type Actor, type Operation, type ReplyOf, administratorToken, limits } from '@postern/contracts';
import type { SigningPrivateJwk } from '@postern/crypto';
import { upcast } from '@postern/domain';
import {
  CommitReader,
  commitSigner,
  commitVerifier,
  Repository,
  withArchive,
  type EventLog,
  type Evolver,
} from '@postern/event-log';
import { callOperation, connectBus, JetStreamEventLog, type Bus } from '@postern/nats';

import type { z } from 'zod';

import { archiveOf } from '../epochs/archive-of.ts';
import { readTrust } from '../data-folder/keys.ts';
import type { DataFolder } from '../data-folder/paths.ts';
import { readSupervisorFile } from './supervisor-file.ts';

const cacheEntriesMax = 1_000;
/** Longer than the longest command on the other side: a refresh waits for its provider. */
const commandTimeoutMs = limits.claimTimeoutMs + limits.requestTimeoutMs;

/** What one run of the command works with: the administrator's own identity on the bus. */
export interface Session {
  readonly folder: DataFolder;
  readonly bus: Bus;
  readonly connections: EventLog;
  /** The same with what was archived of it: for questions about the past. */
  readonly past: Readonly<Record<'connections' | 'admin', EventLog>>;
  readonly admin: EventLog;
  readonly reader: CommitReader;
  readonly natsUrl: string;
  readonly publicUrl: string;
  readonly keyServerUrl: string | undefined;
  readonly defaultTenantId: string;
  readonly actor: Actor;
  readonly correlationId: string;
  repository<State, Event extends { type: string; version: number; data: object }>(
    evolver: Evolver<State, Event>,
  ): Repository<State, Event>;
  /** Asks the service that owns an operation, for a whole tenant. */
  call<O extends Operation>(
    operation: O,
    tenantId: string,
    request: z.input<O['request']>,
    options?: { readonly timeoutMs: number },
  ): Promise<ReplyOf<O>>;
  close(): Promise<void>;
}

export interface SessionPlace {
  readonly natsUrl: string;
  readonly publicUrl: string;
  readonly tenantId: string;
  readonly keyServerUrl?: string | undefined;
}

/** Opens a session on a data folder whose `postern up` runs, or at a place that the caller knows. */
export async function openSession(
  folder: DataFolder,
  place: SessionPlace = readSupervisorFile(folder),
): Promise<Session> {
  const bus = await connectBus({
    servers: place.natsUrl,
    // Asked again at a reconnect: who follows the log for hours outlives a user.
    creds: () => readFileSync(folder.credsFile('administrator'), 'utf8'),
    identity: 'administrator',
    name: 'postern command',
  });
  const key = JSON.parse(readFileSync(folder.signingKeyFile('administrator'), 'utf8')) as SigningPrivateJwk;
  const signer = commitSigner('administrator', key);
  const reader = new CommitReader({ verifier: commitVerifier(readTrust(folder)) });
  const connections = new JetStreamEventLog({ bus, stream: 'connections' });
  const admin = new JetStreamEventLog({ bus, stream: 'admin' });
  const correlationId = newId('correlation');
  return {
    folder,
    bus,
    connections,
    past: { connections: withArchive(connections, await archiveOf(folder, 'connections')), admin },
    admin,
    reader,
    natsUrl: place.natsUrl,
    publicUrl: place.publicUrl,
    keyServerUrl: place.keyServerUrl,
    defaultTenantId: place.tenantId,
    actor: { type: 'administrator' },
    correlationId,
    repository: (evolver) =>
      new Repository({
        log: evolver.kind === 'connection' ? connections : admin,
        evolver,
        reader,
        signer,
        source: '/postern/cli',
        upcast,
        cacheEntriesMax,
      }),
    call: (operation, tenantId, request, { timeoutMs } = { timeoutMs: commandTimeoutMs }) =>
      callOperation(bus, operation, callerFor(operation, tenantId), request, {
        timeoutMs,
        correlationId,
      }),
    close: () => bus.close(),
  };
}

function callerFor(operation: Operation, tenantId: string) {
  return operation.scope === 'service'
    ? ({ app: 'administrator' } as const)
    : { tenantId, platformId: administratorToken };
}
