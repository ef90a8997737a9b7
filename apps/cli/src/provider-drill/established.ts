import { operations, type EventView } from '@postern/contracts';

import type { HttpAnswer } from '../demo/platform-client.ts';
import type { PosternWorld } from './provider-world.ts';

/** What a platform does with connections that no browser made. */

export async function establish({ http }: PosternWorld, wanted: object): Promise<HttpAnswer> {
  return await http.request('POST', '/v1/connections', wanted);
}

export async function leaseOf(world: PosternWorld, id: string): Promise<HttpAnswer> {
  return await ask(world, { id, what: 'token', body: { agent_id: world.agentId, purpose: 'the table of providers' } });
}

export async function ask(
  { http }: PosternWorld,
  { id, what, body = {} }: { readonly id: string; readonly what: string; readonly body?: object },
): Promise<HttpAnswer> {
  return await http.request('POST', `/v1/connections/${id}/${what}`, body);
}

export async function eventsOf({ session, tenantId }: PosternWorld, id: string): Promise<readonly EventView[]> {
  return (await session.call(operations.listEvents, tenantId, { connection_id: id })).events;
}
