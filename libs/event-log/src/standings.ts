import { DatabaseSync, type StatementSync } from 'node:sqlite';

import { PosternError } from '@postern/contracts';

/** Where an aggregate may stand after what was seen of it. */
export interface Standing {
  readonly revision: number;
  readonly hash: string | null;
  readonly at: string;
  readonly state: unknown;
}

/** So many stay in memory at most; of those that are too many, the half that was met longest ago is laid aside. */
export const recentMax = 4_096;
/** Of the file, in KiB. */
const cacheKib = 16 * 1_024;

/**
 * Where each of any number of aggregates stands, in a bounded amount of memory: a state of each would be kilobytes of it
 * for every connection that there is. Those met last are at hand; the rest lies in a file without a name, which SQLite
 * keeps in the temporary folder and which goes with the process. That is no truth: whoever reads the log again gets the
 * same.
 *
 * What it is given must be JSON: what was laid aside comes back as that.
 */
export class Standings {
  readonly #recent = new Map<string, readonly Standing[]>();
  #aside: Aside | undefined;

  /** How many aggregates were met. @throws {PosternError} `service.internal` as {@link set} does */
  count(): number {
    if (this.#aside === undefined) return this.#recent.size;
    this.#layAside(this.#recent.size);
    return this.#aside.count();
  }

  /** @throws {PosternError} `service.internal` as {@link set} does */
  get(subject: string): readonly Standing[] | undefined {
    return this.#recent.get(subject) ?? this.#aside?.get(subject);
  }

  /** @throws {PosternError} `service.internal` where the temporary folder has no room; what was set before stays */
  set(subject: string, standings: readonly Standing[]): void {
    this.#recent.delete(subject);
    this.#recent.set(subject, standings);
    if (this.#recent.size > recentMax) this.#layAside(recentMax / 2);
  }

  /** @effect gives the file up, and everything that was remembered */
  close(): void {
    this.#recent.clear();
    this.#aside?.close();
    this.#aside = undefined;
  }

  #layAside(count: number): void {
    this.#aside ??= new Aside();
    const oldest = [...this.#recent].slice(0, count);
    this.#aside.put(oldest);
    for (const [subject] of oldest) this.#recent.delete(subject);
  }
}

/** The file. */
class Aside {
  readonly #database = new DatabaseSync('');
  readonly #put: StatementSync;
  readonly #get: StatementSync;

  constructor() {
    this.#database.exec(`
      pragma journal_mode = memory;
      pragma synchronous = off;
      pragma cache_size = -${cacheKib};
      create table standing (subject text primary key, standings text not null)`);
    this.#put = this.#database.prepare(
      'insert into standing values (?, ?) on conflict do update set standings = excluded.standings',
    );
    this.#get = this.#database.prepare('select standings from standing where subject = ?');
  }

  count(): number {
    return Number(this.#database.prepare('select count(*) as size from standing').get()?.['size']);
  }

  get(subject: string): readonly Standing[] | undefined {
    const row = inFile(() => this.#get.get(subject));
    return row === undefined ? undefined : (JSON.parse(String(row['standings'])) as Standing[]);
  }

  put(standings: readonly (readonly [string, readonly Standing[]])[]): void {
    inFile(() => {
      this.#database.exec('begin');
      try {
        for (const [subject, ofSubject] of standings) this.#put.run(subject, JSON.stringify(ofSubject));
        this.#database.exec('commit');
      } finally {
        if (this.#database.isTransaction) this.#database.exec('rollback');
      }
    });
  }

  close(): void {
    this.#database.close();
  }
}

function inFile<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const words = `What is verified is remembered in the temporary folder (SQLITE_TMPDIR, TMPDIR), which does not take it: ${why}.`;
    throw new PosternError('service.internal', words, { cause });
  }
}
