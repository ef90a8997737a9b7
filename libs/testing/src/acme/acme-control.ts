import type { KoaContext, Middleware } from 'oidc-provider';

import { sameText } from './acme-accounts.ts';
import type { AcmeClientRegistration } from './acme-clients.ts';
import type { AcmeFaultPlan } from './acme-faults.ts';
import type { AcmeSecurityEvent } from './acme-security-events.ts';
import { readText } from './http-body.ts';
import type { Acme } from './start-acme.ts';

/** What another process may ask of an Acme that runs on its own. */
export type AcmeOrder =
  | { readonly do: 'registerClient'; readonly registration: AcmeClientRegistration }
  | { readonly do: 'setAccessTokenTtl'; readonly seconds: number }
  | { readonly do: 'pushSecurityEvent'; readonly event: AcmeSecurityEvent }
  | { readonly do: 'setFaults'; readonly plan: AcmeFaultPlan }
  | { readonly do: 'releaseHeld' }
  | { readonly do: 'clearFaults' };

/** `GET /_counts` for everyone on the loopback, `POST /_control` for the holder of the control token. */
export function acmeControl(acme: () => Acme, controlToken: string | undefined): Middleware {
  return async (ctx, next) => {
    if (ctx.method === 'GET' && ctx.path === '/_counts') {
      const codeChallenges = acme()
        .pushedRequests()
        .flatMap(({ code_challenge: challenge }) => challenge ?? []);
      ctx.body = {
        ...acme().counts(),
        ...{ held: acme().faults.held(), tokenCalls: acme().tokenCalls(), codeChallenges },
      };
      return undefined;
    }
    if (ctx.method === 'POST' && ctx.path === '/_control' && controlToken) return control(ctx, acme(), controlToken);
    return next();
  };
}

async function control(ctx: KoaContext, acme: Acme, controlToken: string): Promise<void> {
  if (!sameText(ctx.get('authorization'), `Bearer ${controlToken}`)) {
    ctx.status = 401;
    ctx.body = { error: 'invalid_token' };
    return;
  }
  try {
    ctx.body = { result: (await obey(acme, JSON.parse(await readText(ctx.req)) as AcmeOrder)) ?? null };
  } catch (error) {
    ctx.status = 400;
    ctx.body = { error: error instanceof Error ? error.message : String(error) };
  }
}

async function obey(acme: Acme, order: AcmeOrder): Promise<unknown> {
  switch (order.do) {
    case 'registerClient':
      return acme.registerClient(order.registration);
    case 'setAccessTokenTtl':
      return acme.setAccessTokenTtl(order.seconds);
    case 'pushSecurityEvent':
      return acme.securityEvents.push(order.event);
    case 'setFaults':
      return acme.faults.set(order.plan);
    case 'releaseHeld':
      return acme.faults.release();
    case 'clearFaults':
      return acme.faults.clear();
    default:
      throw new Error(`Acme does not know the order ${JSON.stringify(order satisfies never)}`);
  }
}
