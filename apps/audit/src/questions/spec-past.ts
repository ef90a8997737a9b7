import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  administratorToken,
  newId,
  timestampOf,
  type AccessRecord,
  type AggregateKind,
  type IdentityName,
  type Operation,
  type ReplyOf,
  type TrustBundle,
} from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';
import * as domain from '@postern/domain';
import {
  CommitReader,
  commitSigner,
  commitVerifier,
  Repository,
  type AnyEvent,
  type Evolver,
} from '@postern/event-log';
import {
  AccessGroupWriter,
  callOperation,
  connectBus,
  createOperator,
  identityCreds,
  JetStreamEventLog,
  provision,
  serverOperatorConfig,
  type Bus,
  type RequestInput,
} from '@postern/nats';
import { startNatsServer, temporaryDataDir, type NatsServer } from '@postern/servers';
import { startService, type RunningService } from '@postern/service';

import { auditService } from '../index.ts';

const writers = ['administrator', 'authorization', 'revocation', 'vault'] as const;
type Writer = (typeof writers)[number];

interface Parts {
  readonly folder: string;
  readonly server: NatsServer;
  readonly buses: Readonly<Record<Writer | 'gateway' | 'audit', Bus>>;
  readonly keys: Readonly<Record<Writer, ReturnType<typeof generateSigningKey>>>;
}

/** A past to ask about: a real bus, a real `audit`, and whoever writes the log. */
export class SpecPast {
  readonly tenantId = newId('tenant');
  readonly #folder: string;
  readonly #server: NatsServer;
  readonly #buses: Parts['buses'];
  readonly #keys: Parts['keys'];
  readonly #trust: TrustBundle;
  readonly #access: AccessGroupWriter;
  #audit: RunningService | undefined;

  private constructor(parts: Parts) {
    this.#folder = parts.folder;
    this.#server = parts.server;
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
    const provisioner = await as('provisioner');
    await provision(provisioner);
    await provisioner.close();
    const names = [...writers, 'gateway', 'audit'] as const;
    const buses = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await as(name)])));
    const keys = Object.fromEntries(writers.map((name) => [name, generateSigningKey()]));
    const past = new SpecPast({ folder, server, buses, keys } as Parts);
    await past.#startAudit(await identityCreds(bundle, 'audit'));
    return past;
  }

  async #startAudit(creds: string): Promise<void> {
    const file = (name: string, content: string) => {
      const path = join(this.#folder, name);
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    this.#audit = await startService(auditService, {
      POSTERN_NATS_URL: this.#server.url,
      POSTERN_NATS_CREDS_FILE: file('audit.creds', creds),
      POSTERN_TRUST_FILE: file('trust.json', JSON.stringify(this.#trust)),
      POSTERN_LOG_LEVEL: 'fatal',
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
    return await new JetStreamEventLog({ bus: this.#buses.audit, stream: 'connections' }).head();
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
    decide: (state: State) => readonly Event[],
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

type Use = Partial<AccessRecord> & Pick<AccessRecord, 'connectionId' | 'platformId' | 'agentId'>;

export interface Connecting {
  readonly platformId: string;
  readonly registrationId: string;
  readonly scopes: string[];
}
