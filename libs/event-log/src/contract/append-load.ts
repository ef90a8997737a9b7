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

const waitTimeoutMs = 60_000;

/**
 * Writers that never rest, whatever happens to their servers, and remember what was acknowledged to them: for tests
 * that kill. An append that fails is forgotten, since nothing was promised.
 */
export class AppendLoad {
  readonly #writers: Writers = makeWriters();
  readonly #tenantId = newId('tenant');
  readonly #repositories: readonly Repository<Switch, AnyEvent>[];
  readonly #refs: readonly AggregateRef[];
  readonly #acknowledged = new Map<string, number>();
  readonly #counts = new Waiters<number>();
  readonly #running: Promise<void>[] = [];
  #failures = 0;
  #stopping = false;

  constructor({ logs, writers = 8 }: AppendLoadOptions) {
    const refs = Array.from({ length: Math.ceil(writers / 2) }, () => newId('connection'));
    this.#refs = Array.from({ length: writers }, (_, index) => ({
      tenantId: this.#tenantId,
      id: refs[index % refs.length] ?? '',
    }));
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
    for (const [index, ref] of this.#refs.entries()) {
      const repository = this.#repositories[index % this.#repositories.length];
      if (repository !== undefined) this.#running.push(this.#write(repository, ref));
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

  async #write(repository: Repository<Switch, AnyEvent>, ref: AggregateRef): Promise<void> {
    while (!this.#stopping) {
      try {
        const { commitId = '', position } = await repository.execute(ref, flip, executing());
        this.#acknowledged.set(commitId, position);
        this.#counts.tell(this.acknowledged);
      } catch (error) {
        if (!isPosternError(error)) throw error;
        this.#failures += 1;
      }
    }
  }
}

async function* from<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items;
}
