import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyAdapter } from '@nestjs/platform-fastify';
import type { PosternError } from '@postern/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { codedError } from './error-reply.ts';
import { ProblemFilter } from './problem-filter.ts';
import { RawBodies, type RawBodyLimits } from './raw-body.ts';

/** A request whose body nobody has looked at. */
export interface RawRequest {
  readonly parameters: Readonly<Record<string, string>>;
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

export interface RawReply {
  readonly status: number;
  readonly contentType?: string;
  readonly body?: string;
}

export interface RawHandler {
  readonly handle: (request: RawRequest) => Promise<RawReply>;
  /** A body was not read to its end. */
  readonly onUnread?: (error: PosternError) => void;
}

/**
 * Routes whose handler gets the body as it came: what is signed is bytes, and no parser may refuse them before they
 * were compared with their signature.
 *
 * They stand in a scope of fastify's own, beside Nest's pipeline, with its limits, spans and numbers.
 */
@Injectable()
export class RawRoutes {
  readonly #host: HttpAdapterHost<FastifyAdapter>;
  readonly #problems: ProblemFilter;

  constructor(host: HttpAdapterHost<FastifyAdapter>, problems: ProblemFilter) {
    this.#host = host;
    this.#problems = problems;
  }

  /** To be called in `onModuleInit`. A handler that throws is answered as every other: a problem document. */
  post(path: string, limits: RawBodyLimits, { handle, onUnread }: RawHandler): void {
    const bodies = new RawBodies(limits);
    const server: FastifyInstance = this.#host.httpAdapter.getInstance();
    void server.register((scope, _options, registered) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _payload, parsed) => parsed(null));
      scope.setErrorHandler((error, request, reply) => this.#problems.answer(error, request, reply));
      scope.post(path, { bodyLimit: limits.bytesMax }, async (request, reply) => {
        try {
          const body = await bodies.read(request.raw, announcedBytes(request)).catch((error: unknown) => {
            onUnread?.(codedError(error));
            throw error;
          });
          await answer(reply, await handle(rawRequest(request, body)));
        } catch (error) {
          // What is left of a body that was not read to its end is nobody's next request.
          if (!request.raw.readableEnded) void reply.header('connection', 'close');
          this.#problems.answer(error, request, reply);
        }
        return reply;
      });
      registered();
    });
  }
}

async function answer(reply: FastifyReply, { status, contentType, body = '' }: RawReply): Promise<void> {
  if (contentType !== undefined) reply.type(contentType);
  await reply.status(status).send(body);
}

function announcedBytes({ headers }: FastifyRequest): number | undefined {
  const text = headers['content-length'];
  return text === undefined ? undefined : Number(text);
}

function rawRequest(request: FastifyRequest, body: Buffer): RawRequest {
  const headers = Object.entries(request.headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(', ') : value,
  ]);
  return {
    parameters: request.params as Record<string, string>,
    method: request.method,
    target: request.url,
    headers: Object.fromEntries(headers) as Record<string, string | undefined>,
    body,
  };
}
