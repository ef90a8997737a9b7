/** A nats-server, a PostgreSQL, keys, one customer, and services as `postern serve APP` starts them. */
import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { vaultGrants, vaultMigrations, vaultSchema } from '@postern/app-vault';
import { identityNames, newId } from '@postern/contracts';
import { generateSealingKey, generateSigningKey } from '@postern/crypto';
import * as domain from '@postern/domain';
import { CommitReader, commitSigner, commitVerifier, Repository } from '@postern/event-log';
import {
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
const servicePassword = 'the-password-of-the-vault-in-benchmarks';

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
  const role = { serviceRole: 'vault_bench', servicePassword };
  await migrateDatabase({
    ownerUrl: world.ownerUrl,
    schema: vaultSchema,
    migrations: vaultMigrations,
    grants: vaultGrants,
    ...role,
  });
  const login = { username: role.serviceRole, password: servicePassword };
  secret(join(folder, 'database-url'), Object.assign(new URL(world.ownerUrl), login).href);
  secret(join(folder, 'token'), 'a key of the gateway for its tokens, in benchmarks only');
  writeFileSync(join(folder, 'trust.json'), JSON.stringify(world.trust));
  for (const app of ['vault', 'gateway', 'refresh']) await writeKeys(world, app);
  world.customer = await makeCustomer(world);
  await world.keyring.ensureTenantKey(world.customer.tenantId);
}

async function writeKeys({ folder, operator, keys }, app) {
  mkdirSync(join(folder, app));
  secret(join(folder, app, 'creds'), await identityCreds(operator, app));
  secret(join(folder, app, 'signing.json'), JSON.stringify(keys[app].signing.privateJwk));
  secret(join(folder, app, 'sealing.json'), JSON.stringify(keys[app].sealing.privateJwk));
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

async function makeCustomer(world) {
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
    vault: { POSTERN_DATABASE_URL_FILE: join(folder, 'database-url'), ...keyring.environment },
    gateway: { POSTERN_TOKEN_KEY_FILE: join(folder, 'token') },
    refresh: { POSTERN_ALLOW_LOOPBACK_PROVIDERS: 'true', POSTERN_PROVIDER_CALLS_PER_SECOND: '10000' },
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
