import {
  assertId,
  bridgePermissions,
  identityPermissions,
  importerName,
  importPermissions,
  inboxPrefix,
  platformPermissions,
  type IdentityName,
  type Permissions,
} from '@postern/contracts';
import { encodeUser, fmtCreds, type User } from '@nats-io/jwt';
import { Prefix } from '@nats-io/nkeys';

import { Nkey } from './nkey.ts';
import type { AccountKeys, OperatorBundle } from './operator.ts';

export interface CredentialOptions {
  /** How long the user may connect; for ever when absent. */
  readonly ttlMs?: number | undefined;
}

/** A NATS user as it is handed out, once. */
export interface IssuedCredentials {
  /** The text of a `.creds` file. */
  readonly creds: string;
  /** What identifies the user, and by which it can be revoked. */
  readonly userPublicKey: string;
}

/** The credentials of a service, the provisioner or the administrator, with the permissions of its row. */
export async function identityCreds(
  { accounts }: OperatorBundle,
  identity: IdentityName,
  options: CredentialOptions = {},
): Promise<string> {
  const { creds } = await issue(accounts.core, {
    name: identity,
    permissions: identityPermissions(identity),
    ...options,
  });
  return creds;
}

/** The credentials of one import into empty streams: see `importPermissions`. */
export async function importerCreds(
  { accounts }: OperatorBundle,
  { ttlMs }: { readonly ttlMs: number },
): Promise<string> {
  const { creds } = await issue(accounts.core, { name: importerName, permissions: importPermissions(), ttlMs });
  return creds;
}

/**
 * The credentials of a platform: its own subjects, its own inbox, its tenant's notifications.
 *
 * @throws {PosternError} `request.malformed` for anything but ids.
 */
export async function platformCreds(
  { accounts }: OperatorBundle,
  { tenantId, platformId, ttlMs }: { readonly tenantId: string; readonly platformId: string } & CredentialOptions,
): Promise<IssuedCredentials> {
  assertId('tenant', tenantId);
  assertId('platform', platformId);
  const permissions = platformPermissions({ tenantId, platformId });
  return await issue(accounts.platforms, { name: platformId, permissions, ttlMs });
}

/**
 * The credentials of a bridge: signals about its registrations, its own inbox, and nothing else.
 *
 * @throws {PosternError} `request.malformed` for anything but ids.
 */
export async function bridgeCreds(
  { accounts }: OperatorBundle,
  {
    bridgeId,
    registrationIds,
    ttlMs,
  }: { readonly bridgeId: string; readonly registrationIds: readonly string[] } & CredentialOptions,
): Promise<IssuedCredentials> {
  assertId('bridge', bridgeId);
  for (const id of registrationIds) assertId('registration', id);
  const permissions = bridgePermissions({ bridgeId, registrationIds });
  return await issue(accounts.platforms, { name: bridgeId, permissions, ttlMs });
}

/** The credentials of the deployer in the system account: it asks the nodes about themselves, and sees no message. */
export async function systemCreds({ accounts }: OperatorBundle, options: CredentialOptions = {}): Promise<string> {
  const permissions = { publish: ['$SYS.REQ.>'], subscribe: [`${inboxPrefix('system')}.>`] };
  const { creds } = await issue(accounts.system, { name: 'system', permissions, ...options });
  return creds;
}

async function issue(
  account: AccountKeys,
  { name, permissions, ttlMs }: { name: string; permissions: Permissions } & CredentialOptions,
): Promise<IssuedCredentials> {
  const user = Nkey.create(Prefix.User);
  const claims: Partial<User> = {
    pub: { allow: [...permissions.publish], ...denied(permissions.denyPublish) },
    sub: { allow: [...permissions.subscribe] },
  };
  const jwt = await encodeUser(name, user, account.publicKey, claims, {
    signer: Nkey.fromSeed(account.signingSeed),
    ...(ttlMs === undefined ? {} : { exp: Math.floor((Date.now() + ttlMs) / 1000) }),
  });
  return { creds: new TextDecoder().decode(fmtCreds(jwt, user)), userPublicKey: user.getPublicKey() };
}

function denied(subjects: readonly string[] | undefined): { deny?: string[] } {
  return subjects === undefined || subjects.length === 0 ? {} : { deny: [...subjects] };
}
