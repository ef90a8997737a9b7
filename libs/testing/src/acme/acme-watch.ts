import { setTimeout as sleep } from 'node:timers/promises';

import type { KoaContext, Middleware } from 'oidc-provider';

import type { AcmeEndpoint, AcmeFault, AcmeFaults } from './acme-faults.ts';
import type { AcmeMeter } from './acme-meter.ts';
import { tokenFingerprint } from './acme-meter.ts';
import type { AcmeStore } from './acme-store.ts';
import { readForm } from './http-body.ts';

const endpoints: Readonly<Record<string, AcmeEndpoint>> = {
  'POST /token': 'tokenEndpoint',
  'POST /token/revocation': 'revocationEndpoint',
  'POST /token/introspection': 'introspectionEndpoint',
  'GET /api/contacts': 'contactsApi',
};

/** Stands before everything else: applies the faults, and counts what was really answered. */
export function acmeWatch(meter: AcmeMeter, faults: AcmeFaults, store: AcmeStore): Middleware {
  return async (ctx, next) => {
    if (ctx.method === 'POST' && ctx.path === '/request') return await watchPush(ctx, meter, next);
    if (ctx.method === 'POST' && ctx.path === '/device/auth') return await withInterval(ctx, next);
    const endpoint = endpoints[`${ctx.method} ${ctx.path}`];
    if (!endpoint) return next();

    const startedMs = performance.now();
    const fault = faults.take(endpoint) ?? {};
    if (fault.hold) await faults.waitForRelease();
    if (fault.delayMs) await sleep(fault.delayMs);
    const grantType = fault.status ? await answerFault(ctx, fault) : await next();
    const grantId = ctx.oidc?.entities?.RefreshToken?.grantId;
    count(ctx, meter, {
      ...{ endpoint, fault, grantType: grantType ?? undefined, ms: performance.now() - startedMs },
      familyEnded: grantId !== undefined && !store.hasGrant(grantId),
    });
    if (fault.dropAfterProcessing) {
      ctx.respond = false;
      ctx.req.socket.destroy();
    }
  };
}

/** Acme may be asked every second. @source RFC 8628 §3.2 */
async function withInterval(ctx: KoaContext, next: () => Promise<void>): Promise<void> {
  await next();
  if (ctx.status === 200 && typeof ctx.body === 'object') ctx.body = { ...ctx.body, interval: 1 };
}

async function watchPush(ctx: KoaContext, meter: AcmeMeter, next: () => Promise<void>): Promise<void> {
  await next();
  if (ctx.status !== 201) return;
  const { client_secret: _secret, client_assertion: _assertion, ...parameters } = ctx.oidc?.body ?? {};
  meter.recordPushedRequest(parameters);
}

async function answerFault(ctx: KoaContext, fault: AcmeFault): Promise<string | undefined> {
  const form = ctx.method === 'POST' ? await readForm(ctx.req) : undefined;
  ctx.status = fault.status ?? 503;
  if (fault.retryAfterS !== undefined) ctx.set('retry-after', String(fault.retryAfterS));
  ctx.body = { error: fault.error ?? 'temporarily_unavailable' };
  return form?.get('grant_type') ?? undefined;
}

interface Observation {
  readonly endpoint: AcmeEndpoint;
  readonly fault: AcmeFault;
  readonly grantType: string | undefined;
  readonly ms: number;
  readonly familyEnded: boolean;
}

function count(ctx: KoaContext, meter: AcmeMeter, observation: Observation): void {
  if (observation.endpoint === 'revocationEndpoint') meter.recordRevocation();
  else if (observation.endpoint === 'introspectionEndpoint') meter.recordIntrospection();
  else if (observation.endpoint === 'contactsApi') meter.recordApiCall(ctx.status);
  else countTokenCall(ctx, meter, observation);
}

function countTokenCall(ctx: KoaContext, meter: AcmeMeter, observation: Observation): void {
  const { fault, grantType, ms, familyEnded } = observation;
  const { client, params } = ctx.oidc ?? {};
  const body = ctx.body as { error?: string; scope?: string; refresh_token?: string };
  const presented = params?.['refresh_token'];
  meter.recordTokenCall({
    at: new Date().toISOString(),
    grantType: params?.['grant_type'] ?? grantType ?? 'unknown',
    outcome: fault.status ? `fault_${fault.status}` : (body.error ?? 'ok'),
    status: ctx.status,
    ms: Math.round(ms),
    ...(client && { clientId: client.clientId }),
    ...(body.scope && { scope: body.scope }),
    ...(presented && { presentedRefreshToken: tokenFingerprint(presented) }),
    ...(body.refresh_token && { issuedRefreshToken: tokenFingerprint(body.refresh_token) }),
    ...(familyEnded && { familyEnded }),
    ...(fault.dropAfterProcessing && { answerDropped: true }),
  });
}
