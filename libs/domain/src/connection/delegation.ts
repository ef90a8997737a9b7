import { isPosternError, limits, PosternError, type Delegation, type DelegationView } from '@postern/contracts';

import { requireUsable } from './guards.ts';
import type { Connection } from './state.ts';

/** How a derived connection is, or is about to be, had; undefined for one that stands by itself. */
export function delegationOf({ credential, session }: Pick<Connection, 'credential' | 'session'>) {
  return credential === null ? session?.delegation : credential.delegation;
}

/** A connection that a derived one leans on. */
export interface DelegationParty {
  readonly connectionId: string;
  readonly role: 'subject' | 'actor';
  readonly state: Connection;
}

/** What stands behind a derived connection, as it is now: each exchange, the newest first, and everybody in them. */
export interface DelegationChain {
  readonly steps: readonly Delegation[];
  readonly parties: readonly DelegationParty[];
  /** Only where it goes on beyond `delegationStepsMax`, as a ring does: then nothing may be used that leans on it. */
  readonly isTooLong?: true;
}

/** Nothing: what almost every lease finds, so that it is made once. */
const standsAlone: DelegationChain = Object.freeze({ steps: [], parties: [] });

/**
 * Follows a derived connection to the one that an end user authorized, by what each connection says today: one that was
 * established anew may be derived from another than before.
 *
 * @param stateOf the newest state of a connection of the same tenant; undefined where it is not at hand
 * @returns no steps for a connection that stands by itself; undefined where a state was not at hand
 * @source RFC 8693 §4.1
 */
export function delegationChain(
  first: Delegation | undefined,
  stateOf: (connectionId: string) => Connection | undefined,
): DelegationChain | undefined {
  if (first === undefined) return standsAlone;
  const steps: Delegation[] = [];
  const parties: DelegationParty[] = [];
  for (let step: Delegation | undefined = first; step !== undefined;) {
    if (steps.length === limits.delegationStepsMax) return { steps, parties, isTooLong: true };
    steps.push(step);
    const subject = stateOf(step.subjectConnectionId);
    if (subject === undefined) return undefined;
    parties.push({ connectionId: step.subjectConnectionId, role: 'subject', state: subject });
    if (step.actorConnectionId !== null) {
      const actor = stateOf(step.actorConnectionId);
      if (actor === undefined) return undefined;
      parties.push({ connectionId: step.actorConnectionId, role: 'actor', state: actor });
    }
    step = delegationOf(subject);
  }
  return { steps, parties };
}

/** {@link delegationChain}, with states that have to be fetched. */
export async function loadDelegationChain(
  first: Delegation | undefined,
  load: (connectionId: string) => Promise<Connection>,
): Promise<DelegationChain> {
  const known = new Map<string, Connection>();
  for (;;) {
    let missing: string | undefined;
    const chain = delegationChain(first, (id) => {
      const state = known.get(id);
      if (state === undefined) missing ??= id;
      return state;
    });
    if (chain !== undefined) return chain;
    if (missing === undefined) throw new Error('a chain ends without a reason');
    known.set(missing, await load(missing));
  }
}

/**
 * A derived connection is worth what its subject and its actor are worth, all the way up: where one of them may not be
 * used, neither may it, at once and without an event of its own; when that one is mended, it goes on.
 *
 * @throws {PosternError} `connection.delegation_ended`, which names the nearest one; `connection.delegation_refused` for
 *   a chain that does not end
 */
export function requireDelegation({ parties, isTooLong }: Pick<DelegationChain, 'parties' | 'isTooLong'>): void {
  for (const { connectionId, role, state } of parties) {
    try {
      requireUsable(state);
    } catch (error) {
      if (!isPosternError(error)) throw error;
      const message = `The connection of its ${role}, ${connectionId}, cannot be used (${error.code}).`;
      const details = { ended_by: { connection_id: connectionId, code: error.code } };
      throw new PosternError('connection.delegation_ended', message, { details });
    }
  }
  if (isTooLong === true) {
    throw new PosternError('connection.delegation_refused', 'Too many exchanges stand behind the connection.');
  }
}

/** With what a lease of a derived connection would be refused because of these; undefined where it would not. */
export function endOfDelegation(chain: DelegationChain): PosternError | undefined {
  try {
    requireDelegation(chain);
    return undefined;
  } catch (error) {
    if (isPosternError(error)) return error;
    throw error;
  }
}

/** A step as callers are told it. */
export function delegationView({ subjectConnectionId, actorConnectionId }: Delegation): DelegationView {
  return { subject_connection_id: subjectConnectionId, actor_connection_id: actorConnectionId };
}
