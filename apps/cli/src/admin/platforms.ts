import { hash } from '@node-rs/argon2';

import { newId } from '@postern/contracts';
import { randomToken, Secret } from '@postern/crypto';
import {
  createPlatform,
  disablePlatform,
  issuePlatformCredentials,
  issuePlatformSecret,
  platformEvolver,
  type Platform,
} from '@postern/domain';
import { platformCreds } from '@postern/nats';

import { readOperator } from '../data-folder/operator.ts';
import type { Session } from '../session/session.ts';
import { decideAdmin } from './decide.ts';
import { platformCredsTtlMs, type PlatformRef } from './platform-ref.ts';
import { endNatsUsers, natsUsersOf } from './platform-users.ts';

/** What a platform is given once and never again. */
export interface PlatformAccess {
  readonly platformId: string;
  readonly clientSecret: Secret;
  readonly natsCreds: Secret;
}

/** Argon2id with the second recommended option of RFC 9106 §4: 64 MiB, three passes. */
const argon2 = { memoryCost: 65_536, timeCost: 3, parallelism: 1 } as const;

/**
 * Makes a platform with its client secret and NATS credentials; both are shown once.
 *
 * @effect three commits on ADMIN; each run makes another platform.
 */
export async function createPlatformWithAccess(
  session: Session,
  input: { readonly tenantId: string; readonly name: string; readonly returnUrls: readonly string[] },
): Promise<PlatformAccess> {
  const ref = { tenantId: input.tenantId, platformId: newId('platform') };
  await decidePlatform(session, ref, (state) =>
    createPlatform({ name: input.name, returnUrls: [...input.returnUrls] }, state),
  );
  return issueAccess(session, ref);
}

/** Gives a platform a new client secret and NATS user; the old ones end at once, with the connections of the latter. */
export async function issueAccess(session: Session, ref: PlatformRef): Promise<PlatformAccess> {
  const clientSecret = randomToken(32);
  const secretHash = await hash(clientSecret, argon2);
  await decidePlatform(session, ref, (state) => issuePlatformSecret({ secretHash }, state));
  const { creds, userPublicKey } = await platformCreds(readOperator(session.folder), {
    ...ref,
    ttlMs: platformCredsTtlMs,
  });
  await decidePlatform(session, ref, (state) => issuePlatformCredentials({ natsUser: userPublicKey }, state));
  const older = (await natsUsersOf(session, ref)).filter((user) => user !== userPublicKey);
  await endNatsUsers(session, older);
  return { platformId: ref.platformId, clientSecret: Secret.from(clientSecret), natsCreds: Secret.from(creds) };
}

/**
 * Disables a platform for ever: its services refuse it, and the bus ends its connections.
 *
 * @effect repeating it finishes what a crash left undone.
 */
export async function disable(session: Session, ref: PlatformRef, reason: string | null): Promise<Platform> {
  const state = await decidePlatform(session, ref, (before) => disablePlatform({ reason }, before));
  await endNatsUsers(session, await natsUsersOf(session, ref));
  return state;
}

function decidePlatform(
  session: Session,
  ref: PlatformRef,
  decide: (state: Platform) => ReturnType<typeof createPlatform>,
) {
  return decideAdmin(session, { evolver: platformEvolver, tenantId: ref.tenantId, id: ref.platformId }, decide);
}
