/** What a step shows as its proof: facts that were seen, no secrets. */
export type Proof = Readonly<Record<string, unknown>>;

/** Ends a step that does not hold, with what was seen instead. */
export function expectThat(claim: string, holds: boolean, seen?: unknown): void {
  if (holds) return;
  throw new Error(`it does not hold that ${claim}; seen: ${JSON.stringify(seen)}`);
}
