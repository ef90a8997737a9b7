import { FastifyAdapter } from '@nestjs/platform-fastify';
import { context, SpanStatusCode, type Span } from '@opentelemetry/api';
import { httpRoutes, limits, PosternError, type HttpRoute } from '@postern/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { codedError, problemReply } from './error-reply.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { correlationHeader, correlationId } from './request-context.ts';
import { beginArrival, type ArrivalScope } from './telemetry.ts';

/** How long a client may take to send a request. */
const requestTimeoutMs = 30_000;
const pathParameterCharsMax = 512;

/** Asked every few seconds, of every service. */
const askedByMachines: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

export interface HttpServerOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Browsers are told to stay with TLS only where there is TLS. */
  readonly publicUrl: string;
  readonly isStopping: () => boolean;
}

/** What every answer carries unless its handler says otherwise: nothing is cached, framed, sniffed or referred. */
const defaultHeaders = Object.freeze({
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
});

/** Nest's adapter over fastify, with limits, the default headers, and a span, a log line and numbers for each request. */
export function createHttpAdapter(options: HttpServerOptions): FastifyAdapter {
  const adapter = new FastifyAdapter({
    bodyLimit: limits.requestBytesMax,
    requestTimeout: requestTimeoutMs,
    return503OnClosing: false,
    routerOptions: { maxParamLength: pathParameterCharsMax },
    frameworkErrors: (error: Error, _request: unknown, reply: FastifyReply) => answer(reply, error),
  });
  addHooks(adapter, options);
  return adapter;
}

/** Where more may be sent than elsewhere, as `POST /path`. */
const largeBodies: ReadonlyMap<string, number> = new Map(
  Object.values(httpRoutes).flatMap((route: HttpRoute) =>
    route.bodyBytesMax === undefined ? [] : [[`${route.method} ${route.path}`, route.bodyBytesMax]],
  ),
);

function addHooks(adapter: FastifyAdapter, options: HttpServerOptions): void {
  const scopes = new WeakMap<object, ArrivalScope>();
  const told = teller(options);
  const server = adapter.getInstance();
  const transport = options.publicUrl.startsWith('https:') ? { 'strict-transport-security': 'max-age=31536000' } : {};
  const headers = { ...defaultHeaders, ...transport };

  server.addHook('onRoute', (route) => {
    const bodyLimit = [route.method].flat().map((method) => largeBodies.get(`${method} ${route.url}`));
    if (bodyLimit[0] !== undefined) route.bodyLimit = bodyLimit[0];
  });
  server.addHook('onRequest', (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
    const route = request.routeOptions.url ?? '(none)';
    const attributes = { 'http.request.method': request.method, 'http.route': route };
    const scope = beginArrival({
      name: `${request.method} ${route}`,
      headers: request.headers,
      kind: 'request',
      attributes,
      isNoise: askedByMachines.has(route),
    });
    scopes.set(request.raw, scope);
    reply.headers({ ...headers, [correlationHeader]: scope.correlationId });
    context.with(scope.context, () => (refused(request, reply, options) ? undefined : done()));
  });
  server.addHook('onSend', (_request: FastifyRequest, reply: FastifyReply, _payload: unknown, done: () => void) => {
    if (options.isStopping()) reply.header('connection', 'close');
    done();
  });
  server.addHook('onResponse', (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
    const scope = scopes.get(request.raw);
    if (scope !== undefined) {
      context.with(scope.context, () => told(request, reply));
      endRequest(scope.span, reply.statusCode);
    }
    done();
  });
}

/** A client's mistake is no error of ours. @source OpenTelemetry semantic conventions, HTTP server spans */
function endRequest(span: Span, status: number): void {
  if (span.isRecording()) span.setAttribute('http.response.status_code', status);
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/** A connection kept open from before may still bring a request while the service stops. */
function refused(request: FastifyRequest, reply: FastifyReply, { isStopping }: HttpServerOptions): boolean {
  if (!isStopping() || request.routeOptions.url === '/healthz') return false;
  answer(reply, new PosternError('service.not_ready', 'The service is stopping.'));
  return true;
}

function answer(reply: FastifyReply, error: unknown): void {
  const { status, headers, body } = problemReply(codedError(error), correlationId());
  void reply
    .status(status)
    .headers({ ...defaultHeaders, ...headers })
    .send(JSON.stringify(body));
}

/**
 * Tells each answer to the log and the metrics. The route's pattern is told, never the URL: a query may hold a code.
 */
function teller({ logger, metrics }: HttpServerOptions): (request: FastifyRequest, reply: FastifyReply) => void {
  const times = metrics.histogram('http.server.request.duration');
  // As many as there are routes, methods and statuses.
  const observers = new Map<string, (seconds: number) => void>();
  return (request, reply) => {
    const { method, routeOptions } = request;
    const route = routeOptions.url ?? '(none)';
    const status = String(reply.statusCode);
    const series = `${status} ${method} ${route}`;
    let observe = observers.get(series);
    if (observe === undefined) {
      observe = times.observer({
        'http.request.method': method,
        'http.route': route,
        'http.response.status_code': status,
      });
      observers.set(series, observe);
    }
    observe(reply.elapsedTime / 1_000);
    logger.debug('request answered', { method, route, status, ms: Math.round(reply.elapsedTime) });
  };
}
