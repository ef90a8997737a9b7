import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

import { PosternError, problemOf, type AppName } from '@postern/contracts';

import { appFor } from './path-table.ts';

export interface ReverseProxyOptions {
  readonly host: string;
  readonly port: number;
  /** The port at which an app listens now; undefined while it is being restarted. */
  readonly portOf: (app: AppName) => number | undefined;
  /** Is everything ready? Answers `/readyz`. */
  readonly readiness: () => { ready: boolean; checks: Record<string, boolean> };
}

/**
 * Starts the one port of `postern up`: paths to apps by the path table, nothing merged.
 *
 * @throws {PosternError} `servers.start_failed` when the port is taken.
 */
export async function startReverseProxy(
  options: ReverseProxyOptions,
): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => answer(options, incoming, outgoing));
  await listen(server, options);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), 1_000).unref();
      }),
  };
}

function listen(server: Server, { host, port }: ReverseProxyOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new PosternError(
          'servers.start_failed',
          `Port ${port} on ${host} cannot be used; choose another with --port.`,
          { cause },
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
}

function answer(options: ReverseProxyOptions, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const path = incoming.url ?? '/';
  if (path === '/healthz') return sendJson(outgoing, 200, { status: 'alive' });
  if (path === '/readyz') {
    const { ready, checks } = options.readiness();
    return sendJson(outgoing, ready ? 200 : 503, { ready, checks });
  }
  const app = appFor(path);
  if (app === undefined) return refuse(outgoing, new PosternError('request.not_found', 'No app answers this path.'));
  const port = options.portOf(app);
  if (port === undefined) return refuse(outgoing, new PosternError('service.not_ready', `${app} is not ready.`));
  forward({ incoming, outgoing, port });
}

function forward({
  incoming,
  outgoing,
  port,
}: {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  port: number;
}): void {
  const headers = { ...incoming.headers, 'x-forwarded-for': incoming.socket.remoteAddress ?? '' };
  const upstream = request(
    { host: '127.0.0.1', port, method: incoming.method, path: incoming.url, headers },
    (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(outgoing);
    },
  );
  upstream.on('error', () => {
    if (outgoing.headersSent) outgoing.destroy();
    else refuse(outgoing, new PosternError('service.not_ready', 'The service is being restarted.'));
  });
  outgoing.on('close', () => upstream.destroy());
  incoming.pipe(upstream);
}

function refuse(outgoing: ServerResponse, error: PosternError): void {
  const retry = error.row.retry === 'later' ? { 'retry-after': '1' } : {};
  outgoing.writeHead(error.row.status, { 'content-type': 'application/problem+json', ...retry });
  outgoing.end(JSON.stringify(problemOf(error)));
}

function sendJson(outgoing: ServerResponse, status: number, body: unknown): void {
  outgoing.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  outgoing.end(JSON.stringify(body));
}
