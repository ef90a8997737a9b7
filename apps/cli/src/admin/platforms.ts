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

/** What a platform is given once and never again. */
export interface PlatformAccess {
  readonly platformId: string;
  readonly clientSecret: Secret;
  readonly natsCreds: Secret;
}

/** Argon2id with the second recommended option of RFC 9106 §4: 64 MiB, three passes. */
const argon2 = { memoryCost: 65_536, timeCost: 3, parallelism: 1 } as const;

/** A platform's NATS user lives this long; `platforms rotate` gives a new one. */
const platformCredsTtlMs = 365 * 86_400_000;

interface PlatformRef {
  readonly tenantId: string;
  readonly platformId: string;
}

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

/** Gives a platform a new client secret and NATS user; the old secret ends at once. */
export async function issueAccess(session: Session, ref: PlatformRef): Promise<PlatformAccess> {
  const clientSecret = randomToken(32);
  const secretHash = await hash(clientSecret, argon2);
  await decidePlatform(session, ref, (state) => issuePlatformSecret({ secretHash }, state));
  const { creds, userPublicKey } = await platformCreds(readOperator(session.folder), {
    ...ref,
    ttlMs: platformCredsTtlMs,
  });
  await decidePlatform(session, ref, (state) => issuePlatformCredentials({ natsUser: userPublicKey }, state));
  return { platformId: ref.platformId, clientSecret: Secret.from(clientSecret), natsCreds: Secret.from(creds) };
}

export function disable(session: Session, ref: PlatformRef, reason: string | null): Promise<Platform> {
  return decidePlatform(session, ref, (state) => disablePlatform({ reason }, state));
}

function decidePlatform(
  session: Session,
  ref: PlatformRef,
  decide: (state: Platform) => ReturnType<typeof createPlatform>,
) {
  return decideAdmin(session, { evolver: platformEvolver, tenantId: ref.tenantId, id: ref.platformId }, decide);
}
