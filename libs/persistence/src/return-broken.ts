/** A connection that a pool has lent; what is used of `pg`'s. */
interface LentClient {
  release: (error?: Error | boolean) => void;
  once(event: 'end', listener: () => void): unknown;
  off(event: 'end', listener: () => void): unknown;
}

/** What is used of `pg`'s pool: the way in which a dialect takes a connection. */
export interface LendingPool {
  connect: (...args: never[]) => unknown;
}

/**
 * Makes a pool take back the connections that end while they are lent.
 *
 * When `begin`, `commit` or `rollback` fail because the database was killed, nobody gives their connection back (kysely
 * 0.29, controlled transactions), and each takes a place in the pool for ever: after a few, nothing reaches a database
 * that is well again. So the end of a connection is its return, and whoever returns it later does nothing.
 *
 * @effect replaces `pool.connect`.
 */
export function returnBroken(pool: LendingPool): void {
  const connect = pool.connect.bind(pool) as (...args: unknown[]) => unknown;
  pool.connect = (...args: unknown[]): unknown => {
    // The way with a callback is the pool's own, which returns what it takes.
    if (args.length > 0) return connect(...args);
    return (connect() as Promise<LentClient>).then(watched);
  };
}

function watched(client: LentClient): LentClient {
  const release = client.release.bind(client);
  let isLent = true;
  const giveBack = (error?: Error | boolean): void => {
    if (!isLent) return;
    isLent = false;
    client.off('end', onEnd);
    release(error);
  };
  const onEnd = (): void => giveBack(true);
  client.once('end', onEnd);
  client.release = giveBack;
  return client;
}
