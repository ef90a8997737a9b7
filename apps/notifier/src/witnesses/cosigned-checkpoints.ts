import type { CheckpointFiles } from '../checkpoints/checkpoint-files.ts';

/** Cosignatures of so many checkpoints are waited for at a time: witnesses that lag cosign the newest in the end. */
const gatheredMax = 64;

interface Gathered {
  readonly note: string;
  /** By the witness's name. */
  readonly lines: Map<string, string>;
}

/** The checkpoints of one stream that enough witnesses have cosigned, as files. */
export class CosignedCheckpoints {
  readonly #gathered = new Map<number, Gathered>();

  constructor(
    private readonly files: CheckpointFiles,
    private readonly quorum: number,
  ) {}

  /** @effect A file, once there are as many as are wanted, and again with each more. */
  add({ size, note }: { readonly size: number; readonly note: string }, witness: string, line: string): void {
    const gathered = this.#gathered.get(size) ?? { note, lines: new Map<string, string>() };
    if (gathered.note !== note) return;
    this.#gathered.set(size, gathered);
    gathered.lines.set(witness, line);
    for (const eldest of [...this.#gathered.keys()].toSorted((a, b) => a - b).slice(0, -gatheredMax)) {
      this.#gathered.delete(eldest);
    }
    if (gathered.lines.size >= this.quorum) this.files.keep(note + [...gathered.lines.values()].join(''));
  }
}
