import type { AggregateKind } from '@postern/contracts';

import { aggregateOf } from './aggregate.ts';
import type { LogEntry, LogProblem } from './commit-reader.ts';
import type { AnyEvent, Evolver, Upcast } from './evolver.ts';

/** What is wrong at one position of the log, in words for a person. */
export interface LogFinding {
  readonly kind: LogProblem['kind'] | 'order' | 'revision' | 'chain' | 'time' | 'state';
  readonly position: number;
  readonly subject: string;
  readonly reason: string;
}

export interface LogVerifierOptions {
  readonly upcast: Upcast;
  // oxlint-disable-next-line typescript/no-explicit-any -- each kind has its own state; here only its JSON counts
  readonly evolverOf: (kind: AggregateKind) => Evolver<any, any>;
}

interface Seen {
  readonly revision: number;
  readonly hash: string | null;
  readonly at: string;
  readonly state: unknown;
}

/**
 * Checks one commit after the other against what came before it: revision, hash, time, and the state it carries, byte
 * for byte. Signature and writer were checked when the entry was read.
 *
 * It remembers one state an aggregate.
 */
export class LogVerifier {
  readonly #options: LogVerifierOptions;
  readonly #seen = new Map<string, Seen>();

  constructor(options: LogVerifierOptions) {
    this.#options = options;
  }

  /** How many aggregates were met. */
  get aggregates(): number {
    return this.#seen.size;
  }

  /** The findings of the next commit of the log; none when it follows. */
  entry(entry: LogEntry): LogFinding[] {
    const { subject, commit, hash } = entry;
    const evolver = this.#options.evolverOf(commit.aggregate);
    const before = this.#seen.get(subject) ?? { revision: 0, hash: null, at: '', state: evolver.initialState };
    const folded = this.#fold(entry, before.state);
    this.#seen.set(subject, { revision: commit.revision, hash, at: commit.at, state: folded.state });
    return [
      ...finding(
        entry,
        'revision',
        commit.revision === before.revision + 1,
        `revision ${commit.revision} follows ${before.revision}`,
      ),
      ...finding(
        entry,
        'chain',
        commit.previousHash === before.hash,
        'it does not carry the hash of the message before it',
      ),
      ...finding(entry, 'time', commit.at >= before.at, `its time ${commit.at} goes back before ${before.at}`),
      ...stateFindings(entry, folded, evolver.stateVersion),
    ];
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

function stateFindings(entry: LogEntry, folded: Folded, stateVersion: number): LogFinding[] {
  if (folded.reason !== undefined) return finding(entry, 'future', false, folded.reason);
  // A state of another version was right when it was written; what counts is what its events give.
  if (entry.commit.stateVersion !== stateVersion) return [];
  const same = JSON.stringify(entry.commit.state) === JSON.stringify(folded.state);
  return finding(entry, 'state', same, 'the state it carries is not what its events give');
}

function finding(
  { position, subject }: LogEntry,
  kind: LogFinding['kind'],
  holds: boolean,
  reason: string,
): LogFinding[] {
  return holds ? [] : [{ kind, position, subject, reason }];
}
