import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { sha256Hex } from '@postern/crypto';

/** Another one when what is folded, or how it is written, is another: then all are made anew. */
const version = 1;

/** Which connections appeared between two positions, both included: tenant, connection, position. */
export interface Segment {
  readonly from: number;
  readonly to: number;
  /** The hash of the message at its end: of which log this is a fold. */
  readonly logIdentity: string;
  readonly rows: readonly (readonly [tenantId: string, connectionId: string, position: number])[];
}

/** Segments as files of two lines, a hash and what it is of, named by where they end. They may be deleted at any time. */
export class SnapshotFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Those that follow each other from position 1 on.
   *
   * @effect The first that does not hold is deleted, and those behind it: they are made anew.
   */
  read(): { readonly segments: readonly Segment[]; readonly problem: string | undefined } {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const segments: Segment[] = [];
    const names = readdirSync(this.#folder).filter((name) => name.endsWith('.snapshot'));
    let problem: string | undefined;
    for (const name of names.toSorted()) {
      const next = (segments.at(-1)?.to ?? 0) + 1;
      const segment = problem === undefined ? this.#one(name) : undefined;
      if (segment?.from === next) segments.push(segment);
      else {
        problem ??= `${name} is no snapshot from position ${next} on`;
        rmSync(join(this.#folder, name), { force: true });
      }
    }
    return { segments, problem };
  }

  /** @effect A file, whole or not at all. @returns false where one that said something else stood in its place. */
  write(segment: Segment): boolean {
    const content = contentOf(segment);
    const path = join(this.#folder, nameOf(segment));
    const standing = contentAt(path);
    if (standing === content) return true;
    writeFileSync(`${path}.new`, content, { mode: 0o600, flush: true });
    renameSync(`${path}.new`, path);
    return standing === undefined;
  }

  /** @effect No file is left. */
  forget(): void {
    rmSync(this.#folder, { recursive: true, force: true });
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  #one(name: string): Segment | undefined {
    const [sha256 = '', body = ''] = (contentAt(join(this.#folder, name)) ?? '').split('\n');
    // What has its hash is what some release wrote.
    if (sha256 !== sha256Hex(body)) return undefined;
    const kept = JSON.parse(body) as Segment & { readonly version: number };
    return kept.version === version ? kept : undefined;
  }
}

const nameOf = ({ to }: Segment) => `${String(to).padStart(15, '0')}.snapshot`;

function contentOf({ from, to, logIdentity, rows }: Segment): string {
  const body = JSON.stringify({ version, from, to, logIdentity, rows });
  return `${sha256Hex(body)}\n${body}\n`;
}

function contentAt(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
