import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { consumers, operations, subjects, type IdentityName } from '@postern/contracts';
import { connectionEvolver, type Connection } from '@postern/domain';
import { connectBus, publishMessage, type Bus } from '@postern/nats';
import { childProcess, freePort, temporaryDataDir, type ManagedProcess } from '@postern/servers';
import { startAcmeProcess, waitFor, type AcmeProcess, type AcmeTokenCall } from '@postern/testing';

import { ensureKeys } from '../data-folder/keys.ts';
import { identityTtlMs } from '../data-folder/operator.ts';
import { dataFolder, type DataFolder } from '../data-folder/paths.ts';
import { openSession, type Session } from '../session/session.ts';
import { ensureFirstTenant } from '../up/first-tenant.ts';
import { startBus } from '../up/start-bus.ts';
import { startDatabase } from '../up/start-database.ts';
import { serviceEnvironment } from '../up/service-environment.ts';
import { isReady } from '../up/start-service.ts';
import { CrashConnections, type CrashConnection } from './crash-connections.ts';

const publicUrl = 'https://postern.example';
/** On a machine with other things to do. */
const patienceMs = 120_000;
const accessTokenTtlS = 3_600;
const command = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
const shotsModule = new URL('./crash-shots.ts', import.meta.url).href;

/** An event as it stands in the log. */
export interface LoggedEvent {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly commitId: string;
  readonly atMs: number;
}

/** Servers and a vault, without `refresh`, and Acme with a client of each reuse rule: real, as in production. */
export class CrashWorld {
  readonly #closers: (() => Promise<unknown> | void)[] = [];
  readonly #buses = new Map<IdentityName, Promise<Bus>>();
  #folder!: DataFolder;
  #session!: Session;
  #natsUrl = '';
  #tenantId = '';
  #shots = '';
  #started = 0;
  acme!: AcmeProcess;
  connections!: CrashConnections;
  /** As in production; more may be started beside it. */
  vault!: ManagedProcess;

