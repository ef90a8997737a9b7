import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  appNames,
  newId,
  PosternError,
  type AdminEvent,
  type ConnectionEvent,
  type IdentityName,
  type Operation,
  type ReplyOf,
  type TokenSet,
  type TrustBundle,
} from '@postern/contracts';
import { generateSealingKey, generateSigningKey, openJwe, sealJwe, type OkpKeyPair } from '@postern/crypto';
import * as domain from '@postern/domain';
import { CommitReader, commitSigner, commitVerifier, Repository } from '@postern/event-log';
import { createKeyFile, localKeyAdministration, type KeyAdministration } from '@postern/keyring';
import { takeLock } from '@postern/servers';
import {
  callOperation,
  connectBus,
  identityCreds,
  JetStreamEventLog,
  platformCreds,
  provision,
  type Bus,
  type OperatorBundle,
  type RequestInput,
} from '@postern/nats';
import { migrateDatabase } from '@postern/persistence';
import { startService, type RunningService, type StartOptions } from '@postern/service';

import { vaultGrants, vaultMigrations, vaultSchema, vaultService } from './index.ts';

const connectTimeoutMs = 30_000;
/** On a busy machine a connection may take longer than the two seconds that nats-server allows it. */
export const specNats = { extra: 'authorization { timeout: 30 }' };

const servicePassword = 'the-password-of-the-vault-in-specs';
const identities = [...appNames, 'administrator'] as const;
type Identity = (typeof identities)[number];
type Keys = { readonly signing: OkpKeyPair<'Ed25519'>; readonly sealing: OkpKeyPair<'X25519'> };

/** The servers a world stands on; the specs start them. */
export interface WorldPlaces {
  readonly natsUrl: string;
  readonly bundle: OperatorBundle;
  /** The database's superuser, on a database of this world's own. */
  readonly ownerUrl: string;
  readonly serviceRole: string;
  readonly folder: string;
}

/** A platform with an agent and a registration, inside a tenant of its own unless one is given. */
export interface Customer {
  readonly tenantId: string;
  readonly platformId: string;
  readonly agentId: string;
  readonly registrationId: string;
}

/** What the vault's specs do as the other services: everything on real servers, with each identity's own rights. */
export class VaultWorld {
  /** How long ago all happened that the others say here. */
  agoMs = 0;
  readonly #buses: Bus[] = [];
  readonly #vaults: RunningService[] = [];

  private constructor(
    readonly places: WorldPlaces,
    readonly keys: Readonly<Record<Identity, Keys>>,
    readonly trust: TrustBundle,
    readonly buses: Readonly<Record<Identity, Bus>>,
  ) {
    this.#buses.push(...Object.values(buses));
  }

  static async open(places: WorldPlaces): Promise<VaultWorld> {
    await provisioned(places);
    await migrated(places);
    const keys = record(() => ({ signing: generateSigningKey(), sealing: generateSealingKey() }));
    const trust: TrustBundle = {
      writers: Object.fromEntries(identities.map((name) => [name, [keys[name].signing.publicJwk]])),
      recipients: Object.fromEntries(identities.map((name) => [name, keys[name].sealing.publicJwk])),
    };
    const buses: [Identity, Bus][] = [];
    for (const name of identities) buses.push([name, await busOf(places, name)]);
    const world = new VaultWorld(places, keys, trust, Object.fromEntries(buses) as Record<Identity, Bus>);
    await world.#writeFiles();
    return world;
  }

