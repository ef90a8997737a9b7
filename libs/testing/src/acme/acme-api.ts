import type { AccessToken, KoaContext, Middleware, Provider } from 'oidc-provider';

import type { AccountBook } from './acme-accounts.ts';
import { acmeAudiences } from './acme-token-exchange.ts';

const contacts = [
  { id: 'ct_1', name: 'Alan Turing', email: 'alan@bletchley.example' },
  { id: 'ct_2', name: 'Katherine Johnson', email: 'katherine@langley.example' },
  { id: 'ct_3', name: 'Edsger Dijkstra', email: 'edsger@eindhoven.example' },
];

const invoices = [{ id: 'in_1', amount: '129.00' }];

/** Each API, and which tokens are for it: a user's own is for none but Acme itself. */
const apis = new Map<
  string,
  { readonly audience: string | undefined; readonly answer: (token: AccessToken) => object }
>([
  ['/api/contacts', { audience: undefined, answer: () => ({ contacts }) }],
  ['/api/invoices', { audience: 'acme:billing', answer: ({ extra }) => ({ invoices, act: extra?.act ?? null }) }],
]);

/**
 * `GET /api/contacts` and `GET /api/invoices`: Acme's resource servers, which ask their own authorization server about
 * every token.
 *
 * @source RFC 6750 §3
 */
export function acmeApi(provider: Provider, accounts: AccountBook): Middleware {
  return async (ctx, next) => {
    const api = apis.get(ctx.path);
    if (api === undefined) return next();
    if (ctx.method !== 'GET') return answer(ctx, 405, { error: 'method_not_allowed' });

    const presented = /^Bearer ([\w.~+/-]+=*)$/i.exec(ctx.get('authorization'))?.[1];
    const token = presented && (await liveToken(provider, presented));
    if (token && !isFor(token, api.audience)) return challenge(ctx, 401, 'invalid_token');
    if (!token) return challenge(ctx, 401, presented ? 'invalid_token' : undefined);
    if (!token.scopes.has('contacts:read')) return challenge(ctx, 403, 'insufficient_scope', 'contacts:read');
    return answer(ctx, 200, { account: accounts.byId(token.accountId)?.email, ...api.answer(token) });
  };
}

function isFor({ aud }: AccessToken, audience: string | undefined): boolean {
  return audience === undefined ? !acmeAudiences.some((one) => one === aud) : aud === audience;
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
