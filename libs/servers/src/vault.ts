import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ManagedProcess } from './child-process.ts';
import { privateDir, temporaryDataDir } from './data-dir.ts';
import { findVault } from './find-program.ts';
import type { FoundProgram } from './find-program.ts';
import { freePort } from './free-port.ts';
import { startServer } from './server-process.ts';
import type { ServerStart } from './server-process.ts';
import { callVault } from './vault-http.ts';
import type { VaultAddress } from './vault-http.ts';
import { prepareStorage, readKeys, vaultPlaces, writeKeys } from './vault-keys.ts';
import type { StoredKeys } from './vault-keys.ts';
import { initialise, isActive, sealVault, setUpTransit, unsealVault } from './vault-setup.ts';
import type { AppRoles } from './vault-setup.ts';
import { ensureTls } from './local-tls.ts';
import type { TlsFiles } from './local-tls.ts';

const name = 'vault';
const activePollMs = 20;

interface VaultCommonOptions {
  /** A free one when absent. */
  readonly port?: number;
  /** A program found before; looked for when absent. */
  readonly program?: FoundProgram;
}

/** In memory, without TLS, gone when it stops. */
export interface VaultDevOptions extends VaultCommonOptions {
  readonly mode: 'dev';
}

/** On files, with TLS. */
export interface VaultServerOptions extends VaultCommonOptions {
  readonly mode: 'server';
  /** Vault's own folder: storage, certificate, keys, log. Created when absent. */
  readonly dataDir: string;
}

export type VaultOptions = VaultDevOptions | VaultServerOptions;

/** A running Vault: unsealed, transit at `transit/`, a role that may use its keys and one that may provision them. */
export interface VaultServer extends ManagedProcess {
  readonly url: string;
  readonly port: number;
  /** The certificate to trust; undefined in dev mode, which speaks plain HTTP on 127.0.0.1. */
  readonly caCertPath: string | undefined;
  readonly roles: AppRoles;
  /** May do everything: for tests and set-up only. */
  readonly rootToken: string;
  readonly program: FoundProgram;
  seal(): Promise<void>;
  unseal(): Promise<void>;
}

/** Anything that answers in Vault's manner: a new server is not initialised, an old one sealed. */
async function answers(at: VaultAddress, statuses: readonly number[]): Promise<boolean> {
  try {
    return statuses.includes((await callVault(at, { method: 'GET', path: 'sys/health' })).status);
  } catch {
    return false;
  }
}

interface Parts {
  readonly child: ManagedProcess;
  readonly at: VaultAddress;
  readonly port: number;
  readonly caCertPath: string | undefined;
  readonly rootToken: string;
  readonly roles: AppRoles;
  readonly unsealKey: () => string;
  readonly program: FoundProgram;
}

/** An unsealed Vault needs a moment to become the active node; one that ended meanwhile refuses the call. */
async function untilActive(at: VaultAddress): Promise<void> {
  while (!(await isActive(at))) await delay(activePollMs);
}

function assemble({ child, at, port, caCertPath, rootToken, roles, unsealKey, program }: Parts): VaultServer {
  return {
    ...child,
    url: at.url,
    port,
    caCertPath,
    rootToken,
    roles,
    program,
    seal: () => sealVault({ ...at, token: rootToken }),
    unseal: async () => {
      await unsealVault(at, unsealKey());
      await untilActive(at);
    },
  };
}

/** Dev mode prints its unseal key, once, to its standard output; the log has mode 0600 and goes with the server. */
function devUnsealKey(logPath: string): string {
  return /Unseal Key: (\S+)/.exec(readFileSync(logPath, 'utf8'))?.[1] ?? '';
}

function devPlan(folder: string, port: number, rootToken: string, program: FoundProgram): ServerStart {
  return {
    name,
    command: program.path,
    args: ['server', '-dev', '-dev-no-store-token', `-dev-listen-address=127.0.0.1:${port}`],
    // In the environment, not on the command line, where everybody could read it.
    env: { PATH: process.env['PATH'], HOME: folder, VAULT_DEV_ROOT_TOKEN_ID: rootToken },
    cwd: folder,
    logPath: join(folder, 'vault.log'),
    removeAtEnd: () => [folder],
    isReady: () => answers({ url: `http://127.0.0.1:${port}` }, [200]),
  };
}