  async close(): Promise<void> {
    for (const vault of this.#vaults) await vault.stop();
    for (const bus of this.#buses) await bus.close();
  }

  /** A vault of its own, as `postern serve vault` would start it. */
  async startVault(env: Readonly<Record<string, string>> = {}, options: StartOptions = {}): Promise<RunningService> {
    const settings = { checkReplies: true, ...options };
    const vault = await startService(vaultService, { ...this.#vaultEnv(), ...env }, settings);
    this.#vaults.push(vault);
    return vault;
  }

  /** The service's own database URL. */
  get serviceUrl(): string {
    const { ownerUrl, serviceRole } = this.places;
    return Object.assign(new URL(ownerUrl), { username: serviceRole, password: servicePassword }).href;
  }

  /** What whoever provisions does to the tenants' keys; running vaults notice. */
  get keyring(): KeyAdministration {
    const keyFile = join(this.places.folder, 'keyring.json');
    return localKeyAdministration({
      keyFile,
      exclusively: async (work) => {
        const lock = await takeLock({ path: `${keyFile}.lock`, waitMsMax: connectTimeoutMs });
        if (lock === undefined) throw new Error('another spec holds the key file');
        return await work().finally(() => lock.release());
      },
    });
  }

  connections(identity: Identity): Repository<domain.Connection, ConnectionEvent> {
    return this.#repository(identity, 'connections', domain.connectionEvolver);
  }

  async call<O extends Operation>(app: Identity, operation: O, request: RequestInput<O>): Promise<ReplyOf<O>> {
    return await callOperation(this.buses[app], operation, { app }, request);
  }

  /** A platform's own connection to the bus. */
  async platformBus({ tenantId, platformId }: Customer): Promise<Bus> {
    const { creds } = await platformCreds(this.places.bundle, { tenantId, platformId });
    const bus = await connectBus({
      servers: this.places.natsUrl,
      creds,
      identity: platformId,
      name: platformId,
      connectTimeoutMs,
    });
    this.#buses.push(bus);
    return bus;
  }

  async customer(tenantId = newId('tenant'), providerId = 'acme'): Promise<Customer> {
    const [platformId, agentId, registrationId] = [newId('platform'), newId('agent'), newId('registration')];
    const registration = {
      providerId,
      displayName: 'Acme',
      clientId: 'client',
      tokenEndpointAuthMethod: 'client_secret_basic',
      parameters: {},
      scopes: ['read', 'write'],
    } as const;
    await this.keyring.ensureTenantKey({ tenantId });
    await this.admin(tenantId, domain.tenantEvolver, tenantId, (s) => domain.createTenant({ name: 'T' }, s));
    await this.admin(tenantId, domain.platformEvolver, platformId, (s) =>
      domain.createPlatform({ name: 'P', returnUrls: [] }, s),
    );
    await this.admin(tenantId, domain.agentEvolver, agentId, (s) => domain.createAgent({ platformId, name: 'A' }, s));
    await this.admin(tenantId, domain.registrationEvolver, registrationId, (s) =>
      domain.createRegistration({ ...registration, scopes: [...registration.scopes] }, s),
    );
    return { tenantId, platformId, agentId, registrationId };
  }

  /** Decides on ADMIN as the administrator. */
  async admin<S, E extends AdminEvent>(
    tenantId: string,
    evolver: domain.Evolver<S, E>,
    ...[id, decide]: [string, (state: S) => E[]]
  ): Promise<void> {
    const repository = this.#repository('administrator', 'admin', evolver);
    await repository.execute({ tenantId, id }, decide, origin('administrator'));
  }

  /** Decides on a connection as one of the services. */
  async decide(
    identity: Identity,
    ref: { tenantId: string; connectionId: string },
    decide: (state: domain.Connection, nowMs: number) => ConnectionEvent[],
  ) {
    return await this.connections(identity).execute(
      { tenantId: ref.tenantId, id: ref.connectionId },
      (state, { nowMs }) => decide(state, nowMs),
      { ...origin(identity), fromLeader: true },
    );
  }

  /** Seals something to a service's pinned key. */
  sealTo(app: Identity, value: string | Uint8Array | object): string {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const plaintext = value instanceof Uint8Array ? value : Buffer.from(text, 'utf8');
    return sealJwe({ recipient: this.keys[app].sealing.publicJwk, plaintext });
  }

  /** Opens what was sealed to a service. */
  openAs(app: Identity, compact: string): string {
    return openJwe(this.keys[app].sealing.privateJwk, compact).plaintext.toString('utf8');
  }

  async #writeFiles(): Promise<void> {
    const { folder, bundle } = this.places;
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'trust.json'), JSON.stringify(this.trust));
    writeSecret(join(folder, 'creds'), await identityCreds(bundle, 'vault'));
    writeSecret(join(folder, 'signing.json'), JSON.stringify(this.keys.vault.signing.privateJwk));
    writeSecret(join(folder, 'sealing.json'), JSON.stringify(this.keys.vault.sealing.privateJwk));
    writeSecret(join(folder, 'database-url'), this.serviceUrl);
    await createKeyFile({ keyFile: join(folder, 'keyring.json') });
  }

  #vaultEnv(): Record<string, string> {
    const { folder, natsUrl } = this.places;
    return {
      POSTERN_NATS_URL: natsUrl,
      POSTERN_NATS_CREDS_FILE: join(folder, 'creds'),
      POSTERN_TRUST_FILE: join(folder, 'trust.json'),
      POSTERN_SIGNING_KEY_FILE: join(folder, 'signing.json'),
      POSTERN_SEALING_KEY_FILE: join(folder, 'sealing.json'),
      POSTERN_DATABASE_URL_FILE: join(folder, 'database-url'),
      POSTERN_KEYRING_KEY_FILE: join(folder, 'keyring.json'),
      POSTERN_PUBLIC_URL: 'http://127.0.0.1:7420',
      POSTERN_LOG_LEVEL: 'silent',
    };
  }

