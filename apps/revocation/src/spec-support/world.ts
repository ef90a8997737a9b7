import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  eventDefinitions,
  newId,
  Signal,
  streams,
  subjects,
  type Actor,
  type AdminEvent,
  type Grant,
  type IdentityName,
  type TrustBundle,
} from '@postern/contracts';

import { generateSealingKey, generateSigningKey } from '@postern/crypto';
import { connectionEvolver, evolverOf, upcast, type Connection } from '@postern/domain';
import {
  CommitReader,
  commitSigner,
  commitVerifier,
  Follower,
  Repository,
  type AnyEvent,
  type CommitSigner,
  type EventLog,
  type LogEntry,
} from '@postern/event-log';
import {
  bridgeCreds,
  connectBus,
  identityCreds,
  JetStreamEventLog,
  platformCreds,
  provision,
  type Bus,
  type OperatorBundle,
} from '@postern/nats';

import type { NamedAccount } from '@postern/provider-catalog';
import { accountDigest, accountKeyDigest, type ProviderAccount } from '@postern/provider-client';

import { the } from './connection-events.ts';

const writers = ['authorization', 'vault', 'revocation', 'administrator'] as const;
type Writer = (typeof writers)[number];

/** A platform of a tenant, both in the log. */
export interface Party {
  readonly tenantId: string;
  readonly platformId: string;
}

export interface ConnectionRef {
  readonly tenantId: string;
  readonly connectionId: string;
}

/** What these specifications start `revocation` in: identities and keys of all, and the hands of the other services. */
export class World {
  readonly env: Record<string, string>;
  readonly trust: TrustBundle;
  readonly vaultRecipient: ReturnType<typeof generateSealingKey>['publicJwk'];
  /** Of the digests of accounts. */
  readonly digestKey = randomBytes(32);
  /** How long ago all that is appended here happened. */
  agoMs = 0;
  readonly #natsUrl: string;
  readonly #bundle: OperatorBundle;
  readonly #signing: Readonly<Record<Writer, ReturnType<typeof generateSigningKey>>>;
  readonly #buses = new Map<string, Promise<Bus>>();