async function startDev(options: VaultDevOptions, program: FoundProgram): Promise<VaultServer> {
  const folder = temporaryDataDir('postern-vault-');
  const rootToken = randomBytes(24).toString('base64url');
  let port = 0;
  const child = await startServer({
    name,
    dataDir: folder,
    fixedPorts: options.port !== undefined,
    plan: async () => {
      port = options.port ?? (await freePort());
      return devPlan(privateDir(folder), port, rootToken, program);
    },
  });
  const at = { url: `http://127.0.0.1:${port}` };
  const unsealKey = (): string => devUnsealKey(join(folder, 'vault.log'));
  const roles = await orKill(child, () => setUpTransit({ ...at, token: rootToken }));
  return assemble({ child, at, port, caCertPath: undefined, rootToken, roles, unsealKey, program });
}

function serverConfig(dataDir: string, port: number, { certPath, keyPath }: TlsFiles): string {
  const config = {
    storage: { file: { path: vaultPlaces(dataDir).storageDir } },
    listener: {
      tcp: {
        address: `127.0.0.1:${port}`,
        tls_cert_file: certPath,
        tls_key_file: keyPath,
        tls_min_version: 'tls12',
      },
    },
    api_addr: `https://127.0.0.1:${port}`,
    // Locking memory needs a capability that a developer's process has not.
    disable_mlock: true,
    ui: false,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

function serverPlan(dataDir: string, port: number, tls: TlsFiles, program: FoundProgram): ServerStart {
  const configPath = join(dataDir, 'vault.json');
  rmSync(configPath, { force: true });
  writeFileSync(configPath, serverConfig(dataDir, port, tls), { mode: 0o600 });
  const at = { url: `https://127.0.0.1:${port}`, ca: readFileSync(tls.caPath, 'utf8') };
  return {
    name,
    command: program.path,
    args: ['server', `-config=${configPath}`],
    env: { PATH: process.env['PATH'], HOME: dataDir },
    cwd: dataDir,
    logPath: join(dataDir, 'vault.log'),
    isReady: () => answers(at, [200, 501, 503]),
  };
}

/** Initialises a new Vault, opens it, and sees to its roles. */
async function open(dataDir: string, at: VaultAddress): Promise<Required<StoredKeys>> {
  const made = await initialise(at);
  if (made) writeKeys(dataDir, made);
  const keys = readKeys(dataDir) as StoredKeys;
  await unsealVault(at, keys.unsealKey);
  await untilActive(at);
  const complete = { ...keys, roles: await setUpTransit({ ...at, token: keys.rootToken }, keys.roles) };
  if (!keys.roles) writeKeys(dataDir, complete);
  return complete;
}

async function startOnFiles(options: VaultServerOptions, program: FoundProgram): Promise<VaultServer> {
  const dataDir = privateDir(resolve(options.dataDir));
  let port = 0;
  let tls: TlsFiles | undefined;
  const child = await startServer({
    name,
    dataDir,
    fixedPorts: options.port !== undefined,
    prepare: () => Promise.resolve(prepareStorage(dataDir)),
    plan: async () => {
      port = options.port ?? (await freePort());
      tls = await ensureTls(dataDir);
      return serverPlan(dataDir, port, tls, program);
    },
  });
  const caCertPath = (tls as unknown as TlsFiles).caPath;
  const at = { url: `https://127.0.0.1:${port}`, ca: readFileSync(caCertPath, 'utf8') };
  const { rootToken, roles, unsealKey } = await orKill(child, () => open(dataDir, at));
  return assemble({ child, at, port, caCertPath, rootToken, roles, unsealKey: () => unsealKey, program });
}

/** A server whose set-up fails is not left running. */
async function orKill<T>(child: ManagedProcess, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await child.kill();
    throw error;
  }
}

/**
 * Starts HashiCorp Vault, unsealed, with transit and AppRole ready.
 *
 * `dev` keeps everything in memory. `server` keeps it on files behind TLS with a certificate of its own, and keeps
 * the unseal key and the root token in `keys.json` (mode 0600) in its folder: good for one machine and for tests;
 * in production somebody else keeps them. With the same `dataDir` it starts again on the same data.
 *
 * @throws {PosternError} `servers.not_found`, `servers.too_old`, `servers.start_failed`.
 * @effect a process under the watchdog; files in `dataDir`.
 */
export async function startVault(options: VaultOptions): Promise<VaultServer> {
  const program = options.program ?? (await findVault());
  return options.mode === 'dev' ? startDev(options, program) : startOnFiles(options, program);
}