  #repository<S, E extends ConnectionEvent | AdminEvent>(
    identity: Identity,
    stream: 'connections' | 'admin',
    evolver: domain.Evolver<S, E>,
  ): Repository<S, E> {
    return new Repository({
      log: new JetStreamEventLog({ bus: this.buses[identity], stream }),
      evolver,
      reader: new CommitReader({ verifier: commitVerifier(this.trust) }),
      signer: commitSigner(identity, this.keys[identity].signing.privateJwk),
      upcast: domain.upcast,
      source: `/postern/${identity}`,
      nowMs: () => Date.now() - this.agoMs,
    });
  }
}

function record<T>(make: () => T): Record<Identity, T> {
  return Object.fromEntries(identities.map((name) => [name, make()])) as Record<Identity, T>;
}

function origin(identity: Identity) {
  return { actor: { type: 'service', id: identity } as const, correlationId: newId('correlation') };
}

async function busOf({ natsUrl, bundle }: WorldPlaces, identity: IdentityName): Promise<Bus> {
  const creds = await identityCreds(bundle, identity);
  return await connectBus({ servers: natsUrl, creds, identity, name: `spec-${identity}`, connectTimeoutMs });
}

async function provisioned(places: WorldPlaces): Promise<void> {
  const bus = await busOf(places, 'provisioner');
  await provision(bus);
  await bus.drain();
}

async function migrated({ ownerUrl, serviceRole }: WorldPlaces): Promise<void> {
  await migrateDatabase({
    ownerUrl,
    schema: vaultSchema,
    migrations: vaultMigrations,
    serviceRole,
    servicePassword,
    grants: vaultGrants,
  });
}

function writeSecret(path: string, content: string): void {
  writeFileSync(path, content);
  chmodSync(path, 0o600);
}

/** A token set as a token endpoint would give it. */
export function tokenSetOf(name: string, more: Partial<TokenSet> = {}): TokenSet {
  return {
    accessToken: `access-${name}`,
    tokenType: 'Bearer',
    refreshToken: `refresh-${name}`,
    accessTokenExpiresAtMs: Date.now() + 3_600_000,
    grantedScopes: ['read'],
    ...more,
  };
}

/** Runs a promise that must be refused, and gives the code. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof PosternError) return error.code;
    throw error;
  }
  return 'nothing was refused';
}
