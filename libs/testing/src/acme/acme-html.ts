import type { KoaContext } from 'oidc-provider';

/**
 * Sends one of Acme's pages.
 *
 * No `form-action` in the policy: browsers apply it to redirects too, and consent redirects to the app.
 */
export function sendPage(ctx: KoaContext, html: string, status = 200): void {
  ctx.status = status;
  ctx.type = 'html';
  ctx.set('Cache-Control', 'no-store');
  ctx.set('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
  ctx.set('X-Content-Type-Options', 'nosniff');
  ctx.body = html;
}
