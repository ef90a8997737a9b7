import { newId, timestampOf, type Commit, type StoredEvent } from '@postern/contracts';
import { encodeCommit, type CommitSigner, type EventLog, type Evolver } from '@postern/event-log';

/** So many are signed together, and acknowledged one by one while the next are signed. */
const groupMax = 256;
const groupsInFlight = 2;

/** An aggregate that a log is filled with, as its last commit left it. */
export interface Filled<State> {
  readonly id: string;
  state: State;
  revision: number;
  position: number;
  hash: string | null;
}

export interface Decided {
  /** Whose commit it is. */
  readonly signer: CommitSigner;
  readonly atMs: number;
  readonly events: readonly StoredEvent[];
}

export interface FillOptions<State> {
  readonly log: EventLog;
  readonly tenantId: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever its events are, they are made by `decide`
  readonly evolver: Evolver<State, any>;
  readonly ids: readonly string[];
  /** How many commits each gets. */
  readonly revisions: number;
  readonly decide: (one: Filled<State>) => Decided;
}

/**
 * Fills a log with the lives of many aggregates, in the order in which time passes: each gets its first commit, then each
 * its second. Signed, chained and expected at their positions as services do it, and as fast as the server stores them.
 */
export async function fillLog<State>(options: FillOptions<State>): Promise<Filled<State>[]> {
  const { evolver, ids, revisions } = options;
  const all = ids.map((id): Filled<State> => {
    return { id, state: evolver.initialState, revision: 0, position: 0, hash: null };
  });
  for (let revision = 1; revision <= revisions; revision += 1) {
    const waiting = [...all];
    const work = async () => {
      while (waiting.length > 0) {
        await Promise.all(waiting.splice(0, groupMax).map((one) => appendNext(one, options)));
      }
    };
    await Promise.all(Array.from({ length: groupsInFlight }, work));
  }
  return all;
}

async function appendNext<State>(
  one: Filled<State>,
  { log, tenantId, evolver, decide }: FillOptions<State>,
): Promise<void> {
  const { signer, atMs, events } = decide(one);
  const actor = { type: 'service', id: signer.identity } as const;
  const meta = { tenantId, aggregateId: one.id, atMs, actor };
  one.state = events.reduce((state, event) => evolver.evolve(state, event, meta), one.state);
  one.revision += 1;
  const commit: Commit = {
    ...{ commitId: newId('commit'), tenantId, aggregate: evolver.kind, aggregateId: one.id, revision: one.revision },
    ...{ at: timestampOf(atMs), actor, causationId: null, correlationId: newId('correlation'), events: [...events] },
    ...{ stateVersion: evolver.stateVersion, state: one.state, previousHash: one.hash },
  };
  const { hash, ...message } = await encodeCommit(commit, { signer, source: '/spec' });
  one.hash = hash;
  one.position = (await log.append({ ...message, expectedPosition: one.position })).position;
}
