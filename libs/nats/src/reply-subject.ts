import { inboxPrefix, type CallerOf, type Operation } from '@postern/contracts';

/** Where the server puts the answers to requests that came through an import. */
export const importReplyPrefix = '_R_.';

/**
 * May an answer go there?
 *
 * NATS does not check reply subjects: a client may name any, another's inbox or a stream's subject, and we would write
 * there with our rights. So we answer only into the inbox of someone who may call this operation, and for a service's
 * operation only into the inbox of the very service that the subject names.
 */
export function mayAnswerTo(reply: string, operation: Operation, caller: CallerOf): boolean {
  if (operation.callers.includes('platform') && reply.startsWith(importReplyPrefix)) return true;
  const owners = operation.scope === 'service' ? [caller.app ?? ''] : operation.callers;
  return owners.some((owner) => isOwner(operation, owner) && reply.startsWith(`${inboxPrefix(owner)}.`));
}

function isOwner(operation: Operation, owner: string): boolean {
  return owner !== 'platform' && operation.callers.some((caller) => caller === owner);
}
