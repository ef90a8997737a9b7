import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { toPosternError } from '@postern/contracts';
import { correlationId, Logger } from '@postern/service';
import type { FastifyReply, FastifyRequest } from 'fastify';

import { pagePolicy } from './html.ts';
import { problemPage } from './problem-page.ts';

/** Answers errors of a browser's requests with a page that a person can read. */
@Catch()
export class PageFilter implements ExceptionFilter {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const error = toPosternError(thrown);
    const route = `${request.method} ${request.routeOptions.url ?? ''}`;
    if (error.row.status < 500) this.#logger.info(`${route} refused`, { code: error.code, reason: error.message });
    else this.#logger.error(`${route} failed`, { code: error.code, err: error });
    sendPage(reply.status(error.row.status), problemPage(error, correlationId()));
  }
}

/** Sends a page with its policy. */
export function sendPage(reply: FastifyReply, text: string): void {
  void reply.header('content-security-policy', pagePolicy).type('text/html; charset=utf-8').send(text);
}
