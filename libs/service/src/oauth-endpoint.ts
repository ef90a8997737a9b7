import { RouteConfig } from '@nestjs/platform-fastify';

/** @internal */
export interface PosternRouteConfig {
  readonly oauth?: boolean;
}

/** Marks a route whose errors OAuth has a form of its own for: `{error, error_description}`. @source RFC 6749 §5.2 */
export function OAuthEndpoint(): MethodDecorator {
  return RouteConfig({ oauth: true } satisfies PosternRouteConfig);
}
