import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { MikroORM, type EntityManager } from '@mikro-orm/postgresql';
import {
  accessSignatureContext,
  administratorToken,
  appNames,
  commitHeaders,
  consumers,
  newId,
  Notification,
  subjects,
  timestampOf,
  type AccessRecord,
  type Commit,
  type ConnectionEvent,
  type IdentityName,
  type Operation,
  type ReplyOf,
  type TrustBundle,
} from '@postern/contracts';
import { generateSigningKey, signedMessage } from '@postern/crypto';
import { connectionEvolver, createTenant, tenantEvolver, type Connection } from '@postern/domain';
import {
  CommitReader,
  commitSigner,
  commitVerifier,
  encodeCommit,
  Repository,
  StreamArchive,
} from '@postern/event-log';
import {
  callOperation,
  connectBus,
  createOperator,
  dropBeginning,
  identityCreds,
  JetStreamEventLog,
  provision,
  publishMessage,
  serverOperatorConfig,
  type Bus,
  type RequestInput,
} from '@postern/nats';
import { migrateDatabase, tenantSetting } from '@postern/persistence';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import { startService, type RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';
import { jetstreamManager } from '@nats-io/jetstream';

import { auditGrants, auditMigrations, auditSchema, auditService } from '../index.ts';

const servicePassword = 'the-password-of-audit-in-specs';
const identities = [...appNames, 'administrator'] as const;
type Writer = (typeof identities)[number];

/** An event of a connection, of its newest version. */
export const event = <T extends ConnectionEvent['type']>(
  type: T,
  data: Extract<ConnectionEvent, { type: T }>['data'],
): ConnectionEvent => ({ type, version: type === 'ConnectionRevoked' ? 2 : 1, data }) as ConnectionEvent;

/** A connection as whoever writes its commits knows it. */
export class WrittenConnection {
  readonly id = newId('connection');
  state: Connection = connectionEvolver.initialState;
  revision = 0;
  hash: string | null = null;

  constructor(
    readonly tenantId: string,
    readonly platformId: string,
    readonly providerId = 'acme',
  ) {}
}

/** Real servers, `audit` on tables of its own, and the hand of every other writer. */
export class ModelsWorld {
  readonly #folder = temporaryDataDir('postern-models-');
  readonly #keys = Object.fromEntries(identities.map((name) => [name, generateSigningKey()])) as Record<
    Writer,
    ReturnType<typeof generateSigningKey>
  >;
  readonly trust: TrustBundle = {
    writers: Object.fromEntries(identities.map((name) => [name, [this.#keys[name].publicJwk]])),
    recipients: {},
  };
  readonly #buses = new Map<IdentityName, Bus>();
  nats!: NatsServer;
  postgres!: Postgres;
  /** As the service's own role, which may do everything to its rows: what stops it is the wall. */
  #tables!: MikroORM;
  #creds!: (identity: IdentityName) => Promise<string>;

  static async open(): Promise<ModelsWorld> {
    const world = new ModelsWorld();
    try {
      await world.#open();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  async #open(): Promise<void> {
    const bundle = await createOperator();
    this.#creds = (identity) => identityCreds(bundle, identity);
    const config = { operatorMode: serverOperatorConfig(bundle), extra: 'authorization { timeout: 30 }' };
    [this.nats, this.postgres] = await Promise.all([
      startNatsServer({ dataDir: join(this.#folder, 'nats'), config }),
      startPostgres({ dataDir: join(this.#folder, 'postgres') }),
    ]);
    await provision(await this.bus('provisioner'));
    await this.postgres.createDatabase('models');
    const ownerUrl = this.postgres.urlOf('models');
    const place = { ownerUrl, schema: auditSchema, migrations: auditMigrations, grants: auditGrants };
    await migrateDatabase({ ...place, serviceRole: 'audit_models', servicePassword });
    this.#tables = new MikroORM({
      clientUrl: this.databaseUrl,
      entities: [],
      discovery: { warnWhenNoEntities: false },
    });
    mkdirSync(join(this.#folder, 'keys'));
    for (const [name, content] of Object.entries({
      'audit.creds': await this.#creds('audit'),
      'trust.json': JSON.stringify(this.trust),
      'database-url': this.databaseUrl,
    })) {
      writeFileSync(this.#file(name), content, { mode: 0o600 });
    }
  }

  async close(): Promise<void> {
    for (const bus of this.#buses.values()) await bus.close();
    await this.#tables?.close(true);
    await this.nats?.stop();
    await this.postgres?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  readonly #file = (name: string) => join(this.#folder, 'keys', name);

  get databaseUrl(): string {
    const url = new URL(this.postgres.urlOf('models'));
    return Object.assign(url, { username: 'audit_models', password: servicePassword }).href;
  }

  get archiveDir(): string {
    return join(this.#folder, 'archive');
  }

  startAudit(more: Readonly<Record<string, string>> = {}): Promise<RunningService> {
    return startService(
      auditService,
      {
        POSTERN_NATS_URL: this.nats.url,
        POSTERN_NATS_CREDS_FILE: this.#file('audit.creds'),
        POSTERN_TRUST_FILE: this.#file('trust.json'),
        POSTERN_DATABASE_URL_FILE: this.#file('database-url'),
        POSTERN_ARCHIVE_DIR: this.archiveDir,
        POSTERN_LOG_LEVEL: 'fatal',
        ...more,
      },
      { checkReplies: true },
    );
  }

  async bus(identity: IdentityName): Promise<Bus> {
    const known = this.#buses.get(identity);
    if (known !== undefined) return known;
    const creds = await this.#creds(identity);
    const bus = await connectBus({ servers: this.nats.url, creds, identity, name: identity });
    this.#buses.set(identity, bus);
    return bus;
  }

  reader(): CommitReader {
    return new CommitReader({ verifier: commitVerifier(this.trust) });
  }

  async addTenant(): Promise<string> {
    const repository = new Repository({
      log: new JetStreamEventLog({ bus: await this.bus('administrator'), stream: 'admin' }),
      evolver: tenantEvolver,
      reader: this.reader(),
      signer: commitSigner('administrator', this.#keys.administrator.privateJwk),
      source: '/spec',
    });
    const id = newId('tenant');
    const origin = { actor: { type: 'administrator' }, correlationId: newId('correlation') } as const;
    await repository.execute({ tenantId: id, id }, (state) => createTenant({ name: 'spec' }, state), origin);
    return id;
  }

  /** Appends one decision. With `lost` it is decided and folded, but never reaches the log. */
  async commit(
    connection: WrittenConnection,
    writer: Writer,
    events: readonly ConnectionEvent[],
    { atMs = Date.now(), lost = false }: { readonly atMs?: number; readonly lost?: boolean } = {},
  ): Promise<number> {
    const { tenantId, id: aggregateId } = connection;
    const actor = { type: 'service', id: writer } as const;
    const meta = { tenantId, aggregateId, atMs, actor };
    const state = events.reduce((before, one) => connectionEvolver.evolve(before, one, meta), connection.state);
    const commit: Commit = {
      ...{
        commitId: newId('commit'),
        tenantId,
        aggregate: 'connection',
        aggregateId,
        revision: connection.revision + 1,
      },
      ...{ at: timestampOf(atMs), actor, causationId: null, correlationId: newId('correlation') },
      events: [...events] as Commit['events'],
      ...{ stateVersion: connectionEvolver.stateVersion, state, previousHash: connection.hash },
    };
    const signer = commitSigner(writer, this.#keys[writer].privateJwk);
    const { subject, payload, headers, messageId, hash } = await encodeCommit(commit, { signer, source: '/spec' });
    Object.assign(connection, { state, hash, revision: commit.revision });
    if (lost) return 0;
    return await this.#publish('CONNECTIONS', { subject, payload, headers, messageId });
  }

  /** An authorized connection; its token lives an hour from then. */
  async authorize(connection: WrittenConnection, atMs = Date.now()): Promise<void> {
    const sessionId = newId('session');
    const { platformId, providerId } = connection;
    const started = event('AuthorizationStarted', {
      ...{ sessionId, purpose: 'connect', platformId, providerId, registrationId: newId('registration') },
      ...{ endUserDigest: 'd', requestedScopes: ['read'], returnUrl: 'https://p.example', expiresAtMs: atMs + 600_000 },
    });
    await this.commit(connection, 'authorization', [started], { atMs });
    const exchange = event('CodeExchangeStarted', { sessionId });
    const granted = event('ConnectionAuthorized', {
      ...{ sessionId, credentialVersion: 1, grantedScopes: ['read'], accessTokenExpiresAtMs: atMs + 3_600_000 },
      ...{ hasRefreshToken: true, accountDigest: null },
    });
    await this.commit(connection, 'authorization', [exchange, granted], { atMs });
  }

  /** A group of leases of one writer, as the vault records them. */
  async record(writer: string, sequence: number, records: readonly Partial<AccessRecord>[]): Promise<number> {
    const subject = subjects.access({ service: 'vault', writer });
    const whole = records.map((record) => ({
      ...{ leaseId: newId('lease'), at: timestampOf(Date.now()), platformId: 'p', agentId: 'a', purpose: 'spec' },
      ...{ scopes: null, outcome: 'granted', code: null, credentialVersion: 1, position: 1, correlationId: 'c' },
      ...record,
    }));
    const payload = Buffer.from(JSON.stringify({ writer, sequence, records: whole }));
    const signer = commitSigner('vault', this.#keys.vault.privateJwk);
    const signature = signer.sign(signedMessage(accessSignatureContext, subject, payload));
    const headers = { [commitHeaders.key]: signer.keyId, [commitHeaders.signature]: signature };
    const bus = await this.bus('vault');
    const message = { stream: 'ACCESS', subject, payload, headers, messageId: `${writer}.${sequence}` };
    return (await publishMessage(bus, message)).position;
  }

  /** Archives all that ACCESS holds by now, and drops it. */
  async dropAccess(): Promise<void> {
    const log = new JetStreamEventLog({ bus: await this.bus('audit'), stream: 'access' });
    const to = await log.head();
    const messages = log.read({ filter: subjects.allAccess, untilPosition: to });
    await new StreamArchive(this.archiveDir, 'access').write(messages, { to, checkpoint: 'spec' });
    await dropBeginning(await this.bus('provisioner'), 'access', { upTo: to, verifiedUpTo: to });
  }

  /** What owners of a tenant were told, in order. */
  async heard(tenantId: string): Promise<Notification[]> {
    const log = new JetStreamEventLog({ bus: await this.bus('notifier'), stream: 'notifications' });
    const heard: Notification[] = [];
    for (let position = 1; ; position += 1) {
      const message = await log.at(position);
      if (message === undefined) return heard.filter(({ tenant_id: of }) => of === tenantId);
      heard.push(Notification.parse(JSON.parse(Buffer.from(message.payload).toString('utf8'))));
    }
  }

  /** Delivers every decision again to whoever tells owners. @returns once it has worked them off. */
  async tellAgain(): Promise<void> {
    const { stream, name } = consumers.ownerNotices;
    const manager = await jetstreamManager((await this.bus('provisioner')).connection, { checkAPI: false });
    await manager.consumers.reset(stream, name, 1);
    const isDone = async () => {
      const { num_pending: pending, num_ack_pending: unacknowledged } = await manager.consumers.info(stream, name);
      return pending === 0 && unacknowledged === 0;
    };
    await waitFor(isDone, { timeoutMs: 60_000, describe: 'what is delivered again to be worked off' });
  }

  /** A message that nobody has signed. */
  async forge(connection: WrittenConnection): Promise<number> {
    const subject = subjects.connection({ tenantId: connection.tenantId, connectionId: connection.id });
    return await this.#publish('CONNECTIONS', {
      subject,
      payload: Buffer.from('{}'),
      headers: {},
      messageId: newId('commit'),
    });
  }

  async ask<O extends Operation>(
    operation: O,
    request: RequestInput<O>,
    as?: { tenantId: string; platformId?: string },
  ) {
    const { tenantId, platformId = administratorToken } = as ?? {};
    const bus = await this.bus(platformId === administratorToken ? 'administrator' : 'gateway');
    const caller = tenantId === undefined ? ({ app: 'administrator' } as const) : { tenantId, platformId };
    return (await callOperation(bus, operation, caller, request, { timeoutMs: 120_000 })) as ReplyOf<O>;
  }

  /** Behind one tenant's wall, or behind none. */
  async query(sql: string, tenantId = ''): Promise<Record<string, unknown>[]> {
    return await this.within(tenantId, (em) => em.execute<Record<string, unknown>[]>(sql));
  }

  async within<T>(tenantId: string, work: (em: EntityManager) => Promise<T>): Promise<T> {
    return await (this.#tables.em.fork() as EntityManager).transactional(async (em) => {
      await em.execute('select set_config(?, ?, true)', [tenantSetting, tenantId]);
      return await work(em);
    });
  }

  async #publish(
    stream: string,
    message: { subject: string; payload: Uint8Array; headers: Readonly<Record<string, string>>; messageId: string },
  ): Promise<number> {
    return (await publishMessage(await this.bus('refresh'), { stream, ...message })).position;
  }
}
