/** A nats-server, a PostgreSQL, keys, one customer, and services as `postern serve APP` starts them. */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { revocationGrants, revocationMigrations, revocationSchema } from '@postern/app-revocation';
import { vaultGrants, vaultMigrations, vaultSchema } from '@postern/app-vault';
import { administratorToken, identityNames, newId, operations } from '@postern/contracts';
import { generateSealingKey, generateSigningKey, sealJwe } from '@postern/crypto';
import * as domain from '@postern/domain';
import { CommitReader, commitSigner, commitVerifier, Repository } from '@postern/event-log';
import {
  callOperation,
  connectBus,
  createOperator,
  identityCreds,
  JetStreamEventLog,
  platformCreds,
  provision,
  serverOperatorConfig,
} from '@postern/nats';
import { migrateDatabase } from '@postern/persistence';
import { startNatsServer, startPostgres, temporaryDataDir } from '@postern/servers';

import { openKeyring } from './keyring.mjs';

const command = fileURLToPath(new URL('../../apps/cli/dist/main.js', import.meta.url));
const publicUrl = 'http://127.0.0.1:7420';
const servicePassword = 'the-password-of-services-in-benchmarks';
const tables = {
  vault: { schema: vaultSchema, migrations: vaultMigrations, grants: vaultGrants },
  revocation: { schema: revocationSchema, migrations: revocationMigrations, grants: revocationGrants },
};

/** @param keyring `local`, or `transit`: the launcher's HashiCorp Vault. */
export async function openWorld({ keyring: kind = 'local' } = {}) {
  const folder = temporaryDataDir('postern-bench-');
  const operator = await createOperator();
  const startNats = async (more = {}) =>
    await startNatsServer({
      dataDir: join(folder, 'nats'),
      config: { operatorMode: serverOperatorConfig(operator), fileStoreBytesMax: 32 * 1024 ** 3, ...more },
    });
  const [nats, postgres, keyring] = await Promise.all([
    startNats(),
    startPostgres({ dataDir: join(folder, 'postgres') }),
    openKeyring(kind, folder),
  ]);
  const world = { folder, operator, nats, postgres, keyring, keys: keysOf(), services: [], startNats };
  await prepare(world);
  return world;
}

export async function closeWorld({ services, nats, postgres, keyring, folder }) {
  for (const { process: child } of services) child.kill('SIGKILL');
  await Promise.all([nats.stop(), postgres.stop(), keyring.stop()]);
  rmSync(folder, { recursive: true, force: true });
}

/** Stops nats-server and starts it again on the same data: for the bulk without a sync for each message, and with it. */
export async function restartNats(world, more = {}) {
  await world.nats.stop();
  world.nats = await world.startNats(more);
}

function keysOf() {
  const keys = identityNames.map((name) => [name, { signing: generateSigningKey(), sealing: generateSealingKey() }]);
  return Object.fromEntries(keys);
}

async function prepare(world) {
  const { folder, keys, postgres } = world;
  const entries = Object.entries(keys);
  world.trust = {
    writers: Object.fromEntries(entries.map(([name, { signing }]) => [name, [signing.publicJwk]])),
    recipients: Object.fromEntries(entries.map(([name, { sealing }]) => [name, sealing.publicJwk])),
  };
  const provisioner = await busOf(world, 'provisioner');
  await provision(provisioner);
  await provisioner.close();
  await postgres.createDatabase('bench');
  world.ownerUrl = postgres.urlOf('bench');
  secret(join(folder, 'token'), 'a key of the gateway for its tokens, in benchmarks only');
  writeFileSync(join(folder, 'trust.json'), JSON.stringify(world.trust));
  world.digestKey = randomBytes(32);
  secret(join(folder, 'digest-key'), world.digestKey.toString('base64url'));
  for (const app of ['vault', 'gateway', 'refresh', 'revocation']) await writeKeys(world, app);
  for (const app of Object.keys(tables)) await makeTables(world, app);
  world.customer = await makeCustomer(world);
  await world.keyring.ensureTenantKey(world.customer.tenantId);
}

async function writeKeys({ folder, operator, keys }, app) {
  mkdirSync(join(folder, app));
  secret(join(folder, app, 'creds'), await identityCreds(operator, app));
  secret(join(folder, app, 'signing.json'), JSON.stringify(keys[app].signing.privateJwk));
  secret(join(folder, app, 'sealing.json'), JSON.stringify(keys[app].sealing.privateJwk));
}

async function makeTables({ folder, ownerUrl }, app) {
  const serviceRole = `${app}_bench`;
  await migrateDatabase({ ownerUrl, ...tables[app], serviceRole, servicePassword });
  const login = { username: serviceRole, password: servicePassword };
  secret(join(folder, app, 'database-url'), Object.assign(new URL(ownerUrl), login).href);
}

export async function busOf({ nats, operator }, identity) {
  const creds = await identityCreds(operator, identity);
  return await connectBus({ servers: nats.url, creds, identity, name: `bench ${identity}` });
}

/** What a process needs to connect as one identity of CORE, or as the platform. */
export async function linkOf({ nats, operator, customer }, identity) {
  if (identity !== 'platform') return { servers: nats.url, creds: await identityCreds(operator, identity), identity };
  const { creds } = await platformCreds(operator, customer);
  return { servers: nats.url, creds, identity: customer.platformId };
}

