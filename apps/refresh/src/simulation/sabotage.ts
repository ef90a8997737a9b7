/**
 * A guard that is taken away, to see that the invariants turn red without it. Options of the simulation alone: the
 * product has no such switch.
 */
export const sabotages = [
  /** The vault releases a refresh token on what it has read, whatever becomes of its append. */
  'release-without-fence',
  /** The vault stores under the next number after the version that was spent, whatever is current. */
  'store-without-version-check',
  /** A claim is over when its end has passed by the looker's wall clock. */
  'claims-by-the-wall-clock',
  /** A vault leases from memory however old that is. */
  'lease-from-stale-memory',
  /** A claim is written without expecting that nothing else was. */
  'claim-without-conflict-check',
] as const;

export type Sabotage = (typeof sabotages)[number];
