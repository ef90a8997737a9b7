import {
  acmeAccounts,
  acmeLoginAndConsent,
  startAcme,
  startMcpServer,
  type Acme,
  type TestMcpServer,
} from '@postern/testing';

import type { World } from './world.ts';

/** Under which name the world's Postern is known where TLS is a must: nothing on this machine has that name. */
export const knownAs = 'https://postern.example';

/** An MCP server, and the authorization server that issues its tokens: neither has ever heard of us. */
export interface McpWorld {
  readonly acme: Acme;
  readonly server: TestMcpServer;
}

/**
 * Starts both in this process. What the authorization server reads under our name, it reads from the port of this
 * machine, as through a proxy that ends TLS.
 */
export async function withMcp<T>(world: World, act: (mcp: McpWorld) => Promise<T>): Promise<T> {
  const fetchDocument = (url: string) => fetch(here(world, url));
  const acme = await startAcme({ accessTokenTtlS: 600, meetsClients: { fetchDocument, dynamicRegistration: true } });
  const server = await startMcpServer(acme);
  try {
    return await act({ acme, server });
  } finally {
    await server.close();
    await acme.close();
  }
}

/** The same address at the port of this machine. */
export function here({ stack }: World, url: string): string {
  return url.replace(stack.url, stack.localUrl);
}

/** Ada goes through our page and her sign-in, by way of the proxy that is not there; the platform completes. */
export async function authorizeByProxy(
  world: World,
  { connectUrl, redirectUri, endUser }: { connectUrl: string; redirectUri: string; endUser: string },
) {
  const { browser, site, http } = world;
  const { email: user, password } = acmeAccounts.ada;
  const who = { user, password, decision: 'allow' } as const;
  const arrived = await acmeLoginAndConsent(browser, here(world, connectUrl), { ...who, returnUrl: redirectUri });
  const back = await browser.open(here(world, arrived.href), { until: (url) => url.href.startsWith(site.returnUrl) });
  const { code, session_id: sessionId, ...others } = Object.fromEntries(new URL(back.url).searchParams);
  if (code === undefined)
    throw new Error(`the browser came back without a code: ${JSON.stringify(others)} ${back.text}`);
  return await http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, { code, end_user: endUser });
}

/** Calls a tool as an MCP client does. @source MCP 2025-06-18, streamable HTTP */
export async function callTool(
  { url }: TestMcpServer,
  name: string,
  accessToken: string,
): Promise<{ status: number; text: string; challenge: string | null }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${accessToken}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2025-06-18',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } }),
  });
  const text = await response.text();
  return { status: response.status, text, challenge: response.headers.get('www-authenticate') };
}
