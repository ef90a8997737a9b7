/** Where a stream stands, and where its epochs begin. */
export interface Standing {
  /** The first position of each epoch, the first one's included. */
  readonly starts: readonly number[];
  readonly lastPosition: number;
}

export interface OverdueOptions {
  readonly nowMs: number;
  /** When the message at a position was stored; undefined where none stands. */
  readonly timeAt: (position: number) => Promise<number | undefined>;
  /** How old what stands may become; without it nothing is too old. */
  readonly maxAgeMs: number | undefined;
  /** Where the next segment of the archive can end at the earliest; undefined while it can end nowhere. */
  readonly archivableUpTo: number | undefined;
}

/**
 * For how long CONNECTIONS has held what should be archived and dropped: an epoch that was closed, since the next one was
 * first written to; or the open one, since it was older than an epoch shall become.
 *
 * A segment of the archive ends where a checkpoint does that has another one behind it: what stands of an epoch behind the
 * last such is not overdue, since nobody could archive it, and goes with the next one.
 */
export async function epochOverdueMs(
  { starts, lastPosition }: Standing,
  { nowMs, timeAt, maxAgeMs, archivableUpTo = Infinity }: OverdueOptions,
): Promise<number> {
  const next = starts.find((from) => from > archivableUpTo);
  const closedAtMs = next === undefined ? undefined : await timeAt(next);
  const open = starts.at(-1) ?? 1;
  const begunAtMs = maxAgeMs === undefined || lastPosition < open ? undefined : await timeAt(open);
  return Math.max(
    0,
    closedAtMs === undefined ? 0 : nowMs - closedAtMs,
    begunAtMs === undefined ? 0 : nowMs - begunAtMs - (maxAgeMs ?? 0),
  );
}

/** For how long ACCESS has held records that are older than they may become there, and could be archived. */
export async function recordsOverdueMs({ nowMs, timeAt, maxAgeMs, archivableUpTo }: OverdueOptions): Promise<number> {
  if (maxAgeMs === undefined || archivableUpTo === undefined) return 0;
  const youngestMs = await timeAt(archivableUpTo);
  return youngestMs === undefined ? 0 : Math.max(0, nowMs - youngestMs - maxAgeMs);
}
