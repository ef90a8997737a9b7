import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '@postern/contracts';
import {
  callVault,
  startVault,
  temporaryDataDir,
  type AppRole,
  type VaultAnswer,
  type VaultCall,
  type VaultServer,
} from '@postern/servers';

/** What a session with this Vault is opened with: its place, and files of mode 0600 with a role's credentials. */
export interface TestVaultAccess {
  readonly url: string;
  readonly caFile: string;
  readonly roleIdFile: string;
  readonly secretIdFile: string;
}

/** A real Vault on files, with TLS and AppRole, and what an operator would do to it. */
export class TestVault {
  readonly folder: string;
  #server: VaultServer;

  private constructor(folder: string, server: VaultServer) {
    this.folder = folder;
    this.#server = server;
  }

  static async open(): Promise<TestVault> {
    const folder = temporaryDataDir('postern-vault-');
    return new TestVault(folder, await startVault({ mode: 'server', dataDir: join(folder, 'vault') }));
  }

  async close(): Promise<void> {
    await this.#server.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get server(): VaultServer {
    return this.#server;
  }

  /** Writes a role's credentials into fresh files. */
  access({ roleId, secretId }: AppRole = this.#server.roles.service): TestVaultAccess {
    const { url, caCertPath: caFile = '' } = this.#server;
    const name = join(this.folder, newId('correlation'));
    const [roleIdFile, secretIdFile] = [`${name}-role-id`, `${name}-secret-id`];
    writeFileSync(roleIdFile, `${roleId}\n`, { mode: 0o600 });
    writeFileSync(secretIdFile, `${secretId}\n`, { mode: 0o600 });
    return { url, caFile, roleIdFile, secretIdFile };
  }

  /** As the root token. */
  async root(call: Omit<VaultCall, 'token'>): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.as(this.#server.rootToken, call);
    if (answer.status >= 300) throw new Error(`${call.path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async as(token: string, call: Omit<VaultCall, 'token'>): Promise<VaultAnswer> {
    const { url, caCertPath } = this.#server;
    return await callVault({ url, ca: readFileSync(caCertPath ?? '', 'utf8') }, { ...call, token });
  }

  /** A role with the service's policy whose tokens and secret ids live as long as the test wants. */
  async role(name: string, settings: Readonly<Record<string, unknown>>): Promise<AppRole> {
    const path = `auth/approle/role/${name}`;
    const body = { token_policies: ['postern-vault'], token_no_default_policy: true, ...settings };
    await this.root({ method: 'POST', path, body });
    const id = await this.root({ method: 'GET', path: `${path}/role-id` });
    return { roleId: (id['data'] as { role_id: string }).role_id, secretId: await this.newSecretId(name) };
  }

  async newSecretId(name: string): Promise<string> {
    const made = await this.root({ method: 'POST', path: `auth/approle/role/${name}/secret-id`, body: {} });
    return (made['data'] as { secret_id: string }).secret_id;
  }

  /** Vault looks for expired secret ids once a minute; this makes it look now. @effect in the background of Vault. */
  async tidySecretIds(): Promise<void> {
    await this.root({ method: 'POST', path: 'auth/approle/tidy/secret-id', body: {} });
  }

  /** The living tokens of a role, as Vault describes them. */
  async tokensOf(name: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const { data } = await this.root({ method: 'LIST', path: 'auth/token/accessors' });
    const found: Record<string, unknown>[] = [];
    for (const accessor of (data as { keys: string[] }).keys) {
      const call = { method: 'POST', path: 'auth/token/lookup-accessor', body: { accessor } } as const;
      // One that ended since is no more to be found.
      const { body } = await this.as(this.#server.rootToken, call);
      const token = body['data'] as { meta?: { role_name?: string } } | undefined;
      if (token?.meta?.role_name === name) found.push(token);
    }
    return found;
  }

  /** Kills the server at once. */
  async kill(): Promise<void> {
    await this.#server.kill();
  }

  /** Starts it again on the same data and the same port. */
  async startAgain(): Promise<void> {
    const { port } = this.#server;
    this.#server = await startVault({ mode: 'server', dataDir: join(this.folder, 'vault'), port });
  }
}
