import assert from 'node:assert/strict';

import { isPosternError, newId, subjects } from '@postern/contracts';

import type { EventLog } from '../event-log.ts';
import type { AnyEvent } from '../evolver.ts';
import { currentVersionsOnly } from '../loaded.ts';
import type { AggregateRef, Repository } from '../repository.ts';
import { verifyLog, type LogReport } from '../verify-log.ts';
import { Waiters } from '../waiters.ts';
import { executing, flip, makeRepository, makeWriters, switchEvolver, type Switch, type Writers } from './fixtures.ts';
import { collect } from './harness.ts';

export interface AppendLoadOptions {
  /** Clients of one log; the writers take them in turn. */
  readonly logs: readonly EventLog[];
  /** How many writers; two of them share each aggregate. */
  readonly writers?: number | undefined;
}

const waitTimeoutMs = 120_000;
/** A state is proven from the commits that its writer made in a row: long rows would measure that. */
const commitsPerAggregate = 10;

/**
 * Writers that never rest, whatever happens to their servers, and remember what was acknowledged to them: for tests
 * that kill. An append that fails is forgotten, since nothing was promised.
 */
export class AppendLoad {
  readonly #writers: Writers = makeWriters();
  readonly #tenantId = newId('tenant');
  readonly #repositories: readonly Repository<Switch, AnyEvent>[];
  readonly #writerCount: number;
  readonly #acknowledged = new Map<string, number>();
  readonly #counts = new Waiters<number>();
  readonly #running: Promise<void>[] = [];
  #failures = 0;
  #stopping = false;

  constructor({ logs, writers = 8 }: AppendLoadOptions) {
    this.#writerCount = writers;
    this.#repositories = logs.map((log) => makeRepository(log, this.#writers));
  }

  /** Where its commits stand, and nothing else. */
  get filter(): string {
    return subjects.connectionsOfTenant(this.#tenantId);
  }

  get reader(): Writers['reader'] {
    return this.#writers.reader;
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Appends that ended in an error: nothing was promised about them. */
  get failures(): number {
    return this.#failures;
  }

  start(): this {
    const pairs = Array.from({ length: Math.ceil(this.#writerCount / 2) }, () => this.#newDesk());
    for (let index = 0; index < this.#writerCount; index += 1) {
      const repository = this.#repositories[index % this.#repositories.length];
      const desk = pairs[index % pairs.length];
      if (repository !== undefined && desk !== undefined) this.#running.push(this.#write(repository, desk));
    }
    return this;
  }

  /** Resolves once that many more appends were acknowledged. @throws {PosternError} `bus.timeout` */
  async progress(count: number): Promise<void> {
    const goal = this.acknowledged + count;
    await this.#counts.wait((sum) => (sum >= goal ? true : undefined), { timeoutMs: waitTimeoutMs });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
  }

  /** Asserts that all that was acknowledged stands where it was said to, once, and that every chain is whole. */
  async verify(log: EventLog): Promise<LogReport> {
    const messages = await collect(log.read({ filter: this.filter }));
    const stood = new Map(messages.map(({ headers, position }) => [headers['Nats-Msg-Id'], position]));
    const lost = [...this.#acknowledged].filter(([commitId, position]) => stood.get(commitId) !== position);
    assert.deepEqual(lost, [], 'what was acknowledged stands where it was said to');
    assert.equal(stood.size, messages.length, 'no commit stands twice');
    const report = await verifyLog(from(messages), {
      reader: this.reader,
      upcast: currentVersionsOnly,
      evolverOf: () => switchEvolver,
    });
    assert.deepEqual(report.findings, []);
    return report;
  }

  #newDesk(): Desk {
    return { ref: { tenantId: this.#tenantId, id: newId('connection') }, commits: 0 };
  }

  async #write(repository: Repository<Switch, AnyEvent>, desk: Desk): Promise<void> {
    while (!this.#stopping) {
      try {
        const { commitId = '', position } = await repository.execute(desk.ref, flip, executing());
        this.#acknowledged.set(commitId, position);
        this.#counts.tell(this.acknowledged);
        desk.commits += 1;
        if (desk.commits >= commitsPerAggregate) Object.assign(desk, this.#newDesk());
      } catch (error) {
        if (!isPosternError(error)) throw error;
        this.#failures += 1;
      }
    }
  }
}

/** What two writers work on; then they take the next aggregate. */
interface Desk {
  ref: AggregateRef;
  commits: number;
}

async function* from<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items;
}