/** A tenant with a platform and an agent, and the id of its client registration to be. */
export async function makeCustomer(world) {
  const ids = { tenantId: newId('tenant'), platformId: newId('platform'), agentId: newId('agent') };
  const { tenantId, platformId, agentId } = ids;
  const bus = await busOf(world, 'administrator');
  const decide = async (evolver, id, decided) =>
    await repositoryOf(world, { bus, identity: 'administrator', stream: 'admin', evolver }).execute(
      { tenantId, id },
      decided,
      { actor: { type: 'administrator' }, correlationId: newId('correlation') },
    );
  await decide(domain.tenantEvolver, tenantId, (state) => domain.createTenant({ name: 'T' }, state));
  await decide(domain.platformEvolver, platformId, (state) =>
    domain.createPlatform({ name: 'P', returnUrls: [] }, state),
  );
  await decide(domain.agentEvolver, agentId, (state) => domain.createAgent({ platformId, name: 'A' }, state));
  await bus.close();
  return { ...ids, registrationId: newId('registration') };
}

export function repositoryOf({ keys, trust }, { bus, identity, stream, evolver }) {
  return new Repository({
    log: new JetStreamEventLog({ bus, stream }),
    evolver,
    reader: new CommitReader({ verifier: commitVerifier(trust) }),
    signer: commitSigner(identity, keys[identity].signing.privateJwk),
    upcast: domain.upcast,
    source: '/postern/bench',
  });
}

/**
 * The customer's client at a provider, with one secret in the vault, which must be running.
 *
 * @param kind `client_secret` or `webhook_secret`
 */
export async function registerClient(world, { kind, secretText, ...data }) {
  const { tenantId, registrationId } = world.customer;
  const bus = await busOf(world, 'administrator');
  const by = { bus, identity: 'administrator', stream: 'admin', evolver: domain.registrationEvolver };
  const repository = repositoryOf(world, by);
  const decide = async (decided) =>
    await repository.execute({ tenantId, id: registrationId }, decided, {
      actor: { type: 'administrator' },
      correlationId: newId('correlation'),
    });
  await decide((state) => domain.createRegistration({ displayName: 'Bench', parameters: {}, ...data }, state));
  const sealed = sealJwe({
    recipient: world.trust.recipients.vault,
    plaintext: Buffer.from(secretText),
    protectedHeader: { cty: 'text/plain', reg: registrationId },
  });
  const { secret_version: secretVersion } = await callOperation(
    bus,
    kind === 'client_secret' ? operations.storeClientSecret : operations.storeWebhookSecret,
    { tenantId, platformId: administratorToken, app: 'administrator' },
    { tenant_id: tenantId, registration_id: registrationId, sealed_secret: sealed },
  );
  await decide((state, { nowMs }) =>
    domain.storeRegistrationSecret({ kind, secretVersion, publicJwk: null, overlapMs: 0, nowMs }, state),
  );
  await bus.close();
}

/** Starts an app and waits until it is ready. @returns its process, its HTTP port, how long the start took. */
export async function startApp(world, app, { env = {}, execArgv = [] } = {}) {
  const since = performance.now();
  const options = {
    env: { ...environmentOf(world, app), ...env },
    execArgv,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  };
  const child = fork(command, ['serve', app], options);
  const service = { app, process: child };
  world.services.push(service);
  const { httpPort } = await new Promise((resolve, reject) => {
    child.on('message', (message) => message.type === 'ready' && resolve(message));
    child.once('exit', (code) => reject(new Error(`${app} ended with ${code} before it was ready`)));
  });
  return Object.assign(service, { httpPort, readyMs: performance.now() - since });
}

export async function stopApp(world, service) {
  world.services.splice(world.services.indexOf(service), 1);
  const gone = new Promise((resolve) => service.process.once('exit', resolve));
  service.process.kill('SIGTERM');
  await gone;
}

function environmentOf({ folder, nats, keyring }, app) {
  const own = {
    vault: { POSTERN_DATABASE_URL_FILE: join(folder, 'vault', 'database-url'), ...keyring.environment },
    gateway: { POSTERN_TOKEN_KEY_FILE: join(folder, 'token') },
    refresh: { POSTERN_ALLOW_LOOPBACK_PROVIDERS: 'true', POSTERN_PROVIDER_CALLS_PER_SECOND: '10000' },
    revocation: {
      POSTERN_DATABASE_URL_FILE: join(folder, 'revocation', 'database-url'),
      POSTERN_DIGEST_KEY_FILE: join(folder, 'digest-key'),
    },
  };
  return {
    PATH: process.env.PATH,
    POSTERN_NATS_URL: nats.url,
    POSTERN_NATS_CREDS_FILE: join(folder, app, 'creds'),
    POSTERN_TRUST_FILE: join(folder, 'trust.json'),
    POSTERN_SIGNING_KEY_FILE: join(folder, app, 'signing.json'),
    POSTERN_SEALING_KEY_FILE: join(folder, app, 'sealing.json'),
    POSTERN_PUBLIC_URL: publicUrl,
    POSTERN_LOG_LEVEL: 'error',
    ...own[app],
  };
}

/** An access token of the gateway, signed as the gateway signs it. */
export async function platformToken({ folder, customer }) {
  const { SignJWT } = await import('jose');
  return await new SignJWT({ tenant_id: customer.tenantId, client_id: customer.platformId })
    .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
    .setIssuer(publicUrl)
    .setAudience(publicUrl)
    .setSubject(customer.platformId)
    .setIssuedAt()
    .setExpirationTime('12h')
    .sign(readFileSync(join(folder, 'token')));
}

function secret(path, text) {
  writeFileSync(path, text, { mode: 0o600 });
}
