import { callVault, demandVault } from './vault-http.ts';
import type { VaultAddress } from './vault-http.ts';

const policyName = 'postern-transit';
const roleName = 'postern';
const tokenTtl = '1h';

/**
 * What Postern's vault service may do: use and rotate transit keys. Not export, back up or delete them, and
 * nothing outside transit, its own token included.
 */
const policy = ['encrypt', 'decrypt', 'rewrap', 'datakey', 'hmac', 'verify', 'keys']
  .map((area) => `path "transit/${area}/*" { capabilities = ["create", "read", "update", "list"] }`)
  .concat('path "transit/keys" { capabilities = ["list"] }')
  .join('\n');

/** The credentials of the one role, for `auth/approle/login`. */
export interface AppRole {
  readonly roleId: string;
  readonly secretId: string;
}

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
 * Enables transit and AppRole, and writes the one policy and the one role. May be repeated.
 *
 * @returns the role's id and a new secret id.
 */
export async function setUpTransit(at: AdminAddress): Promise<AppRole> {
  const { token } = at;
  await enable(at, 'mounts', 'transit');
  await enable(at, 'auth', 'approle');
  await demandVault(at, { method: 'PUT', path: `sys/policies/acl/${policyName}`, token, body: { policy } });
  const role = {
    token_policies: [policyName],
    token_no_default_policy: true,
    token_ttl: tokenTtl,
    token_max_ttl: tokenTtl,
  };
  const path = `auth/approle/role/${roleName}`;
  await demandVault(at, { method: 'POST', path, token, body: role });
  const id = await demandVault(at, { method: 'GET', path: `${path}/role-id`, token });
  const secret = await demandVault(at, { method: 'POST', path: `${path}/secret-id`, token });
  return {
    roleId: (id['data'] as { role_id: string }).role_id,
    secretId: (secret['data'] as { secret_id: string }).secret_id,
  };
}
