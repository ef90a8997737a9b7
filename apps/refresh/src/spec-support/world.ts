import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  type AdminEvent,
  type ConnectionEvent,
  type ConsumerKey,
  consumers,
  type IdentityName,
  newId,
  TrustBundle,
} from '@postern/contracts';
import { generateSealingKey, generateSigningKey } from '@postern/crypto';
import {
  connectionEvolver,
  registrationEvolver,
  rolloutEvolver,
  upcast,
  type Connection,
  type Registration,
  type Rollout,
  type RolloutEvent,
} from '@postern/domain';
import { commitSigner, CommitReader, commitVerifier, Repository, type AggregateRef } from '@postern/event-log';
import { connectBus, identityCreds, JetStreamEventLog, provision, type Bus, type OperatorBundle } from '@postern/nats';

const identities = ['refresh', 'vault', 'authorization', 'revocation', 'administrator', 'audit'] as const;
type Identity = (typeof identities)[number];
const keysOf = () => ({ signing: generateSigningKey(), sealing: generateSealingKey() });
type Keys = ReturnType<typeof keysOf>;

/** @source JetStream API, `$JS.API.CONSUMER.INFO` */
interface ConsumerState {
  readonly num_pending: number;
  readonly num_ack_pending: number;
  readonly delivered: { readonly stream_seq: number; readonly consumer_seq: number };
}

/** What the specification runs in: streams, identities, keys, and a bus for each of them. */
export class World {
  readonly trust: TrustBundle;
  readonly reader: CommitReader;
  readonly tenantId = newId('tenant');
  readonly platformId = newId('platform');
  readonly #keys: Record<Identity, Keys>;
  readonly #buses = new Map<string, Promise<Bus>>();
  readonly #natsUrl: string;
  readonly #bundle: OperatorBundle;
  readonly #folder: string;

