/** The pace at which refresh tokens are spent. */
export const paceLimits = Object.freeze({
  /** One tenant may hold as many seats as this many times the free ones: three quarters of all when it is alone. */
  seatsPerFreeSeat: 3,
  /** How long a due message may wait for a seat, as far as can be reckoned; whoever would wait longer is put back. */
  seatWaitMsExpected: 12_000,
  /** How long it does wait before it is put back. */
  seatWaitMsMax: 15_000,
  /** What a seat is taken for, until it is known better. */
  seatMsFirst: 100,
  /** How much a new measurement counts. */
  seatMsWeight: 0.05,
  /**
   * How often a message comes back in the time in which all seats are taken once: of one tenant's, little more than its
   * share of them can take, since those that wait in the process make up for what is late, and few come in vain.
   */
  returnsPerTurn: 0.8,
  /** The longest spread of what is put back; who does not fit in stands in a second line, from the middle of it on. */
  returnSpreadMsMax: 60_000,
  /** The longest pause between two of that line: 400 a second, about what one process works off. */
  crowdIntervalMsMax: 2.5,
  returnDelayMsMin: 50,
  /** Failures in a row, of one client registration, after which its provider is left alone for a while. */
  failuresInARowMax: 5,
  /** How long; doubled with each trial that fails. */
  breakMsMin: 2_000,
  breakMsMax: 60_000,
  /** Refresh tokens of one client registration that are called dead one after the other, within this time: a wave. */
  rejectedInARowMax: 10,
  rejectedWindowMs: 60_000,
  /** A provider that calls every one of them dead for so long is believed. */
  waveHeldMs: 30 * 60_000,
  /** Whoever comes while a trial is under way. */
  trialWaitMs: 1_000,
  /** The rate at which a client registration begins again after a break, and how each success raises it. */
  callsPerSAfterBreak: 20,
  callsPerSPerSuccess: 0.25,
  /** After a provider complained of a rate, this share of it is approached quickly, and the rest slowly. */
  calmShare: 0.7,
  callsPerSPerSuccessSlow: 0.01,
  /** Of how many registrations and tenants something is remembered. */
  registrationsKnownMax: 10_000,
  tenantsKnownMax: 10_000,
});
