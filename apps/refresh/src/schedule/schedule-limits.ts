const dayMs = 86_400_000;

/** Limits of schedules and of their reconciling. */
export const scheduleLimits = Object.freeze({
  /** By how much of the lead chance may shorten it, so that what began together spreads. */
  jitterShareMax: 0.3,
  /** A token too short-lived to be kept ahead of its end is refreshed when asked for, and this often unasked. */
  shortLivedPauseMs: 5 * 60_000,
  /** A resting refresh token is used this long before it would end; no more than this share of its time. */
  idleLeadMsMax: 7 * dayMs,
  idleLeadShareMax: 0.2,
  /** The owner hears of the end of an authorization this long before it. */
  authorizationNoticeMs: 14 * dayMs,
  /** A message that comes this much before its time comes by another clock than ours, and waits this long at most. */
  earlyWaitMsMax: 60_000,
  /** How often a schedule is set anew because the connection changed meanwhile. */
  keepAttemptsMax: 8,
  /** How many commits one process turns into schedules at a time. */
  workConcurrencyMax: 32,
  /** What is due for longer than this is late. */
  lateAfterMs: 15_000,
  /** A commit younger than this may still be on its way to its schedule. */
  settlingMs: 10_000,
  /** So long what a lost worker bought may still come in to the vault, and is asked for at each reconciling. */
  boughtInDoubtMs: dayMs,
  /** How many connections are compared with their schedules at a time; their messages fit one answer of a server. */
  compareBatch: 256,
  /** How many of them are mended at a time. */
  mendConcurrencyMax: 16,
  /** How often a long survey says how far it is. */
  progressEveryMs: 10_000,
  /** The first reconciling begins within this after the start, so that processes started together do not all read. */
  firstReconcileWithinMs: 2_000,
  /** Reconciling takes no more than one part in this many of a process's time. */
  reconcileTimeShare: 20,
  /** `refresh status` is answered from a survey no older than this. */
  statusAgeMsMax: 2_000,
  /** How long `refresh status` waits for a new survey before it tells of the last one. */
  statusWaitMs: 10_000,
});