  private constructor(natsUrl: string, bundle: OperatorBundle, folder: string) {
    this.#natsUrl = natsUrl;
    this.#bundle = bundle;
    this.#folder = folder;
    this.#keys = Object.fromEntries(identities.map((name) => [name, keysOf()])) as Record<Identity, Keys>;
    this.trust = TrustBundle.parse({
      writers: Object.fromEntries(identities.map((name) => [name, [this.#keys[name].signing.publicJwk]])),
      recipients: Object.fromEntries(identities.map((name) => [name, this.#keys[name].sealing.publicJwk])),
    });
    this.reader = new CommitReader({ verifier: commitVerifier(this.trust) });
  }

  static async create(natsUrl: string, bundle: OperatorBundle, folder: string): Promise<World> {
    const world = new World(natsUrl, bundle, folder);
    await provision(await world.bus('provisioner'));
    writeFileSync(join(folder, 'trust.json'), JSON.stringify(world.trust));
    mkdirSync(join(folder, 'refresh'));
    const { signing, sealing } = world.#keys.refresh;
    world.#writeSecret('creds', await identityCreds(bundle, 'refresh'));
    world.#writeSecret('signing.json', JSON.stringify(signing.privateJwk));
    world.#writeSecret('sealing.json', JSON.stringify(sealing.privateJwk));
    return world;
  }

  keys(identity: Identity): Keys {
    return this.#keys[identity];
  }

  /** The environment of a refresh service. */
  env(more: Record<string, string> = {}): Record<string, string> {
    return {
      POSTERN_NATS_URL: this.#natsUrl,
      POSTERN_TRUST_FILE: join(this.#folder, 'trust.json'),
      POSTERN_NATS_CREDS_FILE: join(this.#folder, 'refresh', 'creds'),
      POSTERN_SIGNING_KEY_FILE: join(this.#folder, 'refresh', 'signing.json'),
      POSTERN_SEALING_KEY_FILE: join(this.#folder, 'refresh', 'sealing.json'),
      POSTERN_PUBLIC_URL: 'https://postern.example',
      POSTERN_ALLOW_LOOPBACK_PROVIDERS: 'true',
      POSTERN_LOG_LEVEL: 'debug',
      ...more,
    };
  }

  bus(identity: IdentityName): Promise<Bus> {
    const bus = this.#buses.get(identity) ?? this.#connect(identity);
    this.#buses.set(identity, bus);
    return bus;
  }

  /** Connections as one app writes them. */
  async connections(writer: Identity): Promise<Repository<Connection, ConnectionEvent>> {
    return new Repository({
      log: new JetStreamEventLog({ bus: await this.bus(writer), stream: 'connections' }),
      evolver: connectionEvolver,
      reader: this.reader,
      upcast,
      signer: commitSigner(writer, this.#keys[writer].signing.privateJwk),
      source: `/postern/${writer}`,
    });
  }

  /** Appends events of a connection as the app that writes them. */
  async append(writer: Identity, connectionId: string, ...events: ConnectionEvent[]): Promise<void> {
    await this.appendAt(writer, { tenantId: this.tenantId, id: connectionId }, ...events);
  }

  async appendAt(writer: Identity, ref: AggregateRef, ...events: ConnectionEvent[]): Promise<void> {
    const options = { actor: { type: 'service' as const }, correlationId: newId('correlation'), fromLeader: true };
    await (await this.connections(writer)).execute(ref, () => events, options);
  }

  /** The types of a connection's events, in order. */
  async history(connectionId: string): Promise<string[]> {
    const types: string[] = [];
    for await (const { commit } of (await this.connections('audit')).history({
      tenantId: this.tenantId,
      id: connectionId,
    })) {
      types.push(...commit.events.map(({ type }) => type));
    }
    return types;
  }

  async state(connectionId: string): Promise<Connection> {
    return await this.stateAt({ tenantId: this.tenantId, id: connectionId });
  }

  async stateAt(ref: AggregateRef): Promise<Connection> {
    return (await (await this.connections('audit')).load(ref)).state;
  }

  async register(events: readonly AdminEvent[], tenantId = this.tenantId): Promise<string> {
    const registrationId = newId('registration');
    const repository = new Repository<Registration, AdminEvent>({
      log: new JetStreamEventLog({ bus: await this.bus('administrator'), stream: 'admin' }),
      evolver: registrationEvolver as never,
      reader: this.reader,
      signer: commitSigner('administrator', this.#keys.administrator.signing.privateJwk),
      source: '/postern/cli',
    });
    const options = { actor: { type: 'administrator' as const }, correlationId: newId('correlation') };
    await repository.execute({ tenantId, id: registrationId }, () => events, options);
    return registrationId;
  }

  /** What an administrator decides about the versions of a provider's file. */
  async decide(providerId: string, decide: (state: Rollout) => RolloutEvent[]): Promise<void> {
    const repository = new Repository<Rollout, RolloutEvent>({
      log: new JetStreamEventLog({ bus: await this.bus('administrator'), stream: 'admin' }),
      evolver: rolloutEvolver,
      reader: this.reader,
      signer: commitSigner('administrator', this.#keys.administrator.signing.privateJwk),
      source: '/postern/cli',
    });
    const options = { actor: { type: 'administrator' as const }, correlationId: newId('correlation') };
    await repository.execute({ tenantId: this.tenantId, id: providerId }, decide, options);
  }

  /** What JetStream says of a durable consumer. */
  async consumer(key: ConsumerKey = 'refreshWorker'): Promise<ConsumerState> {
    const { connection } = await this.bus('provisioner');
    const { stream, name } = consumers[key];
    return (await connection.request(`$JS.API.CONSUMER.INFO.${stream}.${name}`)).json();
  }

  async close(): Promise<void> {
    for (const bus of this.#buses.values()) await (await bus).close();
  }

  async #connect(identity: IdentityName): Promise<Bus> {
    const creds = await identityCreds(this.#bundle, identity);
    return await connectBus({ servers: this.#natsUrl, creds, identity, name: `spec-${identity}` });
  }

  #writeSecret(name: string, content: string): void {
    const path = join(this.#folder, 'refresh', name);
    writeFileSync(path, content);
    chmodSync(path, 0o600);
  }
}
