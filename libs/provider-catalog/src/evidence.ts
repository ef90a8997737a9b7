import { Evidence, isAssumed } from './fact.ts';
import type { Provider } from './provider.ts';

/** How much of a provider is known, and how well: the number of its facts by evidence. */
export interface EvidenceCounts {
  readonly documented: number;
  readonly observed: number;
  readonly unverified: number;
  /** Nothing is known; the cautious value stands there. */
  readonly assumed: number;
}

/** Counts the facts of a provider by their evidence. */
export function evidenceOf({ facts }: Pick<Provider, 'facts'>): EvidenceCounts {
  const counts = { documented: 0, observed: 0, unverified: 0, assumed: 0 };
  for (const fact of Object.values(facts)) counts[isAssumed(fact) ? 'assumed' : fact.evidence] += 1;
  return counts;
}

/** The best evidence that any fact of a provider has: `unverified` when nobody has read or seen anything of it. */
export function bestEvidenceOf(provider: Pick<Provider, 'facts'>): Evidence {
  const counts = evidenceOf(provider);
  return Evidence.options.find((evidence) => counts[evidence] > 0) ?? 'unverified';
}
