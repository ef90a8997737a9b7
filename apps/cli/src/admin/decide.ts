import type { Evolver } from '@postern/event-log';

import type { Session } from '../session/session.ts';

/** Appends one decision of the administrator on ADMIN and gives the state after it. */
export async function decideAdmin<State, Event extends { type: string; version: number; data: object }>(
  session: Session,
  target: { readonly evolver: Evolver<State, Event>; readonly tenantId: string; readonly id: string },
  decide: (state: State, at: { readonly nowMs: number }) => Event[],
): Promise<State> {
  const { actor, correlationId } = session;
  const { tenantId, id } = target;
  const repository = session.repository(target.evolver);
  const { state } = await repository.execute({ tenantId, id }, decide, {
    actor,
    correlationId,
  });
  return state;
}

/** The aggregates of one kind and tenant, or of every tenant (`*`), as their newest commits carry them. */
export async function listAdmin<State, Event extends { type: string; version: number; data: object }>(
  session: Session,
  { evolver, tenantId }: { evolver: Evolver<State, Event>; tenantId: string },
): Promise<State[]> {
  const repository = session.repository(evolver);
  const found: State[] = [];
  const filter = `admin.${tenantId}.${evolver.kind}.*`;
  for await (const message of session.admin.read({ filter, lastPerSubject: true })) {
    const [, owner = '', , id = ''] = message.subject.split('.');
    const { state, revision } = await repository.load({ tenantId: owner, id });
    if (revision > 0) found.push(state);
  }
  return found;
}
