import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  administratorToken,
  consumers,
  newId,
  streams,
  timestampOf,
  type AccessRecord,
  type AggregateKind,
  type IdentityName,
  type Operation,
  type ReplyOf,
  type TrustBundle,
} from '@postern/contracts';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { generateSigningKey } from '@postern/crypto';
import * as domain from '@postern/domain';
import {
  CommitReader,
  commitSigner,
  commitVerifier,
  Repository,
  StreamArchive,
  type AnyEvent,
  type DecideContext,
  type Evolver,
} from '@postern/event-log';
import {
  AccessGroupWriter,
  callOperation,
  connectBus,
  createOperator,
  identityCreds,
  openEpoch,
  JetStreamEventLog,
  provision,
  serverOperatorConfig,
  type Bus,
  dropBeginning,
  type RequestInput,
} from '@postern/nats';
import { startNatsServer, temporaryDataDir, type NatsServer } from '@postern/servers';
import { startService, type RunningService } from '@postern/service';

import { auditService } from '../index.ts';

const writers = ['administrator', 'authorization', 'refresh', 'revocation', 'vault'] as const;
type Writer = (typeof writers)[number];

interface Parts {
  readonly folder: string;
  readonly server: NatsServer;
  readonly buses: Readonly<Record<Writer | 'refresh' | 'gateway' | 'audit' | 'provisioner', Bus>>;
  readonly auditCreds: string;
  readonly keys: Readonly<Record<Writer, ReturnType<typeof generateSigningKey>>>;
}

/** A past to ask about: a real bus, a real `audit`, and whoever writes the log. */
export class SpecPast {
  readonly tenantId = newId('tenant');
  readonly #folder: string;
  readonly #server: NatsServer;
  readonly #auditCreds: string;
  readonly #buses: Parts['buses'];
  readonly #keys: Parts['keys'];
  readonly #trust: TrustBundle;
  readonly #access: AccessGroupWriter;
  #audit: RunningService | undefined;

