import { PosternError, type IdentityName } from '@postern/contracts';
import type { Call } from '@postern/nats';

/** The platform on whose subject the call came. */
export function callingPlatform({ caller }: Call): { tenantId: string; platformId: string } {
  if (caller.app === undefined) return { tenantId: caller.tenantId, platformId: caller.platformId };
  throw new PosternError('auth.forbidden', 'This operation is for platforms.');
}

/** The service on whose subject the call came, if it is one of these. @throws {PosternError} `auth.forbidden` */
export function callingApp<A extends IdentityName>({ caller }: Call, allowed: readonly A[]): A {
  const app = allowed.find((name) => name === caller.app);
  if (app !== undefined) return app;
  throw new PosternError('auth.forbidden', 'This identity may not ask that of the vault.');
}
