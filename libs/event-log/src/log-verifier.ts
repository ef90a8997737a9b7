import type { AggregateKind } from '@postern/contracts';

import { aggregateOf } from './aggregate.ts';
import type { LogEntry, LogProblem } from './commit-reader.ts';
import type { AnyEvent, Evolver, Upcast } from './evolver.ts';
import { Standings, type Standing } from './standings.ts';

type CommitFinding = 'order' | 'revision' | 'sequence' | 'chain' | 'time' | 'state';
/**
 * `missing`: nothing stands there. `checkpoint`: not what was checkpointed. `cut`: the end is gone. `fork`: two
 * histories were signed. `receipt`: what a client has a receipt for does not stand in the log.
 */
type TreeFinding = 'missing' | 'checkpoint' | 'cut' | 'fork' | 'receipt';

/** What is wrong at one position of the log, in words for a person. */
export interface LogFinding {
  readonly kind: LogProblem['kind'] | CommitFinding | TreeFinding;
  readonly position: number;
  readonly subject: string;
  readonly reason: string;
}

export interface LogVerifierOptions {
  readonly upcast: Upcast;
  // oxlint-disable-next-line typescript/no-explicit-any -- each kind has its own state; here only its JSON counts
  readonly evolverOf: (kind: AggregateKind) => Evolver<any, any>;
}

/**
 * Checks one commit after the other against what came before it: revision, hash, time, and the state it carries, byte
 * for byte. Signature and writer were checked when the entry was read.
 *
 * A commit that does not hold is either an intruder, which later commits step over, or stands after one that is missing;
 * the next commit tells which, so until then both are remembered: one or two states an aggregate, of which only the last
 * few thousand are kept in memory ({@link Standings}). Close it when it is not needed any more.
 */
export class LogVerifier {
  readonly #options: LogVerifierOptions;
  readonly #standings = new Standings();

  constructor(options: LogVerifierOptions) {
    this.#options = options;
  }

  /** How many aggregates were met. @throws {PosternError} `service.internal` as {@link entry} does */
  get aggregates(): number {
    return this.#standings.count();
  }

  /**
   * The findings of the next commit of the log; none when it follows.
   *
   * @throws {PosternError} `service.internal` where the temporary folder, in which most states lie, has no room
   */
  entry(entry: LogEntry): LogFinding[] {
    const { subject, commit } = entry;
    const standings = this.#standings.get(subject) ?? [this.#nothing(commit.aggregate)];
    const before = standings.find((one) => continues(entry, one)) ?? standings[0] ?? this.#nothing(commit.aggregate);
    const folded = this.#fold(entry, before.state);
    const findings = [...sequenceFindings(entry, before), ...this.#stateFindings(entry, folded)];
    const holds = findings.every(({ kind }) => kind === 'time');
    const after = standingAfter(entry, holds ? folded.state : commit.state);
    this.#standings.set(subject, holds ? [after] : [before, after]);
    return findings;
  }

  /**
   * Takes the first commit that still stands of an aggregate as it is, where the one before it was archived and dropped: up
   * to `verifiedUpTo` everything was verified then (docs/adr/0031). Does nothing once the aggregate was met.
   *
   * @returns whether it was taken.
   */
  begin(entry: LogEntry, verifiedUpTo: number): boolean {
    const { subject, position, commit } = entry;
    if (position > verifiedUpTo || commit.revision === 1 || this.#standings.get(subject) !== undefined) return false;
    this.#standings.set(subject, [standingAfter(entry, commit.state)]);
    return true;
  }

  close(): void {
    this.#standings.close();
  }

  #nothing(kind: AggregateKind): Standing {
    return { revision: 0, hash: null, at: '', state: this.#options.evolverOf(kind).initialState as unknown };
  }

  #stateFindings(entry: LogEntry, folded: Folded): LogFinding[] {
    if (folded.reason !== undefined) return finding(entry, 'future', false, folded.reason);
    // A state of another version was right when it was written; what counts is what its events give.
    const { stateVersion } = this.#options.evolverOf(entry.commit.aggregate);
    if (entry.commit.stateVersion !== stateVersion) return [];
    const same = JSON.stringify(entry.commit.state) === JSON.stringify(folded.state);
    return finding(entry, 'state', same, 'the state it carries is not what its events give');
  }

  #fold({ subject, commit }: LogEntry, before: unknown): Folded {
    const { tenantId = '', id: aggregateId = '' } = aggregateOf(subject) ?? {};
    const meta = { tenantId, aggregateId, atMs: Date.parse(commit.at), actor: commit.actor };
    try {
      const events: AnyEvent[] = commit.events.map(this.#options.upcast);
      const evolver = this.#options.evolverOf(commit.aggregate);
      return { state: events.reduce<unknown>((state, event) => evolver.evolve(state, event, meta), before) };
    } catch (error) {
      return { state: before, reason: error instanceof Error ? error.message : 'its events do not fold' };
    }
  }
}

interface Folded {
  readonly state: unknown;
  readonly reason?: string;
}

function continues({ commit }: LogEntry, { revision, hash }: Standing): boolean {
  return commit.revision === revision + 1 && commit.previousHash === hash;
}

function standingAfter({ commit, hash }: LogEntry, state: unknown): Standing {
  return { revision: commit.revision, hash, at: commit.at, state };
}

function sequenceFindings(entry: LogEntry, before: Standing): LogFinding[] {
  const { revision, previousHash, at } = entry.commit;
  return [
    ...finding(entry, 'revision', revision === before.revision + 1, `revision ${revision} follows ${before.revision}`),
    ...finding(entry, 'chain', previousHash === before.hash, 'it does not carry the hash of the message before it'),
    ...finding(entry, 'time', at >= before.at, `its time ${at} goes back before ${before.at}`),
  ];
}

function finding(
  { position, subject }: LogEntry,
  kind: LogFinding['kind'],
  holds: boolean,
  reason: string,
): LogFinding[] {
  return holds ? [] : [{ kind, position, subject, reason }];
}
