import { statfs } from 'node:fs/promises';

/** What nats-server says of a stream that it stopped writing to. */
const frozenWords = /write error|no space left on device/i;
const checkIntervalMsDefault = 2_000;
const answerTimeoutMs = 2_000;
/** Where it freezes again with room to spare, the disk itself fails, and starting over helps no more often than this. */
const restartPauseMs = 60_000;

/** Less room than this is none: a server started into it would freeze again at its first larger writes. */
export const storeRoomBytesMin = 64 * 1024 ** 2;

export interface WatchStoreOptions {
  /** Of nats-server. */
  readonly monitorUrl: string;
  /** Where its streams are. */
  readonly folder: string;
  /** Ends the server, which is then started again by whoever keeps it running. */
  readonly restart: () => Promise<void>;
  readonly onProblem: (sentence: string) => void;
  /** {@link storeRoomBytesMin} when absent. */
  readonly roomBytesMin?: number | undefined;
  /** 2 s when absent. */
  readonly checkIntervalMs?: number | undefined;
}

/**
 * Watches nats-server for streams that froze, and has it started again when there is room.
 *
 * A write that fails, on a full disk above all, freezes its stream: publishes then time out without a word, also when
 * there is room again, until the server is started anew. It says so on `/healthz` and nowhere else (the variants of
 * that page that only look at the server stay well).
 *
 * @returns ends the watch.
 */
export function watchStore(options: WatchStoreOptions): () => Promise<void> {
  const stopping = new AbortController();
  const watching = watch(options, stopping.signal);
  return async () => {
    stopping.abort();
    await watching;
  };
}

async function watch(options: WatchStoreOptions, signal: AbortSignal): Promise<void> {
  const { monitorUrl, folder, restart, onProblem } = options;
  const { roomBytesMin = storeRoomBytesMin, checkIntervalMs = checkIntervalMsDefault } = options;
  let told = false;
  let restartedAtMs = -Infinity;
  while (!signal.aborted) {
    await pause(checkIntervalMs, signal);
    const health = await healthOf(monitorUrl, signal);
    if (health === 'unknown') continue;
    if (health === 'well') {
      told = false;
      continue;
    }
    const freeBytes = await freeBytesOf(folder);
    const room = freeBytes >= roomBytesMin;
    if (!told) onProblem(frozenSentence({ folder, freeBytes, roomBytesMin, health }));
    told = true;
    if (!room || performance.now() - restartedAtMs < restartPauseMs || signal.aborted) continue;
    onProblem(`there is room in ${folder} (${mebibytes(freeBytes)} free): nats-server is started again`);
    await restart();
    restartedAtMs = performance.now();
    told = false;
  }
}

/** `well`, `unknown` when there is no answer or another trouble, or what froze, in the words of the server. */
async function healthOf(monitorUrl: string, signal: AbortSignal): Promise<'well' | 'unknown' | { error: string }> {
  try {
    const either = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]);
    const answer = await fetch(`${monitorUrl}/healthz`, { signal: either });
    const { status, error = '' } = (await answer.json()) as { status?: string; error?: string };
    if (status === 'ok') return 'well';
    return frozenWords.test(error) ? { error } : 'unknown';
  } catch {
    return 'unknown';
  }
}

interface Frozen {
  readonly folder: string;
  readonly freeBytes: number;
  readonly roomBytesMin: number;
  readonly health: { readonly error: string };
}

function frozenSentence({ folder, freeBytes, roomBytesMin, health }: Frozen): string {
  const free = mebibytes(freeBytes);
  return freeBytes < roomBytesMin
    ? `the disk of ${folder} is full (${free} free): nothing can be recorded, so nothing is leased; nats-server is started again once ${mebibytes(roomBytesMin)} are free`
    : `nats-server could not write to ${folder} (${free} free): ${health.error}`;
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
