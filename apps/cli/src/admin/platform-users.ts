import { subjects } from '@postern/contracts';
import { platformEvolver, type Platform } from '@postern/domain';
import { connectBus, revokePlatformUsers, systemCreds, updateAccount, type OperatorBundle } from '@postern/nats';

import { changeOperator } from '../data-folder/operator.ts';
import type { Session } from '../session/session.ts';
import { listAdmin } from './decide.ts';
import { platformCredsTtlMs, type PlatformRef } from './platform-ref.ts';

/** How long a command's own user of the system account lives. */
const systemTtlMs = 60_000;

/**
 * Every NATS user that a platform was ever given, the newest last; asked of the log, so that one whose ending was cut
 * short by a crash is ended by the next.
 */
export async function natsUsersOf(session: Session, { tenantId, platformId }: PlatformRef): Promise<string[]> {
  const users: string[] = [];
  const filter = subjects.admin({ tenantId, aggregate: 'platform', id: platformId });
  for await (const message of session.admin.read({ filter })) {
    const result = session.reader.read(message);
    if (result.kind !== 'commit') continue;
    for (const { type, data } of result.entry.commit.events) {
      if (type === 'PlatformCredentialsIssued') users.push(String((data as { natsUser: unknown }).natsUser));
    }
  }
  return users;
}

/**
 * Ends NATS users: the server closes their connections and refuses them from now on.
 *
 * @effect written to the data folder first, so that a server that starts later knows it; may be repeated.
 * @throws {PosternError} `bus.unavailable`, `service.not_ready`; then repeat it.
 */
export async function endNatsUsers(session: Session, users: readonly string[]): Promise<void> {
  if (users.length === 0) return;
  const ending = { nowMs: Date.now(), userTtlMsMax: platformCredsTtlMs };
  const revoke = (before: OperatorBundle) => revokePlatformUsers(before, users, ending);
  await changeOperator(session.folder, revoke, (bundle) => tellServers(session, bundle));
}

async function tellServers({ natsUrl }: Session, bundle: OperatorBundle): Promise<void> {
  const creds = await systemCreds(bundle, { ttlMs: systemTtlMs });
  const bus = await connectBus({ servers: natsUrl, creds, identity: 'system', name: 'postern command' });
  try {
    await updateAccount(bus, bundle.accounts.platforms);
  } finally {
    await bus.close();
  }
}

/** Ends every user of a tenant's platforms. */
export async function endNatsUsersOfTenant(session: Session, tenantId: string): Promise<void> {
  const platforms: Platform[] = await listAdmin(session, { evolver: platformEvolver, tenantId });
  const users = await Promise.all(platforms.map(({ platformId }) => natsUsersOf(session, { tenantId, platformId })));
  await endNatsUsers(session, users.flat());
}
