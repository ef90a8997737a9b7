import { setTimeout as delay } from 'node:timers/promises';

import { consumers, PosternError, streams, type StreamKey } from '@postern/contracts';
import type { StoredMessage } from '@postern/event-log';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { provision } from './provision.ts';
import { sendOnce } from './send.ts';

export interface ImportOptions {
  /** May publish on the stream's subjects. */
  readonly importer: Bus;
  /** Loosens the stream's memory of message ids for as long as this takes. */
  readonly provisioner: Bus;
  readonly stream: StreamKey;
  /** Positions become new ones; otherwise each message gets the one it had, or nothing does. */
  readonly renumber: boolean;
  readonly onProgress?: ((position: number) => void) | undefined;
}

const inFlightMax = 256;
const ackTimeoutMs = 30_000;
/** As short as the server takes: it would drop a message whose id stood there before, long ago then and just now here. */
const duplicateWindowMs = 100;
/** More than are stored in that time. */
const idsRememberedMax = 65_536;
const expectation = /^nats-expected-/i;
/** What stood together has arrived one by one: none of it is to wait for the others here. */
const batch = /^nats-batch-/i;

/**
 * Fills an empty stream with the messages of another one, as they stand there: subject, payload, headers, order.
 *
 * A position that was expected when a message was first appended is expected again, and holds since every position is
 * the same; with `renumber` it is left out.
 *
 * @effect Not to be repeated: what it has written stays when it fails, and the streams are no longer empty.
 * @returns how many messages were stored.
 * @throws {PosternError} `log.conflict` when something stands there, or a message got another position than it had;
 *   `log.unavailable`, `auth.forbidden`
 */
export async function importMessages(messages: AsyncIterable<StoredMessage>, options: ImportOptions): Promise<number> {
  const { provisioner, stream } = options;
  const { name } = streams[stream];
  const manager = await jetstreamManager(provisioner.connection, { checkAPI: false });
  try {
    const { config, state } = await manager.streams.info(name);
    if (state.last_seq > 0) {
      throw new PosternError('log.conflict', `${name} is not empty: a log is imported into empty streams only.`);
    }
    await manager.streams.update(name, { ...config, duplicate_window: duplicateWindowMs * 1e6 });
    const stored = await storeAll(messages, options);
    await provision(provisioner);
    await passOverTheTold(manager, stream);
    return stored;
  } catch (error) {
    throw error instanceof PosternError ? error : logError(error);
  }
}

async function storeAll(messages: AsyncIterable<StoredMessage>, options: ImportOptions): Promise<number> {
  const { onProgress, renumber } = options;
  const ids = new Set<string>();
  let inFlight: Promise<void>[] = [];
  const settle = async () => {
    await Promise.all(inFlight);
    inFlight = [];
  };
  let stored = 0;
  for await (const message of messages) {
    const id = message.headers['Nats-Msg-Id'];
    if ((id !== undefined && ids.has(id)) || ids.size >= idsRememberedMax) {
      await settle();
      await delay(2 * duplicateWindowMs);
      ids.clear();
    }
    if (id !== undefined) ids.add(id);
    stored += 1;
    const position = renumber ? stored : message.position;
    inFlight.push(store(message, { ...options, position }));
    if (inFlight.length < inFlightMax) continue;
    await settle();
    onProgress?.(position);
  }
  await settle();
  return stored;
}

async function store(
  { subject, payload, headers }: StoredMessage,
  { importer, stream, position, renumber }: ImportOptions & { readonly position: number },
): Promise<void> {
  const { name } = streams[stream];
  const kept = Object.entries(headers).filter(
    ([header]) => !batch.test(header) && !(renumber && expectation.test(header)),
  );
  const message = { stream: name, subject, payload, headers: Object.fromEntries(kept), ackTimeoutMs };
  const outcome = await sendOnce(importer, message);
  if (outcome.kind === 'stored' && outcome.position === position) return;
  const what = outcome.kind === 'stored' ? `stands at ${outcome.position}` : `was not stored (${outcome.kind})`;
  throw new PosternError('log.conflict', `The message of position ${position} of ${name} ${what}. Begin anew, empty.`);
}

/** What the owners were told in the old house is not told again. */
async function passOverTheTold(manager: JetStreamManager, stream: StreamKey): Promise<void> {
  if (stream !== 'connections') return;
  const { ownerNotices } = consumers;
  const { state } = await manager.streams.info(streams.connections.name);
  if (state.last_seq === 0) return;
  await manager.consumers.reset(ownerNotices.stream, ownerNotices.name, state.last_seq + 1);
}
