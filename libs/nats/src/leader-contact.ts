/**
 * Longer than a quiet leader leaves between two heartbeats (2 s at worst), shorter than its followers wait before they
 * elect another (4 s at least): both are constants of nats-server.
 */
const contactMsMax = 3_000;
const nanosPerMs = 1_000_000;

/** The part of a stream's info that tells of its replicas. */
interface LeaderInfo {
  readonly leader?: string;
  /** `active`: nanoseconds since the leader heard from it. */
  readonly replicas?: readonly { readonly active: number }[];
}

/**
 * Has the leader that answers heard from most of its replicas lately?
 *
 * A leader that was cut off goes on answering for up to twenty seconds, while the others have elected another and take
 * appends that it never sees. Its head proves nothing then. One that heard from most within three seconds was not yet
 * deposed at that time.
 *
 * @param cluster as the stream's info tells it; without replicas there is nobody to be cut off from.
 */
export function hasContact(cluster: LeaderInfo | undefined): boolean {
  const replicas = cluster?.replicas ?? [];
  if (replicas.length === 0) return true;
  if ((cluster?.leader ?? '') === '') return false;
  // Zero is what the server says of a replica it never heard from.
  const heard = replicas.filter(({ active }) => active > 0 && active <= contactMsMax * nanosPerMs).length;
  return (heard + 1) * 2 > replicas.length + 1;
}
