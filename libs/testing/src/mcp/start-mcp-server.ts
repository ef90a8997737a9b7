import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

import {
  createMcpHandler,
  getOAuthProtectedResourceMetadataUrl,
  McpServer,
  OAuthError,
  OAuthErrorCode,
  requireBearerAuth,
  requireScopes,
  type AuthInfo,
} from '@modelcontextprotocol/server';

import type { Acme } from '../acme/start-acme.ts';
import { closeServer, listenOnLoopback } from '../loopback.ts';

/** A protected MCP server on the loopback: the official SDK's, with two tools. */
export interface TestMcpServer {
  /** Its URL, which is its resource identifier too. */
  readonly url: string;
  /** Names these as its authorization servers from now on. */
  setAuthorizationServers(issuers: readonly string[]): void;
  close(): Promise<void>;
}

/** What a caller needs for any of the tools, and what one of them needs besides. */
const scopes = { read: 'contacts:read', write: 'contacts:write' } as const;

/**
 * Starts an MCP server whose tokens an Acme issues: `count_contacts` needs `contacts:read`, `add_contact` needs
 * `contacts:write` too, which only its challenge says. Tokens for other resources are refused.
 *
 * @source MCP 2026-07-28, authorization
 */
export async function startMcpServer(acme: Acme): Promise<TestMcpServer> {
  let issuers: readonly string[] = [acme.issuer];
  let answer: (request: Request) => Promise<Response> = () => Promise.resolve(new Response(null, { status: 503 }));
  const server = createServer((request, response) => void relay(request, response, (asked) => answer(asked)));
  const url = new URL(`http://127.0.0.1:${await listenOnLoopback(server)}/mcp`);
  const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(url);
  const verifier = { verifyAccessToken: (token: string) => verified(acme, token) };
  const gate = requireBearerAuth({
    verifier,
    requiredScopes: [scopes.read],
    resourceMetadataUrl,
    expectedResource: url,
  });
  const handler = createMcpHandler(tools);
  answer = async (request) => {
    if (request.url === resourceMetadataUrl) {
      const metadata = { resource: url.href, authorization_servers: issuers, scopes_supported: [scopes.read] };
      return Response.json(metadata);
    }
    if (new URL(request.url).pathname !== url.pathname) return new Response(null, { status: 404 });
    const auth = await gate(request);
    return auth instanceof Response ? auth : await handler.fetch(request, { authInfo: auth });
  };
  return {
    url: url.href,
    setAuthorizationServers: (named) => void (issuers = named),
    close: () => closeServer(server),
  };
}

function tools(): McpServer {
  const server = new McpServer({ name: 'contacts', version: '1.0.0' });
  server.registerTool('count_contacts', { description: 'How many contacts there are' }, () => said('3'));
  server.registerTool(
    'add_contact',
    { description: 'Adds a contact', scopeChallenge: requireScopes(scopes.write) },
    () => said('added'),
  );
  return server;
}

function said(words: string) {
  return { content: [{ type: 'text' as const, text: words }] };
}

async function verified(acme: Acme, token: string): Promise<AuthInfo> {
  const found = await acme.tokenOf(token);
  if (found === undefined) throw new OAuthError(OAuthErrorCode.InvalidToken, 'The token is not valid');
  const { clientId, scopes: granted, audience, expiresAtS } = found;
  return {
    token,
    clientId,
    scopes: [...granted],
    expiresAt: expiresAtS,
    ...(audience !== undefined && { resource: new URL(audience) }),
  };
}

async function relay(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  answer: (request: Request) => Promise<Response>,
): Promise<void> {
  const url = `http://${incoming.headers.host ?? ''}${incoming.url ?? ''}`;
  const method = incoming.method ?? 'GET';
  const headers = new Headers(
    Object.entries(incoming.headersDistinct).map(([name, [value = ''] = []]) => [name, value]),
  );
  const body = method === 'POST' ? await text(incoming) : undefined;
  const response = await answer(new Request(url, { method, headers, ...(body !== undefined && { body }) }));
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(await response.text());
}
