import { administratorToken, PosternError, type Actor, type IdentityName } from '@postern/contracts';
import type { Call } from '@postern/nats';

/** On whose behalf a platform's operation is asked, as the subject of the call proves it. */
export interface CallingOwner {
  readonly tenantId: string;
  /** `administrator` stands for every platform of the tenant. */
  readonly platformId: string;
  readonly actor: Actor;
}

/** The platform, or an administrator acting for a whole tenant. @throws {PosternError} `auth.forbidden` */
export function callingOwner({ caller }: Call): CallingOwner {
  if (caller.app !== undefined) throw new PosternError('auth.forbidden', 'This operation is for platforms.');
  const { tenantId, platformId } = caller;
  return platformId === administratorToken
    ? { tenantId, platformId, actor: { type: 'administrator' } }
    : { tenantId, platformId, actor: { type: 'platform', id: platformId } };
}

/** A platform itself, for what an administrator cannot do in its place. @throws {PosternError} `auth.forbidden` */
export function callingPlatform(call: Call): { readonly tenantId: string; readonly platformId: string } {
  const { tenantId, platformId, actor } = callingOwner(call);
  if (actor.type === 'platform') return { tenantId, platformId };
  throw new PosternError('auth.forbidden', 'Only a platform itself may ask that.');
}

/** The service on whose subject the call came, if it is one of these. @throws {PosternError} `auth.forbidden` */
export function callingApp<A extends IdentityName>({ caller }: Call, allowed: readonly A[]): A {
  const app = allowed.find((name) => name === caller.app);
  if (app !== undefined) return app;
  throw new PosternError('auth.forbidden', 'This identity may not ask that.');
}
