import { callVault, demandVault } from './vault-http.ts';
import type { VaultAddress } from './vault-http.ts';
import { vaultProvisionerPolicy, vaultServicePolicy } from './vault-policies.ts';

const tokenTtl = '15m';
const tokenTtlMax = '4h';

const roles = {
  service: { name: 'postern-vault', policy: vaultServicePolicy },
  provisioner: { name: 'postern-provisioner', policy: vaultProvisionerPolicy },
} as const;
type RoleName = keyof typeof roles;

/** The credentials of a role, for `auth/approle/login`. */
export interface AppRole {
  readonly roleId: string;
  readonly secretId: string;
}

/** Who logs in: the vault service, and whoever provisions. */
export type AppRoles = Readonly<Record<RoleName, AppRole>>;

/** Vault's two secrets of birth. */
export interface VaultKeys {
  readonly unsealKey: string;
  readonly rootToken: string;
}

interface AdminAddress extends VaultAddress {
  readonly token: string;
}

async function enable(at: AdminAddress, kind: 'mounts' | 'auth', type: string): Promise<void> {
  const { token } = at;
  const mounted = await demandVault(at, { method: 'GET', path: `sys/${kind}`, token });
  if (`${type}/` in mounted) return;
  await demandVault(at, { method: 'POST', path: `sys/${kind}/${type}`, token, body: { type } });
}

/** Initialises a new Vault with one unseal key; undefined when it has been initialised before. */
export async function initialise(at: VaultAddress): Promise<VaultKeys | undefined> {
  const { initialized } = await demandVault(at, { method: 'GET', path: 'sys/init' });
  if (initialized === true) return undefined;
  const body = { secret_shares: 1, secret_threshold: 1 };
  const made = await demandVault(at, { method: 'PUT', path: 'sys/init', body });
  const [unsealKey] = made['keys_base64'] as [string];
  return { unsealKey, rootToken: made['root_token'] as string };
}

/** Opens a sealed Vault; an open one stays open. */
export async function unsealVault(at: VaultAddress, unsealKey: string): Promise<void> {
  await demandVault(at, { method: 'PUT', path: 'sys/unseal', body: { key: unsealKey } });
}

/** Closes Vault: it answers nothing until it is unsealed. */
export async function sealVault(at: AdminAddress): Promise<void> {
  await demandVault(at, { method: 'PUT', path: 'sys/seal', token: at.token });
}

/** Is Vault initialised, unsealed and the active node? */
export async function isActive(at: VaultAddress): Promise<boolean> {
  return (await callVault(at, { method: 'GET', path: 'sys/health' })).status === 200;
}

/**
 * Enables transit and AppRole, and writes the policies and roles as they are today. May be repeated.
 *
 * @param known the roles of an earlier time keep their credentials.
 */
export async function setUpTransit(at: AdminAddress, known?: AppRoles): Promise<AppRoles> {
  await enable(at, 'mounts', 'transit');
  await enable(at, 'auth', 'approle');
  await writeRole(at, 'service');
  await writeRole(at, 'provisioner');
  return known ?? { service: await credentialsOf(at, 'service'), provisioner: await credentialsOf(at, 'provisioner') };
}

async function writeRole(at: AdminAddress, role: RoleName): Promise<void> {
  const { token } = at;
  const { name, policy } = roles[role];
  await demandVault(at, { method: 'PUT', path: `sys/policies/acl/${name}`, token, body: { policy } });
  const body = {
    token_policies: [name],
    token_no_default_policy: true,
    token_ttl: tokenTtl,
    token_max_ttl: tokenTtlMax,
  };
  await demandVault(at, { method: 'POST', path: rolePath(role), token, body });
}

async function credentialsOf(at: AdminAddress, role: RoleName): Promise<AppRole> {
  const { token } = at;
  const id = await demandVault(at, { method: 'GET', path: `${rolePath(role)}/role-id`, token });
  const secret = await demandVault(at, { method: 'POST', path: `${rolePath(role)}/secret-id`, token });
  return {
    roleId: (id['data'] as { role_id: string }).role_id,
    secretId: (secret['data'] as { secret_id: string }).secret_id,
  };
}

function rolePath(role: RoleName): string {
  return `auth/approle/role/${roles[role].name}`;
}
