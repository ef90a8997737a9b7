import { createParamDecorator, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import type { FastifyRequest } from 'fastify';

import { PlatformToken, type PlatformCaller } from './platform-token.ts';

const callers = new WeakMap<object, PlatformCaller>();

/** Lets only requests pass that carry a valid access token, and remembers whose it is. */
@Injectable()
export class PlatformGuard implements CanActivate {
  constructor(private readonly tokens: PlatformToken) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    callers.set(request, await this.tokens.callerOf(request.headers.authorization));
    return true;
  }
}

/** The platform that calls, as the guard has proved it. */
export const Caller = createParamDecorator((_data: unknown, context: ExecutionContext): PlatformCaller => {
  const caller = callers.get(context.switchToHttp().getRequest<FastifyRequest>());
  if (caller === undefined) throw new PosternError('auth.token_missing', 'The route is not guarded.');
  return caller;
});
