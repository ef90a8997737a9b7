import { PosternError, streams, type StreamKey } from '@postern/contracts';
import { jetstreamManager } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { streamConfigOf, streamDifferences, type ConfigDifference } from './stream-config.ts';

/**
 * Compares the configuration that the server returns with the one the code relies upon.
 *
 * @throws {PosternError} `log.config_differs` with the stream and its fields; `log.unavailable`.
 */
export async function checkStreams(bus: Bus, keys: readonly StreamKey[]): Promise<void> {
  const manager = await jetstreamManager(bus.connection, { checkAPI: false });
  for (const key of keys) {
    const { name } = streams[key];
    const info = await manager.streams.info(name).catch((error: unknown) => {
      throw logError(error);
    });
    const differences = streamDifferences(streamConfigOf(streams[key]), { ...info.config });
    if (differences.length > 0) throw configDiffers(`Stream ${name}`, differences);
  }
}

/** The error that names what differs, and from what. */
export function configDiffers(what: string, differences: readonly ConfigDifference[]): PosternError {
  const fields = differences.map(({ field, wanted, found }) => ({
    path: field,
    reason: `must be ${JSON.stringify(wanted) ?? 'absent'}, is ${JSON.stringify(found) ?? 'absent'}`,
  }));
  const named = fields.map(({ path, reason }) => `${path} ${reason}`).join('; ');
  return new PosternError('log.config_differs', `${what}: ${named}.`, { details: { fields } });
}
