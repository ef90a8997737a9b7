import { administratorToken, PosternError, type Actor } from '@postern/contracts';
import type { Call } from '@postern/nats';

/** Who asks, as the subject of the call proves it. */
export interface Requester {
  readonly tenantId: string;
  /** `administrator` stands for the whole tenant. */
  readonly platformId: string;
  readonly actor: Actor;
  readonly cause: 'requested_by_platform' | 'requested_by_administrator';
}

/** The platform, or an administrator acting for a whole tenant. @throws {PosternError} `auth.forbidden` */
export function requesterOf({ caller }: Call): Requester {
  if (caller.app !== undefined) throw new PosternError('auth.forbidden', 'Services do not end connections.');
  const { tenantId, platformId } = caller;
  return platformId === administratorToken
    ? { tenantId, platformId, actor: { type: 'administrator' }, cause: 'requested_by_administrator' }
    : { tenantId, platformId, actor: { type: 'platform', id: platformId }, cause: 'requested_by_platform' };
}
