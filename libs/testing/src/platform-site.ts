import { createServer } from 'node:http';

import { closeServer, listenOnLoopback } from './loopback.ts';
import { waitFor } from './wait-for.ts';

/** One arrival of a browser at the platform's `return_url`. */
export interface PlatformVisit {
  readonly url: string;
  readonly sessionId: string | undefined;
  readonly code: string | undefined;
  readonly error: string | undefined;
}

/** The agent platform's web site, as far as connecting needs one. */
export interface PlatformSite {
  readonly origin: string;
  /** What the platform gives as `return_url`. */
  readonly returnUrl: string;
  visits(): PlatformVisit[];
  /** @returns the visit that belongs to a connect session, once it has come. */
  visitOf(sessionId: string, options?: { readonly timeoutMs?: number }): Promise<PlatformVisit>;
  close(): Promise<void>;
}

/** Plays the page at which an agent platform takes its users back, and remembers what they brought. */
export async function startPlatformSite(options: { readonly port?: number } = {}): Promise<PlatformSite> {
  const visits: PlatformVisit[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', origin);
    if (request.method !== 'GET' || url.pathname !== '/connected') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n');
      return;
    }
    visits.push(visitFrom(url));
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
    response.end('<!doctype html><html lang="en"><title>Back</title><h1>Welcome back</h1></html>\n');
  });
  const origin = `http://127.0.0.1:${await listenOnLoopback(server, options.port)}`;

  return {
    origin,
    returnUrl: `${origin}/connected`,
    visits: () => [...visits],
    visitOf: (sessionId, { timeoutMs = 10_000 } = {}) =>
      waitFor(() => visits.find((visit) => visit.sessionId === sessionId), {
        timeoutMs,
        describe: `nobody came back to the platform for ${sessionId}`,
      }),
    close: () => closeServer(server),
  };
}

function visitFrom(url: URL): PlatformVisit {
  const value = (name: string) => url.searchParams.get(name) ?? undefined;
  return { url: url.href, sessionId: value('session_id'), code: value('code'), error: value('error') };
}
