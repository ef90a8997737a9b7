import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { codedError, oauthReply, problemReply } from './error-reply.ts';
import { Logger } from './logger.ts';
import type { PosternRouteConfig } from './oauth-endpoint.ts';
import { correlationId } from './request-context.ts';
import { reportError } from './report-error.ts';

/** Answers every error of a request as a problem document, or in OAuth's form where the route asks for it. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    this.answer(thrown, request, reply);
  }

  /** @internal Also for what fails before a route is found. */
  answer(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const error = codedError(thrown);
    const route = request.routeOptions?.config as PosternRouteConfig | undefined;
    const reported = error.code === 'service.internal' ? thrown : error;
    reportError(this.#logger, `${request.method} ${request.routeOptions?.url ?? '(no route)'} failed`, reported);
    if (reply.sent) return;
    const { status, headers, body } = route?.oauth === true ? oauthReply(error) : problemReply(error, correlationId());
    void reply.status(status).headers(headers).send(JSON.stringify(body));
  }
}
