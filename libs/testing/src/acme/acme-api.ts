import type { AccessToken, KoaContext, Middleware, Provider } from 'oidc-provider';

import type { AccountBook } from './acme-accounts.ts';

const contacts = [
  { id: 'ct_1', name: 'Alan Turing', email: 'alan@bletchley.example' },
  { id: 'ct_2', name: 'Katherine Johnson', email: 'katherine@langley.example' },
  { id: 'ct_3', name: 'Edsger Dijkstra', email: 'edsger@eindhoven.example' },
];

/**
 * `GET /api/contacts`: Acme's resource server, which asks its own authorization server about every token.
 *
 * @source RFC 6750 §3
 */
export function acmeApi(provider: Provider, accounts: AccountBook): Middleware {
  return async (ctx, next) => {
    if (ctx.path !== '/api/contacts') return next();
    if (ctx.method !== 'GET') return answer(ctx, 405, { error: 'method_not_allowed' });

    const presented = /^Bearer ([\w.~+/-]+=*)$/i.exec(ctx.get('authorization'))?.[1];
    const token = presented && (await liveToken(provider, presented));
    if (!token) return challenge(ctx, 401, presented ? 'invalid_token' : undefined);
    if (!token.scopes.has('contacts:read')) return challenge(ctx, 403, 'insufficient_scope', 'contacts:read');
    return answer(ctx, 200, { account: accounts.byId(token.accountId)?.email, contacts });
  };
}

async function liveToken(provider: Provider, value: string): Promise<AccessToken | undefined> {
  const token = await provider.AccessToken.find(value);
  return token && (await provider.Grant.find(token.grantId)) ? token : undefined;
}

function challenge(ctx: KoaContext, status: number, error?: string, scope?: string): void {
  const parts = ['realm="acme-crm"', ...(error ? [`error="${error}"`] : []), ...(scope ? [`scope="${scope}"`] : [])];
  ctx.set('WWW-Authenticate', `Bearer ${parts.join(', ')}`);
  answer(ctx, status, error ? { error } : {});
}

function answer(ctx: KoaContext, status: number, body: unknown): void {
  ctx.status = status;
  ctx.set('Cache-Control', 'no-store');
  ctx.body = body;
}
