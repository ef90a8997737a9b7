import { z } from 'zod';

import type { AppName } from './apps.ts';
import { Freshness } from './freshness.ts';
import { HttpEstablishedGrant } from './grants.ts';
import { ConnectionHealth } from './health.ts';
import { HttpImportRow } from './imports.ts';
import { AgentId, LeaseId } from './ids.ts';
import { limits } from './limits.ts';
import { LeaseReply, LeaseRequest, operations, SessionReply } from './operations.ts';
import { Scopes } from './wire.ts';

/** One HTTP route of the outside surface: what the OpenAPI document and the handlers share. */
export interface HttpRoute {
  readonly app: AppName;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** OpenAPI's template: `{name}` stands for one segment. */
  readonly path: string;
  readonly summary: string;
  /** `client`: HTTP Basic or body credentials; `platform`: a Postern access token; `browser`: a person; `none`. */
  readonly auth: 'client' | 'platform' | 'browser' | 'none';
  readonly body?: z.ZodType;
  readonly form?: boolean;
  readonly query?: z.ZodType;
  readonly reply?: z.ZodType;
  readonly status: number;
  /** `limits.requestBytesMax` when absent. */
  readonly bodyBytesMax?: number;
}

function route<const R extends HttpRoute>(input: R): R {
  return Object.freeze(input);
}

/** @source RFC 6749 §4.4.2 */
export const TokenRequest = z.object({
  grant_type: z.string(),
  client_id: z.string().max(64).optional(),
  client_secret: z.string().max(256).optional(),
  scope: z.string().max(256).optional(),
});

/** @source RFC 6749 §5.1 */
export const TokenReply = z.object({
  access_token: z.string(),
  token_type: z.literal('Bearer'),
  expires_in: z.number().int(),
});

/** A lease over HTTP: TLS carries the token, so nothing is sealed to a key of the caller. */
export const HttpLeaseRequest = z.strictObject({
  agent_id: AgentId,
  purpose: z.string().min(1).max(limits.purposeCharsMax),
  scopes: Scopes.optional(),
  min_ttl_s: z.number().int().min(0).max(limits.minTtlSMax).optional(),
  receipt: LeaseRequest.shape.receipt,
});

/** `expires_in` is null where the provider says nothing of an end. */
export const HttpLeaseReply = z.object({
  lease_id: LeaseId,
  credential_version: z.number().int().positive(),
  access_token: z.string(),
  token_type: z.string(),
  sent_as: LeaseReply.shape.sent_as,
  expires_in: z.number().int().nullable(),
  scope: z.string(),
  freshness: Freshness,
  receipt: LeaseReply.shape.receipt,
});

const withoutConnection = { connection_id: true } as const;
const DeleteQuery = z.strictObject({ cascade: z.enum(['true', 'false']).optional() });
const Reason = operations.suspendConnection.request.omit(withoutConnection);
const PageQuery = z.strictObject({
  after: z.coerce.number().int().nonnegative().optional(),
  limit: z.coerce.number().int().min(1).max(limits.listPageMax).optional(),
});

const limit = PageQuery.shape.limit;
const WhoDidQuery = operations.whoDid.request.extend({ limit });
const ScopesQuery = operations.connectionScopes.request
  .omit(withoutConnection)
  .extend({ days: z.coerce.number().int().min(1).max(366).optional() });
const WhoCouldQuery = operations.whoCould.request.extend({ limit, after: PageQuery.shape.after });
const DiffQuery = operations.diff.request.extend({ limit });
const HealthQuery = operations.connectionsHealth.request.omit(withoutConnection).extend({ limit });

const platformRoute = <const R extends Omit<HttpRoute, 'app' | 'auth'>>(input: R) =>
  route({ ...input, app: 'gateway', auth: 'platform' });

