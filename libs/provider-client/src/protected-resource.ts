import { Scopes } from '@postern/contracts';
import * as oauth from 'oauth4webapi';

import { challengeParameters } from './challenge.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { ProviderCallError } from './provider-call-error.ts';

/** What a protected resource says of itself. @source RFC 9728 §2 */
export interface DiscoveredResource {
  /** In its own spelling. */
  readonly resource: string;
  readonly authorizationServers: readonly string[];
  /** Those of its challenge, else all that its metadata names. @source MCP 2026-07-28, scope selection strategy */
  readonly scopes: readonly string[];
}

/**
 * Asks a resource without a token, and reads the metadata that its refusal names; without such a name, what stands at the
 * well-known places.
 *
 * The metadata must name exactly the resource that was asked: a document of `/evil` that spoke for the whole host would
 * have us fetch tokens that are good for its neighbours. Only the document of the host itself may do that.
 *
 * @throws {ProviderCallError} and what `oauth4webapi` throws.
 * @source RFC 9728 §3, §3.3, §5.1; MCP 2026-07-28, authorization server discovery
 * @internal
 */
export async function discoverResource({
  url,
  fetch,
}: {
  readonly url: string;
  readonly fetch: GuardedFetch;
}): Promise<DiscoveredResource> {
  const asked = await fetch(url, { method: 'GET', headers: { accept: 'application/json, text/event-stream' } });
  const challenge = challengeParameters(asked.status === 401 ? asked.headers.get('www-authenticate') : null);
  const metadata = await metadataOfResource(url, challenge.get('resource_metadata'), fetch);
  const challenged = (challenge.get('scope') ?? '').split(/\s+/).filter((scope) => scope !== '');
  const scopes = Scopes.safeParse(challenged.length > 0 ? challenged : (metadata.scopes_supported ?? []));
  const { authorization_servers: authorizationServers = [] } = metadata;
  if (!scopes.success || authorizationServers.length === 0) throw new ProviderCallError('metadata_incomplete');
  return { resource: metadata.resource, authorizationServers, scopes: [...new Set(scopes.data)] };
}

async function metadataOfResource(
  url: string,
  named: string | undefined,
  fetch: GuardedFetch,
): Promise<oauth.ResourceServer> {
  const read = (place: string) => fetch(place, { method: 'GET', headers: { accept: 'application/json' } });
  const own = new URL(url);
  if (named !== undefined) return await oauth.processResourceDiscoveryResponse(own, await read(named));
  const { origin, pathname, search } = own;
  const wellKnown = `${origin}/.well-known/oauth-protected-resource`;
  const atPath = await read(`${wellKnown}${pathname === '/' ? '' : pathname}${search}`);
  if (atPath.status === 200 || pathname === '/') return await oauth.processResourceDiscoveryResponse(own, atPath);
  const atRoot = await read(wellKnown);
  const speaksForHost = atRoot.status === 200 && isResource(await atRoot.clone().json(), origin);
  return await oauth.processResourceDiscoveryResponse(speaksForHost ? new URL(origin) : own, atRoot);
}

function isResource(metadata: unknown, origin: string): boolean {
  const resource: unknown = typeof metadata === 'object' && metadata !== null && Reflect.get(metadata, 'resource');
  return resource === origin || resource === `${origin}/`;
}
