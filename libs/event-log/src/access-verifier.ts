import type { AccessEntry } from './access-reader.ts';
import type { LogFinding } from './log-verifier.ts';

/**
 * Checks that each writer's groups have every number from 1 on, in order: none was dropped, added or told again.
 * It remembers one number a writer.
 */
export class AccessVerifier {
  readonly #sequences = new Map<string, number>();

  /** How many writers were met. */
  get writers(): number {
    return this.#sequences.size;
  }

  entry({ position, subject, group: { sequence } }: AccessEntry): LogFinding[] {
    const before = this.#sequences.get(subject) ?? 0;
    this.#sequences.set(subject, Math.max(before, sequence));
    if (sequence === before + 1) return [];
    return [{ kind: 'sequence', position, subject, reason: `number ${sequence} of its writer follows ${before}` }];
  }
}
