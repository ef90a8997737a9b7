/** Which event it was. */
export interface EventPlace {
  readonly type: string;
  readonly position: number;
  readonly revision: number;
  readonly at: string;
  readonly actor: { readonly type: string; readonly id?: string | undefined };
}

/** One part of a state, and the event that made it what it is. */
export interface ExplainedPart {
  /** Its members' names from the outside in, `claim.claimId`. */
  readonly part: string;
  readonly value: unknown;
  readonly set_by: EventPlace;
}

/** Remembers of each part of a state which event set it last. */
export class Explanation {
  readonly #parts = new Map<string, ExplainedPart>();

  /** Takes note of what one event did. */
  note(before: unknown, after: unknown, event: EventPlace): void {
    const old = partsOf(before);
    const now = partsOf(after);
    for (const part of old.keys()) if (!now.has(part)) this.#parts.delete(part);
    for (const [part, value] of now) {
      if (old.has(part) && JSON.stringify(old.get(part)) === JSON.stringify(value)) continue;
      this.#parts.set(part, { part, value, set_by: event });
    }
  }

  /** In the order of their names; what no event ever set is left out. */
  parts(): ExplainedPart[] {
    return [...this.#parts.values()].toSorted((one, other) => (one.part < other.part ? -1 : 1));
  }
}

/** The parts of a state by their names; a list is one part. */
function partsOf(state: unknown, name = '', parts = new Map<string, unknown>()): Map<string, unknown> {
  const isObject = typeof state === 'object' && state !== null && !Array.isArray(state);
  if (!isObject) return name === '' ? parts : parts.set(name, state);
  for (const [member, value] of Object.entries(state))
    partsOf(value, name === '' ? member : `${name}.${member}`, parts);
  return parts;
}
