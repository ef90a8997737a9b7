import { consumers, PosternError, streams, type StreamKey } from '@postern/contracts';
import type { LogBeginning } from '@postern/event-log';
import { jetstreamManager, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';

/** Kept with the stream, where only the provisioner can change it: what it says is convenient, and proves nothing. */
const metadataKeys = { epochs: 'postern-epochs', verifiedUpTo: 'postern-verified-up-to' } as const;

/** Where a stream stands, and where its epochs begin. */
export interface LogEpochs extends LogBeginning {
  /** The first position of each epoch, the first one's included. */
  readonly starts: readonly number[];
  readonly lastPosition: number;
  readonly messages: number;
  readonly bytes: number;
  readonly maxBytes: number;
}

/** @throws {PosternError} `log.unavailable`, `auth.forbidden` */
export async function readEpochs(bus: Bus, stream: StreamKey): Promise<LogEpochs> {
  const info = await manage(bus, (manager) => manager.streams.info(streams[stream].name));
  const { last_seq: lastPosition, messages, bytes } = info.state;
  return {
    ...beginningOf(info),
    starts: startsOf(info),
    lastPosition,
    messages,
    bytes,
    maxBytes: info.config.max_bytes,
  };
}

/** @internal */
export function beginningOf({ state, config }: Pick<StreamInfo, 'state' | 'config'>): LogBeginning {
  const verifiedUpTo = Number(config.metadata?.[metadataKeys.verifiedUpTo] ?? 0);
  return { firstPosition: Math.max(1, state.first_seq), verifiedUpTo };
}

function startsOf({ config }: Pick<StreamInfo, 'config'>): readonly number[] {
  const starts: unknown = JSON.parse(config.metadata?.[metadataKeys.epochs] ?? '[1]');
  return Array.isArray(starts) && starts.every((one) => Number.isSafeInteger(one)) ? (starts as number[]) : [1];
}

/**
 * Opens the next epoch behind the last message that stands.
 *
 * @effect Not to be repeated: each call opens another one. The provisioner alone.
 * @returns its number and first position.
 */
export async function openEpoch(
  provisioner: Bus,
  stream: StreamKey,
): Promise<{ readonly epoch: number; readonly from: number }> {
  return await manage(provisioner, async (manager) => {
    const info = await manager.streams.info(streams[stream].name);
    const from = info.state.last_seq + 1;
    const starts = [...startsOf(info), from];
    await setMetadata(manager, info, { [metadataKeys.epochs]: JSON.stringify(starts) });
    return { epoch: starts.length, from };
  });
}

export interface DropOptions {
  /** The last position that goes. */
  readonly upTo: number;
  /** Up to where the whole log was verified just now: openings up to there are believed without what stood before them. */
  readonly verifiedUpTo: number;
  readonly onProgress?: ((position: number) => void) | undefined;
}

/** So many go at a time: an append waits for one such step at most. */
const dropStep = 50_000;

/**
 * Drops the beginning of a stream. Whoever calls has archived and verified it: nothing here can tell.
 *
 * @effect Those messages are gone. May be repeated; interrupted, it goes on from where it was. The provisioner alone.
 * @throws {PosternError} `log.conflict` while a durable consumer has not come so far; `log.config_differs` for a stream of
 *   an older build, from which nothing can ever be dropped; `log.unavailable`, `auth.forbidden`
 */
export async function dropBeginning(provisioner: Bus, stream: StreamKey, options: DropOptions): Promise<void> {
  const { upTo, verifiedUpTo, onProgress } = options;
  const { name } = streams[stream];
  await manage(provisioner, async (manager) => {
    const info = await manager.streams.info(name);
    if (info.config.deny_purge) {
      const how = 'Move house: postern events export, postern events import.';
      throw new PosternError('log.config_differs', `${name} was made so that nothing can ever be dropped. ${how}`);
    }
    await assertConsumed(manager, name, upTo);
    await setMetadata(manager, info, { [metadataKeys.verifiedUpTo]: String(verifiedUpTo) });
    for (let from = Math.max(1, info.state.first_seq); from <= upTo; from += dropStep) {
      const last = Math.min(upTo, from + dropStep - 1);
      await manager.streams.purge(name, { seq: last + 1 });
      onProgress?.(last);
    }
  });
}

async function assertConsumed(manager: JetStreamManager, stream: string, upTo: number): Promise<void> {
  for (const { name } of Object.values(consumers).filter((one) => one.stream === stream)) {
    const { ack_floor, num_pending, num_ack_pending } = await manager.consumers.info(stream, name);
    if (ack_floor.stream_seq >= upTo || num_pending + num_ack_pending === 0) continue;
    throw new PosternError('log.conflict', `${name} has worked off ${stream} up to ${ack_floor.stream_seq} only.`);
  }
}

async function setMetadata(
  manager: JetStreamManager,
  { config }: Pick<StreamInfo, 'config'>,
  added: Readonly<Record<string, string>>,
): Promise<void> {
  // The server's own entries are the server's.
  const own = Object.entries(config.metadata ?? {}).filter(([key]) => !key.startsWith('_nats.'));
  await manager.streams.update(config.name, { ...config, metadata: { ...Object.fromEntries(own), ...added } });
}

async function manage<T>(bus: Bus, work: (manager: JetStreamManager) => Promise<T>): Promise<T> {
  try {
    return await work(await jetstreamManager(bus.connection, { checkAPI: false }));
  } catch (error) {
    throw error instanceof PosternError ? error : logError(error);
  }
}