  private constructor(parts: Parts) {
    this.#folder = parts.folder;
    this.#server = parts.server;
    this.#auditCreds = parts.auditCreds;
    this.#buses = parts.buses;
    this.#keys = parts.keys;
    const trusted = writers.map((name) => [name, [this.#keys[name].publicJwk]] as const);
    this.#trust = { writers: Object.fromEntries(trusted), recipients: {} };
    const signer = commitSigner('vault', this.#keys.vault.privateJwk);
    this.#access = new AccessGroupWriter({ bus: this.#buses.vault, signer, writer: newId('correlation') });
  }

  static async start(): Promise<SpecPast> {
    const folder = temporaryDataDir();
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle), extra: 'authorization { timeout: 30 }' };
    const server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    const as = async (identity: IdentityName) => {
      const creds = await identityCreds(bundle, identity);
      return await connectBus({ servers: server.url, creds, identity, name: identity, connectTimeoutMs: 60_000 });
    };
    const names = [...writers, 'gateway', 'audit', 'provisioner'] as const;
    const buses = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await as(name)])));
    const keys = Object.fromEntries(writers.map((name) => [name, generateSigningKey()]));
    const auditCreds = await identityCreds(bundle, 'audit');
    const past = new SpecPast({ folder, server, buses, keys, auditCreds } as Parts);
    await provision(past.#buses.provisioner);
    await past.startAudit();
    return past;
  }

  get archiveDir(): string {
    return join(this.#folder, 'archive');
  }

  /** Where its audit keeps snapshots. */
  get snapshotDir(): string {
    return join(this.#folder, 'snapshots');
  }

  /** @param archiveDir where it is told that archives are; null for an audit that is told of none. */
  async restartAudit(
    archiveDir: string | null = this.archiveDir,
    more: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    await this.#audit?.stop();
    await this.startAudit(archiveDir, more);
  }

  /** What `/metrics` tells. */
  async metrics(): Promise<string> {
    return await (await fetch(`${this.#audit?.httpUrl}/metrics`)).text();
  }

  async startAudit(
    archiveDir: string | null = this.archiveDir,
    more: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const file = (name: string, content: string) => {
      const path = join(this.#folder, name);
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    this.#audit = await startService(auditService, {
      POSTERN_NATS_URL: this.#server.url,
      POSTERN_NATS_CREDS_FILE: file('audit.creds', this.#auditCreds),
      ...(archiveDir !== null && { POSTERN_ARCHIVE_DIR: archiveDir }),
      ...{ POSTERN_SNAPSHOT_DIR: this.snapshotDir, POSTERN_SNAPSHOT_POSITIONS: '4' },
      POSTERN_TRUST_FILE: file('trust.json', JSON.stringify(this.#trust)),
      POSTERN_LOG_LEVEL: 'fatal',
      ...more,
    });
  }

  async stop(): Promise<void> {
    await this.#audit?.stop();
    for (const bus of Object.values(this.#buses)) await bus.close();
    await this.#server.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Asks as an administrator of the tenant, or through the gateway as a platform. */
  async ask<O extends Operation>(operation: O, request: RequestInput<O>, platformId?: string): Promise<ReplyOf<O>> {
    const bus = platformId === undefined ? this.#buses.administrator : this.#buses.gateway;
    const caller = { tenantId: this.tenantId, platformId: platformId ?? administratorToken };
    return await callOperation(bus, operation, caller, request, { timeoutMs: 30_000 });
  }

  /** Asks as an administrator of another tenant. */
  async askAs<O extends Operation>(tenantId: string, operation: O, request: RequestInput<O>): Promise<ReplyOf<O>> {
    return await callOperation(
      this.#buses.administrator,
      operation,
      { tenantId, platformId: administratorToken },
      request,
    );
  }

  async administer<State, Event extends AnyEvent>(
    evolver: Evolver<State, Event>,
    id: string,
    decide: (state: State) => readonly Event[],
    tenantId = this.tenantId,
  ): Promise<void> {
    await this.#decide('administrator', { evolver, ref: { tenantId, id } }, decide);
  }

  /** Somebody connects, under these scopes. */
  async connect({ platformId, registrationId, scopes }: Connecting): Promise<string> {
    const id = newId('connection');
    const sessionId = newId('session');
    const nowMs = Date.now();
    const digest = { endUserDigest: 'digest', nowMs };
    await this.decide('authorization', id, (state) =>
      domain.startAuthorization(
        {
          ...{ sessionId, purpose: 'connect', platformId, providerId: 'acme', registrationId, ...digest },
          ...{ requestedScopes: scopes, returnUrl: 'https://platform.example/back', expiresAtMs: nowMs + 600_000 },
        },
        state,
      ),
    );
    await this.decide('authorization', id, (state) => domain.startCodeExchange({ sessionId, nowMs }, state));
    await this.decide('authorization', id, (state) =>
      domain.completeAuthorization(
        {
          ...{ sessionId, ...digest, credentialVersion: 1, grantedScopes: scopes, accountDigest: null },
          ...{ accessTokenExpiresAtMs: nowMs + 3_600_000, hasRefreshToken: true },
        },
        state,
      ),
    );
    return id;
  }

  /** Appends what is decided about a connection. */
  async decide(
    writer: Exclude<Writer, 'administrator'>,
    id: string,
    decide: (state: domain.Connection) => ReturnType<typeof domain.suspendConnection>,
  ): Promise<void> {
    await this.#decide(writer, { evolver: domain.connectionEvolver, ref: { tenantId: this.tenantId, id } }, decide);
  }

  /** Where CONNECTIONS ends. */
  async head(): Promise<number> {
    return await this.#log('connections').head();
  }

  /** Moves connections to a second epoch, archives what stands before it, and drops it, as `postern epochs` does. */
  async cut(connections: readonly string[]): Promise<void> {
    await this.archive(await this.close(connections));
  }

  /** Opens a second epoch and moves connections there. @returns what may be archived. */
  async close(connections: readonly string[]): Promise<Record<'connections' | 'access', number>> {
    await openEpoch(this.#buses.provisioner, 'connections');
    const upTo = { connections: await this.head(), access: await this.#log('access').head() };
    for (const id of connections) {
      await this.#decide(
        'refresh',
        { evolver: domain.connectionEvolver, ref: { tenantId: this.tenantId, id } },
        (state, { loaded: { revision, hash } }) =>
          domain.moveToEpoch({ epoch: 1, nextEpoch: 2, revision, hash: hash ?? '' }, state),
      );
    }
    return upTo;
  }

  /** Archives up to positions, and drops that. */
  async archive(upTo: Readonly<Record<'connections' | 'access', number>>): Promise<void> {
    await this.#workOff();
    for (const stream of ['connections', 'access'] as const) {
      const [log, to] = [this.#log(stream), upTo[stream]];
      const messages = log.read({ filter: '>', untilPosition: to });
      await new StreamArchive(this.archiveDir, stream).write(messages, { to, checkpoint: 'spec' });
      await dropBeginning(this.#buses.provisioner, stream, { upTo: to, verifiedUpTo: await log.head() });
    }
  }

  /** As if the other services had worked off what stands in CONNECTIONS. */
  async #workOff(): Promise<void> {
    const { connection } = this.#buses.provisioner;
    const manager = await jetstreamManager(connection, { checkAPI: false });
    const behind = (await this.head()) + 1;
    const durable = Object.values(consumers).filter(({ stream }) => stream === streams.connections.name);
    for (const { stream, name, deliverPolicy } of durable) {
      if (deliverPolicy === 'all') await manager.consumers.reset(stream, name, behind);
      else await acknowledgeAll(this.#buses.refresh, stream, name);
    }
  }

  #log(stream: 'connections' | 'access'): JetStreamEventLog {
    return new JetStreamEventLog({ bus: this.#buses.audit, stream });
  }

  /** Records uses as the vault does: in one group, where they are several. */
  async record(...uses: readonly Use[]): Promise<void> {
    const position = await this.head();
    const records = uses.map((use): AccessRecord => {
      const refused = use.code !== undefined && use.code !== null;
      return {
        ...{ leaseId: newId('lease'), at: timestampOf(Date.now()), tenantId: this.tenantId, purpose: 'spec' },
        ...{ scopes: null, outcome: refused ? 'refused' : 'granted', code: null, position },
        ...{ credentialVersion: refused ? null : 1, correlationId: newId('correlation'), ...use },
      };
    });
    await Promise.all(records.map((record) => this.#access.record(record)));
  }

  /** Writes onto ACCESS without the vault's key. */
  async forge(text: string): Promise<void> {
    await this.#buses.vault.connection.request('access.vault.forger', text, { timeout: 10_000 });
  }

  async #decide<State, Event extends AnyEvent>(
    writer: Writer,
    { evolver, ref }: { evolver: Evolver<State, Event>; ref: { tenantId: string; id: string } },
    decide: (state: State, context: DecideContext<State>) => readonly Event[],
  ): Promise<void> {
    const stream = (evolver.kind satisfies AggregateKind) === 'connection' ? 'connections' : 'admin';
    const repository = new Repository({
      log: new JetStreamEventLog({ bus: this.#buses[writer], stream }),
      evolver,
      reader: new CommitReader({ verifier: commitVerifier(this.#trust) }),
      signer: commitSigner(writer, this.#keys[writer].privateJwk),
      source: '/spec',
      upcast: domain.upcast,
    });
    await repository.execute(ref, decide, {
      actor: { type: 'service', id: 'spec' },
      correlationId: newId('correlation'),
    });
  }
}

async function acknowledgeAll({ connection }: Bus, stream: string, name: string): Promise<void> {
  const consumer = await jetstream(connection).consumers.get(stream, name);
  while ((await consumer.info()).num_pending > 0) {
    for await (const message of await consumer.fetch({ max_messages: 100, expires: 1_000 })) await message.ackAck();
  }
}

type Use = Partial<AccessRecord> & Pick<AccessRecord, 'connectionId' | 'platformId' | 'agentId'>;

export interface Connecting {
  readonly platformId: string;
  readonly registrationId: string;
  readonly scopes: string[];
}
