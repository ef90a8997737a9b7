import { PosternError, streams, type StreamKey } from '@postern/contracts';
import { JetStreamApiError, jetstreamManager } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { readClock, systemClocks, type ClockReading, type Clocks } from './clock-reading.ts';
import { streamConfigOf, streamDifferences, type ConfigDifference } from './stream-config.ts';

const streamNotFound = 10059;

/**
 * Compares the configuration that the server returns with the one the code relies upon.
 *
 * @returns what the clock said of whoever answered, a reading for each stream: its leader stamps its messages.
 * @throws {PosternError} `log.config_differs` with the stream and its fields, or when it is not there;
 *   `log.unavailable`.
 */
export async function checkStreams(
  bus: Bus,
  keys: readonly StreamKey[],
  clocks: Clocks = systemClocks,
): Promise<ClockReading[]> {
  const manager = await jetstreamManager(bus.connection, { checkAPI: false });
  const readings: ClockReading[] = [];
  for (const key of keys) {
    const { name } = streams[key];
    const { answer, reading } = await readClock(clocks, () => manager.streams.info(name)).catch((error: unknown) => {
      throw isMissing(error) ? new PosternError('log.config_differs', `Stream ${name} is not there.`) : logError(error);
    });
    const differences = streamDifferences(streamConfigOf(streams[key]), { ...answer.config });
    if (differences.length > 0) throw configDiffers(`Stream ${name}`, differences);
    readings.push(reading);
  }
  return readings;
}

function isMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === streamNotFound;
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
