import { createHmac } from 'node:crypto';

import type { KoaContext, Middleware, Provider, Session } from 'oidc-provider';

import type { AccountBook, AcmeAccount } from './acme-accounts.ts';
import { sameText } from './acme-accounts.ts';
import { sendPage } from './acme-html.ts';
import type { ConnectedApp } from './acme-pages.ts';
import { connectedAppsPage, errorPage, loginPage } from './acme-pages.ts';
import type { AcmeStore } from './acme-store.ts';
import { readForm } from './http-body.ts';

/** A browser session at Acme lasts this long, as oidc-provider's own do here. */
export const sessionTtlS = 14 * 24 * 3600;

interface Desk {
  readonly provider: Provider;
  readonly accounts: AccountBook;
  readonly store: AcmeStore;
  readonly cookieKey: string;
}

/**
 * The page where an end user sees which apps have access and takes it away: the revocation that no client is told of.
 *
 * It shares the browser session of the sign-in pages. Posts carry a token made from the session, so that no other
 * site can remove an app in the user's name.
 */
export function acmeConnectedApps(desk: Desk): Middleware {
  return async (ctx, next) => {
    const action = `${ctx.method} ${ctx.path}`;
    if (action === 'GET /account/apps') return list(desk, ctx);
    if (action === 'POST /account/login') return login(desk, ctx);
    if (action === 'POST /account/apps/revoke') return revoke(desk, ctx);
    return next();
  };
}

async function list(desk: Desk, ctx: KoaContext): Promise<void> {
  const { session, account } = await whoIs(desk, ctx);
  if (!account) return sendPage(ctx, loginPage({ action: '/account/login' }));
  const apps = await connectedApps(desk, account.accountId);
  return sendPage(ctx, connectedAppsPage({ email: account.email, apps, csrf: csrfOf(desk, session) }));
}

async function login(desk: Desk, ctx: KoaContext): Promise<void> {
  const form = await readForm(ctx.req);
  const account = desk.accounts.authenticate(form.get('email') ?? '', form.get('password') ?? '');
  if (!account) {
    return sendPage(
      ctx,
      loginPage({ action: '/account/login', problem: 'E-mail address or password are wrong.' }),
      401,
    );
  }
  const session = await desk.provider.Session.get(ctx);
  session.resetIdentifier();
  session.loginAccount({ accountId: account.accountId });
  await session.save(sessionTtlS);
  const cookie = { httpOnly: true, sameSite: 'lax', overwrite: true };
  ctx.cookies.set(desk.provider.cookieName('session'), session.id, cookie);
  return seeOther(ctx, '/account/apps');
}

async function revoke(desk: Desk, ctx: KoaContext): Promise<void> {
  const { session, account } = await whoIs(desk, ctx);
  const form = await readForm(ctx.req);
  if (!account || !sameText(form.get('csrf') ?? '', csrfOf(desk, session))) {
    return sendPage(ctx, errorPage('invalid_request', 'Sign in and use the button of the page'), 403);
  }
  for (const { grantId, clientId } of desk.store.grantsOf(account.accountId)) {
    if (clientId === form.get('client_id')) desk.store.destroyGrant(grantId);
  }
  return seeOther(ctx, '/account/apps');
}

async function whoIs(desk: Desk, ctx: KoaContext): Promise<{ session: Session; account: AcmeAccount | undefined }> {
  const session = await desk.provider.Session.get(ctx);
  return { session, account: desk.accounts.byId(session.accountId ?? '') };
}

async function connectedApps({ provider, store }: Desk, accountId: string): Promise<ConnectedApp[]> {
  const apps = new Map<string, ConnectedApp>();
  for (const { clientId, scopes } of store.grantsOf(accountId)) {
    const client = await provider.Client.find(clientId);
    const before = apps.get(clientId)?.scopes ?? [];
    const clientName = client?.clientName ?? clientId;
    apps.set(clientId, { clientId, clientName, scopes: [...new Set([...before, ...scopes])] });
  }
  return [...apps.values()];
}

function csrfOf({ cookieKey }: Desk, session: Session): string {
  return createHmac('sha256', cookieKey).update(`csrf:${session.uid}`).digest('base64url');
}

function seeOther(ctx: KoaContext, path: string): void {
  ctx.redirect(path);
  ctx.status = 303;
}
