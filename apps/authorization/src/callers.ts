import { administratorToken, PosternError, type Actor } from '@postern/contracts';
import type { Call } from '@postern/nats';

/** A platform as the subject of its call proves it. */
export interface CallingPlatform {
  readonly tenantId: string;
  readonly platformId: string;
}

/** The platform, or an administrator acting for a whole tenant. @throws {PosternError} `auth.forbidden` */
export function callingOwner({ caller }: Call): CallingPlatform & { readonly actor: Actor } {
  if (caller.app !== undefined) throw new PosternError('auth.forbidden', 'This operation is for platforms.');
  const { tenantId, platformId } = caller;
  const administrator = platformId === administratorToken;
  return {
    tenantId,
    platformId,
    actor: administrator ? { type: 'administrator' } : { type: 'platform', id: platformId },
  };
}

/** A platform itself: an administrator has no end user of its own. @throws {PosternError} `auth.forbidden` */
export function callingPlatform(call: Call): CallingPlatform {
  const { tenantId, platformId, actor } = callingOwner(call);
  if (actor.type === 'platform') return { tenantId, platformId };
  throw new PosternError('auth.forbidden', 'Only a platform has end users to connect.');
}
