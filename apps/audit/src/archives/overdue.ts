/** Where a stream stands, and where its epochs begin. */
export interface Standing {
  /** The first position of each epoch, the first one's included. */
  readonly starts: readonly number[];
  readonly firstPosition: number;
  readonly lastPosition: number;
}

export interface OverdueOptions {
  readonly nowMs: number;
  /** When the message at a position was stored; undefined where none stands. */
  readonly timeAt: (position: number) => Promise<number | undefined>;
  /** How old what stands may become; without it nothing is too old. */
  readonly maxAgeMs: number | undefined;
}

/**
 * For how long CONNECTIONS has held what should be archived and dropped: an epoch that was closed, since the next one was
 * first written to; or the open one, since it was older than an epoch shall become.
 *
 * A segment of the archive ends where a checkpoint does, so the last minute of an epoch stays until the next one goes: one
 * whose beginning is gone counts as dropped.
 */
export async function epochOverdueMs(standing: Standing, { nowMs, timeAt, maxAgeMs }: OverdueOptions): Promise<number> {
  const { starts, firstPosition, lastPosition } = standing;
  const eldest = starts.findIndex((from) => firstPosition <= from);
  const next = eldest < 0 ? undefined : starts[eldest + 1];
  const closedAtMs = next === undefined ? undefined : await timeAt(next);
  const open = starts.at(-1) ?? 1;
  const begunAtMs = maxAgeMs === undefined || lastPosition < open ? undefined : await timeAt(open);
  return Math.max(
    0,
    closedAtMs === undefined ? 0 : nowMs - closedAtMs,
    begunAtMs === undefined ? 0 : nowMs - begunAtMs - (maxAgeMs ?? 0),
  );
}

/** For how long ACCESS has held records that are older than they may become there. */
export async function recordsOverdueMs(
  { firstPosition, lastPosition }: Standing,
  { nowMs, timeAt, maxAgeMs }: OverdueOptions,
): Promise<number> {
  if (maxAgeMs === undefined || lastPosition < firstPosition) return 0;
  const eldestMs = await timeAt(firstPosition);
  return eldestMs === undefined ? 0 : Math.max(0, nowMs - eldestMs - maxAgeMs);
}
