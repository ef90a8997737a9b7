import type { Connection } from '../connection/state.ts';
import type { Rollout } from './rollout.ts';

/** A connection, as far as versions of its provider's file depend on it. */
export interface PinnedConnection {
  readonly connectionId: string;
  readonly registrationId: string;
  /** The version that it was authorized with; null before there is one. */
  readonly pinned: number | null;
}

/** What of a connection's state decides it. */
export function pinnedOf({ connectionId, registrationId, credential }: Connection): PinnedConnection {
  return { connectionId, registrationId, pinned: credential?.providerVersion ?? null };
}

const percent = 100;
/** The share is cut as finely as this. */
const buckets = 10_000;

/**
 * Which version of its provider's file a connection uses now: the canary's, what was promoted above the pins, its own.
 *
 * A pure function of what the log says, so that all services come to the same without asking each other.
 *
 * @returns null where the tenant has decided nothing and the connection has no pin: what the catalog has as its newest
 */
export function versionInUse(connection: PinnedConnection, rollout: Rollout | undefined): number | null {
  const { pinned } = connection;
  if (rollout?.exists !== true) return pinned;
  const { canary, current, withdrawn } = rollout;
  if (canary !== null && isInCanary(connection, canary)) return canary.version;
  if (current?.carriesConnections === true) return current.version;
  if (pinned !== null && !withdrawn.includes(pinned)) return pinned;
  return current?.version ?? null;
}

/**
 * Which version a new authorization is made with and pinned to; for a connection that is there the newest choice, too,
 * unless the policy says that pins stay.
 *
 * @returns null as {@link versionInUse}
 */
export function versionForAuthorization(connection: PinnedConnection, rollout: Rollout | undefined): number | null {
  if (connection.pinned !== null && rollout?.reauthorizationMovesPin === false) {
    return versionInUse(connection, rollout);
  }
  return versionInUse({ ...connection, pinned: null }, rollout);
}

/**
 * Which version of the file counts for a registration itself, before any of its connections is known: the canary's where
 * that names the registration, else what new connections get. A share is of connections, and no registration's.
 *
 * @returns null as {@link versionInUse}
 */
export function versionForRegistration(registrationId: string, rollout: Rollout | undefined): number | null {
  if (rollout?.exists !== true) return null;
  const { canary, current } = rollout;
  if (canary?.registrationIds.includes(registrationId) === true) return canary.version;
  return current?.version ?? null;
}

function isInCanary(
  { connectionId, registrationId }: PinnedConnection,
  { version, sharePercent, connectionIds, registrationIds }: NonNullable<Rollout['canary']>,
): boolean {
  if (connectionIds.includes(connectionId) || registrationIds.includes(registrationId)) return true;
  return bucketOf(`${version}/${connectionId}`) < (sharePercent * buckets) / percent;
}

/** The same for a connection and version everywhere: a larger share holds everyone that a smaller one did. @source FNV-1a */
function bucketOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  // The last characters must reach the high bits, too.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return ((hash ^ (hash >>> 13)) >>> 0) % buckets;
}