  private constructor(natsUrl: string, bundle: OperatorBundle, folder: string) {
    this.#natsUrl = natsUrl;
    this.#bundle = bundle;
    const keys = writers.map((writer) => [writer, generateSigningKey()] as const);
    this.#signing = Object.fromEntries(keys) as Record<Writer, ReturnType<typeof generateSigningKey>>;
    const sealing = generateSealingKey();
    this.vaultRecipient = sealing.publicJwk;
    this.trust = {
      writers: Object.fromEntries(keys.map(([writer, { publicJwk }]) => [writer, [publicJwk]])),
      recipients: { revocation: sealing.publicJwk },
    };
    const file = (name: string, content: string) => {
      writeFileSync(join(folder, name), content, { mode: 0o600 });
      return join(folder, name);
    };
    this.env = {
      POSTERN_NATS_URL: natsUrl,
      POSTERN_TRUST_FILE: file('trust.json', JSON.stringify(this.trust)),
      POSTERN_SIGNING_KEY_FILE: file('signing.json', JSON.stringify(this.#signing.revocation.privateJwk)),
      POSTERN_SEALING_KEY_FILE: file('sealing.json', JSON.stringify(sealing.privateJwk)),
      POSTERN_DIGEST_KEY_FILE: file('digest', this.digestKey.toString('base64url')),
      // Nobody is there: commands are answered without a database.
      POSTERN_DATABASE_URL_FILE: file('database-url', 'postgresql://nobody:none@127.0.0.1:1/none'),
      POSTERN_ALLOW_LOOPBACK_PROVIDERS: 'true',
      POSTERN_LOG_LEVEL: 'debug',
    };
  }

  /** @effect makes the streams. */
  static async make(natsUrl: string, bundle: OperatorBundle, folder: string): Promise<World> {
    mkdirSync(folder, { recursive: true });
    const world = new World(natsUrl, bundle, folder);
    const creds = join(folder, 'revocation.creds');
    writeFileSync(creds, await identityCreds(bundle, 'revocation'), { mode: 0o600 });
    world.env['POSTERN_NATS_CREDS_FILE'] = creds;
    await provision(await world.bus('provisioner'));
    return world;
  }

  /** The connection of an identity; one for all that it does here. */
  async bus(identity: IdentityName): Promise<Bus> {
    return await this.#connected(identity, async () => await identityCreds(this.#bundle, identity));
  }

  /** The connection of a platform, in the account of the platforms. */
  async platformBus(party: Party): Promise<Bus> {
    return await this.#connected(party.platformId, async () => (await platformCreds(this.#bundle, party)).creds);
  }

  /** The connection of a bridge, in the account of the platforms. */
  async bridgeBus(bridge: { readonly bridgeId: string; readonly registrationIds: readonly string[] }): Promise<Bus> {
    return await this.#connected(bridge.bridgeId, async () => (await bridgeCreds(this.#bundle, bridge)).creds);
  }

  /** From the next start of the service on. */
  useDatabase(url: string): void {
    writeFileSync(this.env['POSTERN_DATABASE_URL_FILE'] ?? '', url, { mode: 0o600 });
  }

  async close(): Promise<void> {
    for (const bus of this.#buses.values()) await (await bus).drain();
  }

  /** A repository with the pen of one service. */
  async connections(writer: Writer): Promise<Repository<Connection, AnyEvent>> {
    const log = new JetStreamEventLog({ bus: await this.bus(writer), stream: 'connections' });
    return this.#repository({ log, signer: this.#signer(writer), evolver: connectionEvolver as never });
  }

  /** Appends one commit about a connection, whatever its state. */
  async happened(writer: Writer, { tenantId, connectionId }: ConnectionRef, events: AnyEvent[]): Promise<number> {
    const connections = await this.connections(writer);
    const actor: Actor = { type: 'service', id: writer };
    const ref = { tenantId, id: connectionId };
    const { position } = await connections.execute(ref, () => events, { actor, correlationId: newId('correlation') });
    return position;
  }

  async stateOf({ tenantId, connectionId }: ConnectionRef): Promise<Connection> {
    const connections = await this.connections('authorization');
    return (await connections.load({ tenantId, id: connectionId }, { fromLeader: true })).state;
  }

  /** The commits of a connection, oldest first. */
  async historyOf({ tenantId, connectionId }: ConnectionRef): Promise<LogEntry[]> {
    const connections = await this.connections('authorization');
    const entries: LogEntry[] = [];
    for await (const entry of connections.history({ tenantId, id: connectionId })) entries.push(entry);
    return entries;
  }

  /** The types of all events of a connection, oldest first. */
  async typesOf(connection: ConnectionRef): Promise<string[]> {
    const history = await this.historyOf(connection);
    return history.flatMap(({ commit }) => commit.events.map(({ type }) => type));
  }

  /** How often each connection was revoked from now on, as the log goes on: for many of them, nobody asks one by one. */
  async countingRevocations(): Promise<{ readonly of: ReadonlyMap<string, number>; stop: () => Promise<void> }> {
    const revocations = new Map<string, number>();
    const follower = new Follower({
      log: new JetStreamEventLog({ bus: await this.bus('authorization'), stream: 'connections' }),
      reader: new CommitReader({ verifier: commitVerifier(this.trust) }),
      filter: subjects.allConnections,
      from: 'end',
      onEntry: ({ commit: { aggregateId, events } }) => {
        const count = events.filter(({ type }) => type === 'ConnectionRevoked').length;
        if (count > 0) revocations.set(aggregateId, (revocations.get(aggregateId) ?? 0) + count);
      },
    });
    await follower.start();
    return { of: revocations, stop: async () => await follower.stop() };
  }

  /** Puts a commit into the log that says to be of `revocation`, under a key that nobody trusts. */
  async forged({ tenantId, connectionId }: ConnectionRef, events: AnyEvent[]): Promise<void> {
    const log = new JetStreamEventLog({ bus: await this.bus('authorization'), stream: 'connections' });
    const stranger = commitSigner('revocation', generateSigningKey().privateJwk);
    const connections = this.#repository({ log, signer: stranger, evolver: connectionEvolver as never });
    const actor: Actor = { type: 'service', id: 'revocation' };
    await connections.execute({ tenantId, id: connectionId }, () => events, { actor, correlationId: 'cor' });
  }

  /** Appends one event of configuration. */
  async configured(event: AdminEvent, { tenantId, id }: { tenantId: string; id: string }): Promise<void> {
    const log = new JetStreamEventLog({ bus: await this.bus('administrator'), stream: 'admin' });
    const aggregate = eventDefinitions.get(event.type)?.aggregate ?? 'tenant';
    const repository = this.#repository({
      log,
      signer: this.#signer('administrator'),
      evolver: evolverOf(aggregate) as never,
    });
    const actor: Actor = { type: 'administrator' };
    await repository.execute({ tenantId, id }, () => [event], {
      actor,
      correlationId: newId('correlation'),
    });
  }

  async newPlatform(tenantId?: string): Promise<Party> {
    const party = { tenantId: tenantId ?? newId('tenant'), platformId: newId('platform') };
    if (tenantId === undefined) {
      const created: AdminEvent = { type: 'TenantCreated', version: 1, data: { name: 'Tenant' } };
      await this.configured(created, { ...party, id: party.tenantId });
    }
    const created: AdminEvent = { type: 'PlatformCreated', version: 1, data: { name: 'Platform', returnUrls: [] } };
    await this.configured(created, { ...party, id: party.platformId });
    return party;
  }

  /** A client registration at a provider of the catalog. */
  async newRegistration({ tenantId }: Party, providerId: string): Promise<string> {
    const registrationId = newId('registration');
    const created: AdminEvent = {
      type: 'RegistrationCreated',
      version: 1,
      data: {
        providerId,
        displayName: 'An app of ours',
        clientId: 'our-client',
        tokenEndpointAuthMethod: 'client_secret_post',
        parameters: {},
        scopes: [],
      },
    };
    await this.configured(created, { tenantId, id: registrationId });
    return registrationId;
  }

  /** A transmitter of security events that may speak about these registrations of a tenant. */
  async newTransmitter(
    { tenantId }: Party,
    registrationIds: readonly string[],
    about: Omit<Extract<AdminEvent, { type: 'TransmitterCreated' }>['data'], 'displayName' | 'speaksFor'>,
  ): Promise<string> {
    const id = newId('transmitter');
    const speaksFor = registrationIds.map((registrationId) => ({ tenantId, registrationId }));
    const data = { displayName: 'A transmitter', ...about, speaksFor };
    await this.configured({ type: 'TransmitterCreated', version: 1, data }, { tenantId, id });
    return id;
  }

  /** The messages of SIGNALS about a registration. */
  async signalsOf(source: string, registrationId: string): Promise<Signal[]> {
    const bus = await this.bus('provisioner');
    const signals: Signal[] = [];
    for (let seq = 1; ; seq += 1) {
      const query = { seq, next_by_subj: `signal.${source}.${registrationId}.*` };
      const answer = await bus.connection.request(
        `$JS.API.STREAM.MSG.GET.${streams.signals.name}`,
        JSON.stringify(query),
      );
      const { message } = answer.json<{ message?: { seq: number; data: string } }>();
      if (message === undefined) return signals;
      signals.push(Signal.parse(JSON.parse(Buffer.from(message.data, 'base64').toString('utf8'))));
      seq = message.seq;
    }
  }

  /** An authorized connection of a platform; the account by the keys that signals use. */
  async connected(
    { tenantId, platformId }: Party,
    registrationId = newId('registration'),
    {
      providerId = 'openid-connect',
      accounts = [],
      account = null,
      hasRefreshToken = true,
      grant,
      accessTokenExpiresAtMs,
    }: {
      providerId?: string;
      accounts?: NamedAccount[];
      account?: ProviderAccount | null;
      hasRefreshToken?: boolean;
      grant?: Grant;
      accessTokenExpiresAtMs?: number | null;
    } = {},
  ): Promise<ConnectionRef> {
    const connection = { tenantId, connectionId: newId('connection') };
    const sessionId = newId('session');
    await this.happened('authorization', connection, [
      the.sessionStarted({ sessionId, platformId, registrationId, providerId }),
      the.exchangeStarted(sessionId),
      the.authorized({
        sessionId,
        hasRefreshToken,
        ...(grant !== undefined && { grant }),
        ...(accessTokenExpiresAtMs !== undefined && { accessTokenExpiresAtMs }),
        accountDigest: account === null ? null : accountDigest(this.digestKey, tenantId, account),
        ...this.#accountKeys(tenantId, providerId, accounts),
      }),
    ]);
    return connection;
  }

  /** The same connection authorized again, maybe by another account. */
  async reauthorized(connection: ConnectionRef, accounts: NamedAccount[], credentialVersion = 2): Promise<void> {
    const { platformId, registrationId, providerId } = await this.stateOf(connection);
    const sessionId = newId('session');
    await this.happened('authorization', connection, [
      the.sessionStarted({ sessionId, platformId, registrationId, providerId }, 'reauthorize'),
      the.exchangeStarted(sessionId),
      the.authorized({
        sessionId,
        credentialVersion,
        ...this.#accountKeys(connection.tenantId, providerId, accounts),
      }),
    ]);
  }

  #accountKeys(tenantId: string, providerId: string, accounts: readonly NamedAccount[]) {
    const entries = accounts.map((account) => [
      account.key,
      accountKeyDigest(this.digestKey, { tenantId, providerId }, account),
    ]);
    return entries.length === 0 ? {} : { accountKeys: Object.fromEntries(entries) as Record<string, string> };
  }

  async #connected(identity: string, credsOf: () => Promise<string>): Promise<Bus> {
    const opening =
      this.#buses.get(identity) ??
      credsOf().then((creds) => connectBus({ servers: this.#natsUrl, creds, identity, name: 'spec' }));
    this.#buses.set(identity, opening);
    return await opening;
  }

  #signer(writer: Writer): CommitSigner {
    return commitSigner(writer, this.#signing[writer].privateJwk);
  }

  #repository({ log, signer, evolver }: { log: EventLog; signer: CommitSigner; evolver: never }) {
    return new Repository<Connection, AnyEvent>({
      log,
      evolver,
      reader: new CommitReader({ verifier: commitVerifier(this.trust) }),
      signer,
      upcast,
      source: `/postern/${signer.identity}`,
      nowMs: () => Date.now() - this.agoMs,
    });
  }
}
