import { PosternError } from '@postern/contracts';

import { busError } from './bus-errors.ts';
import type { Bus } from './bus.ts';

const oldestVersion = Object.freeze({ major: 2, minor: 14 });
const answerTimeoutMs = 1_000;

/**
 * Refuses a server that lacks what the log relies upon.
 *
 * @throws {PosternError} `servers.too_old`; `log.unavailable` without JetStream.
 */
export function checkServer(bus: Bus): void {
  const { version = '0', jetstream } = bus.connection.info ?? {};
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < oldestVersion.major || (major === oldestVersion.major && minor < oldestVersion.minor)) {
    throw new PosternError(
      'servers.too_old',
      `nats-server ${version} is older than ${oldestVersion.major}.${oldestVersion.minor}.`,
    );
  }
  if (jetstream !== true) throw new PosternError('log.unavailable', 'The server runs without JetStream.');
}

interface ServerVarz {
  readonly server?: { readonly name?: string };
  readonly data?: { readonly jetstream?: { readonly config?: { readonly sync_always?: boolean } } };
}

/**
 * Proves that every node syncs a message to disk before it acknowledges it.
 *
 * @param bus connected as a user of the system account.
 * @returns the names of the nodes that answered.
 * @throws {PosternError} `log.config_differs` naming the node; `bus.unavailable` when none answered.
 */
export async function checkDurability(bus: Bus): Promise<readonly string[]> {
  const nodes: string[] = [];
  try {
    const answers = await bus.connection.requestMany('$SYS.REQ.SERVER.PING.VARZ', undefined, {
      strategy: 'stall',
      maxWait: answerTimeoutMs,
    });
    for await (const answer of answers) {
      const { server, data } = answer.json<ServerVarz>();
      const name = server?.name ?? 'unnamed';
      if (data?.jetstream !== undefined && data.jetstream.config?.sync_always !== true) {
        throw new PosternError(
          'log.config_differs',
          `Node ${name} acknowledges what it has not synced to disk: its jetstream block needs sync_interval: always.`,
        );
      }
      nodes.push(name);
    }
  } catch (error) {
    throw busError(error);
  }
  if (nodes.length === 0) throw new PosternError('bus.unavailable', 'No node answered the system account.');
  return nodes;
}