/** Every route a program or a browser may call. */
export const httpRoutes = Object.freeze({
  token: route({
    app: 'gateway',
    method: 'POST',
    path: '/oauth/token',
    summary: 'Exchanges client credentials for a 15-minute access token (RFC 6749 §4.4).',
    auth: 'client',
    body: TokenRequest,
    form: true,
    reply: TokenReply,
    status: 200,
  }),
  startSession: platformRoute({
    method: 'POST',
    path: '/v1/connect/sessions',
    summary: operations.startSession.summary,
    body: operations.startSession.request,
    reply: SessionReply,
    status: 201,
  }),
  completeSession: platformRoute({
    method: 'POST',
    path: '/v1/connect/sessions/{session_id}/complete',
    summary: operations.completeSession.summary,
    body: operations.completeSession.request.omit({ session_id: true }),
    reply: operations.completeSession.reply,
    status: 200,
  }),
  establish: platformRoute({
    method: 'POST',
    path: '/v1/connections',
    summary: operations.establish.summary,
    body: operations.establish.request.omit({ platform_id: true }).extend({ grant: HttpEstablishedGrant }),
    reply: operations.establish.reply,
    status: 201,
  }),
  importConnections: platformRoute({
    method: 'POST',
    path: '/v1/connections/import',
    summary: operations.importConnections.summary,
    body: operations.importConnections.request
      .omit({ platform_id: true })
      .extend({ rows: z.array(HttpImportRow).min(1).max(limits.importRowsMax) }),
    bodyBytesMax: limits.importBytesMax,
    reply: operations.importConnections.reply,
    status: 200,
  }),
  listConnections: platformRoute({
    method: 'GET',
    path: '/v1/connections',
    summary: operations.listConnections.summary,
    query: PageQuery,
    reply: operations.listConnections.reply,
    status: 200,
  }),
  showConnection: platformRoute({
    method: 'GET',
    path: '/v1/connections/{connection_id}',
    summary: operations.showConnection.summary,
    reply: operations.showConnection.reply,
    status: 200,
  }),
  connectionScopes: platformRoute({
    method: 'GET',
    path: '/v1/connections/{connection_id}/scopes',
    summary: operations.connectionScopes.summary,
    query: ScopesQuery,
    reply: operations.connectionScopes.reply,
    status: 200,
  }),
  listEvents: platformRoute({
    method: 'GET',
    path: '/v1/connections/{connection_id}/events',
    summary: operations.listEvents.summary,
    query: PageQuery,
    reply: operations.listEvents.reply,
    status: 200,
  }),
  healthOverview: platformRoute({
    method: 'GET',
    path: '/v1/health',
    summary: operations.healthOverview.summary,
    query: operations.healthOverview.request,
    reply: operations.healthOverview.reply,
    status: 200,
  }),
  connectionsHealth: platformRoute({
    method: 'GET',
    path: '/v1/health/connections',
    summary: operations.connectionsHealth.summary,
    query: HealthQuery,
    reply: operations.connectionsHealth.reply,
    status: 200,
  }),
  connectionHealth: platformRoute({
    method: 'GET',
    path: '/v1/health/connections/{connection_id}',
    summary: 'Tells how one connection fares, and why.',
    reply: ConnectionHealth,
    status: 200,
  }),
  leaseToken: platformRoute({
    method: 'POST',
    path: '/v1/connections/{connection_id}/token',
    summary: 'Leases the access token of a connection.',
    body: HttpLeaseRequest,
    reply: HttpLeaseReply,
    status: 200,
  }),
  reportRejection: platformRoute({
    method: 'POST',
    path: '/v1/connections/{connection_id}/rejections',
    summary: operations.reportRejection.summary,
    body: operations.reportRejection.request.omit(withoutConnection),
    reply: operations.reportRejection.reply,
    status: 200,
  }),
  refreshConnection: platformRoute({
    method: 'POST',
    path: '/v1/connections/{connection_id}/refresh',
    summary: operations.refreshConnection.summary,
    body: operations.refreshConnection.request.omit(withoutConnection),
    reply: operations.refreshConnection.reply,
    status: 200,
  }),
  suspendConnection: platformRoute({
    method: 'POST',
    path: '/v1/connections/{connection_id}/suspend',
    summary: operations.suspendConnection.summary,
    body: Reason,
    reply: operations.suspendConnection.reply,
    status: 200,
  }),
  resumeConnection: platformRoute({
    method: 'POST',
    path: '/v1/connections/{connection_id}/resume',
    summary: operations.resumeConnection.summary,
    body: Reason,
    reply: operations.resumeConnection.reply,
    status: 200,
  }),
  reauthorize: platformRoute({
    method: 'POST',
    path: '/v1/connections/{connection_id}/reauthorize',
    summary: operations.reauthorize.summary,
    body: operations.reauthorize.request.omit(withoutConnection),
    reply: SessionReply,
    status: 201,
  }),
  revokeConnection: platformRoute({
    method: 'POST',
    path: '/v1/connections/{connection_id}/revoke',
    summary: operations.revokeConnection.summary,
    body: operations.revokeConnection.request.omit(withoutConnection),
    reply: operations.revokeConnection.reply,
    status: 200,
  }),
  deleteConnection: platformRoute({
    method: 'DELETE',
    path: '/v1/connections/{connection_id}',
    query: DeleteQuery,
    summary: operations.deleteConnection.summary,
    reply: operations.deleteConnection.reply,
    status: 200,
  }),
  whoDid: platformRoute({
    method: 'GET',
    path: '/v1/audit/who-did',
    summary: operations.whoDid.summary,
    query: WhoDidQuery,
    reply: operations.whoDid.reply,
    status: 200,
  }),
  whoCould: platformRoute({
    method: 'GET',
    path: '/v1/audit/who-could',
    summary: operations.whoCould.summary,
    query: WhoCouldQuery,
    reply: operations.whoCould.reply,
    status: 200,
  }),
  diff: platformRoute({
    method: 'GET',
    path: '/v1/audit/diff',
    summary: operations.diff.summary,
    query: DiffQuery,
    reply: operations.diff.reply,
    status: 200,
  }),
  connectPage: route({
    app: 'authorization',
    method: 'GET',
    path: '/connect/{session_or_connection}',
    summary: 'A page that says who connects what to whom, with one button.',
    auth: 'browser',
    status: 200,
  }),
  connectStart: route({
    app: 'authorization',
    method: 'POST',
    path: '/connect/{session_or_connection}',
    summary: 'Sends the browser to the provider.',
    auth: 'browser',
    status: 302,
  }),
  callback: route({
    app: 'authorization',
    method: 'GET',
    path: '/oauth/callback/{registration_id}',
    summary: 'The redirect URI of a client registration; answers with a redirect to return_url?session_id&code.',
    auth: 'browser',
    query: z.looseObject({
      state: z.string().optional(),
      code: z.string().optional(),
      error: z.string().optional(),
      iss: z.string().optional(),
    }),
    status: 302,
  }),
  webhook: route({
    app: 'revocation',
    method: 'POST',
    path: '/webhooks/{provider}/{registration_id}',
    summary: "Takes a provider's webhook, signed as its provider signs; answers when what it says is stored.",
    auth: 'none',
    status: 200,
  }),
  securityEvent: route({
    app: 'revocation',
    method: 'POST',
    path: '/signals/ssf/{transmitter_id}',
    summary: 'Takes a security event token (RFC 8935), signed by its transmitter; answers when what it says is stored.',
    auth: 'none',
    status: 202,
  }),
});

export type HttpRouteKey = keyof typeof httpRoutes;

/** Paths each service answers for machines. */
export const machinePaths = ['/healthz', '/readyz', '/metrics'] as const;