  static async open(): Promise<CrashWorld> {
    const world = new CrashWorld();
    try {
      await world.#open();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close();
  }

  atEnd(close: () => Promise<unknown>): void {
    this.#closers.push(close);
  }

  async #open(): Promise<void> {
    process.env['POSTERN_ALLOW_LOOPBACK_PROVIDERS'] = 'true';
    const root = temporaryDataDir('postern-crash-');
    this.#closers.push(() => rmSync(root, { recursive: true, force: true }));
    this.#folder = await dataFolder(join(root, 'data'));
    mkdirSync(this.#folder.root, { recursive: true, mode: 0o711 });
    chmodSync(this.#folder.root, 0o711);
    this.#shots = join(root, 'shots');
    mkdirSync(this.#shots);
    await ensureKeys(this.#folder, 'local');
    const onProblem = () => undefined;
    await Promise.all([
      startAcmeProcess({ accessTokenTtlS }).then((acme) => {
        this.acme = acme;
        this.#closers.push(() => acme.close());
      }),
      startDatabase(this.#folder, onProblem).then(({ kept }) => this.#closers.push(() => kept.stop())),
      startBus(this.#folder, { identityTtlMs, onProblem }).then(({ url, kept }) => {
        this.#natsUrl = url;
        this.#closers.push(() => kept.stop());
      }),
    ]);
    const place = { natsUrl: this.#natsUrl, publicUrl, keyServerUrl: undefined };
    this.#tenantId = await ensureFirstTenant(this.#folder, place);
    this.vault = await this.start('vault', { preloaded: false });
    this.#session = await openSession(this.#folder, { ...place, tenantId: this.#tenantId });
    this.#closers.push(() => this.#session.close());
    const bus = await this.#bus('authorization');
    this.connections = await CrashConnections.open({ session: this.#session, acme: this.acme, bus });
  }

  /** From now on the first process that passes this point with this connection is killed, or stopped, there. */
  arm(
    { connectionId }: Pick<CrashConnection, 'connectionId'>,
    point: string,
    signal: 'SIGKILL' | 'SIGSTOP' = 'SIGKILL',
  ): void {
    writeFileSync(join(this.#shots, connectionId), `${point}\n${signal}`);
  }

  /** Is nobody left to be hit by it? */
  isFired({ connectionId }: CrashConnection): boolean {
    return !existsSync(join(this.#shots, connectionId));
  }

  /** Starts a service that has heard of the shots, or one as in production. */
  async start(
    app: 'authorization' | 'refresh' | 'vault',
    { preloaded, natsUrl = this.#natsUrl }: { preloaded: boolean; natsUrl?: string },
  ): Promise<ManagedProcess> {
    this.#started += 1;
    const name = `${app}-${this.#started}`;
    const httpPort = await freePort();
    const places = { folder: this.#folder, natsUrl, publicUrl, httpPort, keyServerUrl: undefined };
    const env = { ...serviceEnvironment(app, places), POSTERN_INSTANCE_ID: name, SPEC_CRASH_SHOTS: this.#shots };
    mkdirSync(this.#folder.logDir, { recursive: true });
    const logPath = join(this.#folder.logDir, `${name}.log`);
    const preload = preloaded ? ['--import', shotsModule] : [];
    const args = ['--disable-warning=ExperimentalWarning', ...preload, command, 'serve', app];
    const child = childProcess({ name, command: process.execPath, args, env, logPath });
    this.#closers.push(() => child.kill());
    // Ready, it may be hit before anybody has looked.
    let isOver = false;
    void child.exited.then(() => (isOver = true));
    await waitFor(async () => isOver || (await isReady(httpPort)), {
      timeoutMs: patienceMs,
      describe: () => `${name} to be ready: ${readFileSync(logPath, 'utf8').slice(-2_000)}`,
    });
    return child;
  }

  /** As somebody's request does: makes a refresh due. */
  async makeDue({ connectionId }: CrashConnection): Promise<void> {
    await publishMessage(await this.#bus('refresh'), {
      stream: 'REFRESH',
      subject: subjects.refreshDue({ tenantId: this.#tenantId, connectionId }),
      payload: { reason: 'requested', credential_version: 1, position: (await this.#load(connectionId)).position },
    });
  }

  /** Asks for a refresh as the administrator, and waits for its outcome. */
  async refresh({ connectionId }: CrashConnection): Promise<{ version: number } | { code: string }> {
    try {
      const request = { connection_id: connectionId };
      const reply = await this.#session.call(operations.refreshConnection, this.#tenantId, request);
      return { version: reply.credential_version };
    } catch (error) {
      return { code: (error as { code: string }).code };
    }
  }

  async state({ connectionId }: Pick<CrashConnection, 'connectionId'>): Promise<Connection> {
    return (await this.#load(connectionId)).state;
  }

  /** What stands in the log since the authorization. */
  async events({ connectionId }: CrashConnection): Promise<LoggedEvent[]> {
    const events: LoggedEvent[] = [];
    const repository = this.#session.repository(connectionEvolver);
    for await (const { commit } of repository.history({ tenantId: this.#tenantId, id: connectionId })) {
      const { commitId } = commit;
      for (const { type, data } of commit.events) {
        events.push({ type, data: data as LoggedEvent['data'], commitId, atMs: Date.parse(commit.at) });
      }
    }
    const since = events.findIndex(({ type }) => type === 'ConnectionAuthorized') + 1;
    return events.slice(since);
  }

  /** Acme's own record of the calls that spent this connection's refresh tokens, whoever held them. */
  async calls({ firstToken }: CrashConnection): Promise<AcmeTokenCall[]> {
    const family = new Set([firstToken]);
    const calls: AcmeTokenCall[] = [];
    for (const call of (await this.acme.report()).tokenCalls) {
      if (!family.has(call.presentedRefreshToken ?? '')) continue;
      calls.push(call);
      if (call.issuedRefreshToken !== undefined) family.add(call.issuedRefreshToken);
    }
    return calls;
  }

  /** Due messages that wait for a worker or are in one's hands. */
  async workLeft(): Promise<number> {
    const { connection } = await this.#bus('provisioner');
    const { stream, name } = consumers.refreshWorker;
    const answer = await connection.request(`$JS.API.CONSUMER.INFO.${stream}.${name}`);
    const { num_pending: waiting, num_ack_pending: taken } = answer.json<Record<string, number>>();
    return (waiting ?? 0) + (taken ?? 0);
  }

  /** The administrator's own, for what has no word of its own here. */
  get session(): Session {
    return this.#session;
  }

  get natsPort(): number {
    return Number(new URL(this.#natsUrl).port);
  }

  #load(connectionId: string) {
    const repository = this.#session.repository(connectionEvolver);
    return repository.load({ tenantId: this.#tenantId, id: connectionId }, { fromLeader: true });
  }

  #bus(identity: IdentityName): Promise<Bus> {
    const known = this.#buses.get(identity);
    if (known !== undefined) return known;
    const creds = () => readFileSync(this.#folder.credsFile(identity), 'utf8');
    const bus = connectBus({ servers: this.#natsUrl, creds, identity, name: `spec ${identity}` });
    this.#buses.set(identity, bus);
    this.#closers.push(async () => (await bus).close());
    return bus;
  }
}
