import { consumers, streams, type ConsumerSpec, type StreamSpec } from '@postern/contracts';
import { JetStreamApiError, jetstreamManager, PersistMode, type JetStreamManager } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { configDiffers } from './check-streams.ts';
import {
  consumerConfigOf,
  consumerDifferences,
  streamConfigOf,
  streamDifferences,
  type ConfigDifference,
} from './stream-config.ts';

export interface ProvisionOptions {
  /** 1 for one node, 3 for a cluster. */
  readonly replicas?: number | undefined;
}

/** What was done to each stream and consumer, by name. */
export type Provisioned = Readonly<Record<string, 'created' | 'updated' | 'unchanged'>>;

const streamNotFound = 10059;
const consumerNotFound = 10014;

/**
 * Makes the streams and durable consumers as they must be. At deploy time, by the provisioner alone.
 *
 * @effect May be repeated. It never makes a change by which messages could be lost.
 * @throws {PosternError} `log.config_differs` when only such a change would do, `auth.forbidden`, `log.unavailable`.
 */
export async function provision(bus: Bus, { replicas = 1 }: ProvisionOptions = {}): Promise<Provisioned> {
  const manager = await jetstreamManager(bus.connection, { checkAPI: false });
  const done: Record<string, 'created' | 'updated' | 'unchanged'> = {};
  try {
    for (const spec of Object.values(streams)) done[spec.name] = await provisionStream(manager, spec, replicas);
    for (const spec of Object.values(consumers)) {
      done[`${spec.stream}/${spec.name}`] = await provisionConsumer(manager, spec);
    }
  } catch (error) {
    throw logError(error);
  }
  return done;
}

async function provisionStream(manager: JetStreamManager, spec: StreamSpec, replicas: number) {
  const wanted = streamConfigOf(spec);
  const found = await orUndefined(manager.streams.info(spec.name), streamNotFound);
  if (found === undefined) {
    // The replicas are what keeps a message then, and the server refuses both.
    const persist_mode = replicas > 1 ? PersistMode.Default : wanted.persist_mode;
    const created = await manager.streams.add({ ...wanted, persist_mode, num_replicas: replicas });
    assertSame(`Stream ${spec.name}`, streamDifferences(wanted, { ...created.config }));
    return 'created';
  }
  const differences = streamDifferences(wanted, { ...found.config });
  if (differences.length === 0) return 'unchanged';
  const destructive = differences.filter((difference) => !isHarmless(difference));
  assertSame(`Stream ${spec.name} would have to be changed in a way that can lose messages`, destructive);
  const { num_replicas, persist_mode, max_bytes, deny_purge, metadata } = found.config;
  const roomy = {
    ...wanted,
    num_replicas,
    persist_mode,
    max_bytes: Math.max(wanted.max_bytes, max_bytes),
    deny_purge: wanted.deny_purge || deny_purge,
    // Where epochs begin.
    ...(metadata && { metadata }),
  };
  const updated = await manager.streams.update(spec.name, roomy);
  assertSame(`Stream ${spec.name}`, streamDifferences(wanted, { ...updated.config }));
  return 'updated';
}

/** Changes that keep every message and let nobody in: switching a protection on, raising a limit, adding subjects. */
function isHarmless({ field, wanted, found }: ConfigDifference): boolean {
  switch (field) {
    case 'deny_delete':
    case 'deny_purge':
    case 'allow_direct':
      return wanted === true;
    case 'duplicate_window':
    case 'max_consumers':
    case 'no_ack':
      return true;
    case 'max_bytes':
    case 'max_msg_size':
      return typeof wanted === 'number' && typeof found === 'number' && found !== -1 && wanted > found;
    case 'subjects':
      return Array.isArray(wanted) && Array.isArray(found) && found.every((subject) => wanted.includes(subject));
    default:
      return false;
  }
}

async function provisionConsumer(manager: JetStreamManager, spec: ConsumerSpec) {
  const wanted = consumerConfigOf(spec);
  const found = await orUndefined(manager.consumers.info(spec.stream, spec.name), consumerNotFound);
  if (found === undefined) {
    await manager.consumers.add(spec.stream, wanted);
    return 'created';
  }
  const differences = consumerDifferences(wanted, { ...found.config });
  if (differences.length === 0) return 'unchanged';
  const adjustable = new Set(['ack_wait', 'max_ack_pending', 'max_deliver']);
  assertSame(
    `Consumer ${spec.name} would have to be made anew`,
    differences.filter(({ field }) => !adjustable.has(field)),
  );
  await manager.consumers.update(spec.stream, spec.name, wanted);
  return 'updated';
}

function assertSame(what: string, differences: readonly ConfigDifference[]): void {
  if (differences.length > 0) throw configDiffers(what, differences);
}

async function orUndefined<T>(answer: Promise<T>, code: number): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === code) return undefined;
    throw error;
  }
}
