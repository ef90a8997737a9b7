import { randomBytes } from 'node:crypto';
import { PosternError } from '@postern/contracts';
import type { ProcessEnd } from './child-process.ts';
import { postgresAccess } from './postgres-database.ts';
import type { Postgres, PostgresOptions } from './postgres.ts';

const image = 'postgres:18';
const installAdvice = [
  'Debian: apt-get install postgresql, and set POSTERN_POSTGRES_URL to its superuser',
  'macOS: brew install postgresql@18, and set POSTERN_POSTGRES_URL to its superuser',
  'Docker: start a Docker engine, and the image postgres:18 is used',
].join('\n');

async function engine(): Promise<typeof import('testcontainers')> {
  try {
    const testcontainers = await import('testcontainers');
    await testcontainers.getContainerRuntimeClient();
    return testcontainers;
  } catch (error) {
    const text = 'npm has no PostgreSQL for this platform, and no Docker engine answers';
    throw new PosternError('servers.not_found', `${text}\n${installAdvice}`, { cause: error });
  }
}

/**
 * PostgreSQL in a container, where npm has none for the platform: the last resort.
 *
 * Its data live and end with the container. `POSTERN_POSTGRES_IMAGE` names another image than postgres:18. When
 * this process is killed, the reaper of `testcontainers` removes the container.
 *
 * @throws {PosternError} `servers.not_found` when no Docker engine answers.
 */
export async function startPostgresContainer({ env = process.env, port }: PostgresOptions): Promise<Postgres> {
  const { GenericContainer, Wait } = await engine();
  const password = randomBytes(24).toString('base64url');
  const container = await new GenericContainer(env['POSTERN_POSTGRES_IMAGE'] ?? image)
    .withEnvironment({ POSTGRES_PASSWORD: password })
    .withExposedPorts(port === undefined ? 5432 : { container: 5432, host: port })
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .start();
  const url = `postgres://postgres:${password}@${container.getHost()}:${container.getMappedPort(5432)}/postgres`;
  const ended = Promise.withResolvers<ProcessEnd>();
  const end = async (timeout: number): Promise<void> => {
    await container.stop({ timeout });
    ended.resolve({ code: 0, signal: null });
  };
  return {
    name: 'postgres',
    source: 'docker',
    ...postgresAccess(url),
    pid: undefined,
    exited: ended.promise,
    stop: () => end(10_000),
    kill: () => end(0),
  };
}
