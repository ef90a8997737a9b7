import type { Interaction, KoaContext, Middleware, Provider } from 'oidc-provider';

import type { AccountBook } from './acme-accounts.ts';
import { sendPage } from './acme-html.ts';
import { consentPage, errorPage, loginPage } from './acme-pages.ts';
import { readForm } from './http-body.ts';

const interactionPath = /^\/interaction\/([\w-]+)(?:\/(login|consent))?$/;
const denied = { error: 'access_denied', error_description: 'The end user denied the request' };

interface Step {
  readonly ctx: KoaContext;
  readonly provider: Provider;
  readonly accounts: AccountBook;
  readonly interaction: Interaction;
}

/**
 * The login and consent pages between an authorization request and its answer.
 *
 * A post counts only with the interaction cookie, which is bound to this very path and not sent along from other
 * sites: that is what keeps another page from consenting in the user's name.
 */
export function acmeInteractions(provider: Provider, accounts: AccountBook): Middleware {
  return async (ctx, next) => {
    const match = interactionPath.exec(ctx.path);
    if (!match) return next();

    const interaction = await provider.interactionDetails(ctx.req, ctx.res).catch(() => undefined);
    if (!interaction || interaction.uid !== match[1]) {
      return sendPage(ctx, errorPage('invalid_request', 'This sign-in has expired or belongs to another browser'), 400);
    }
    const step = { ctx, provider, accounts, interaction };
    if (ctx.method === 'GET' && !match[2]) return show(step);
    if (ctx.method === 'POST' && match[2] === interaction.prompt.name) {
      return match[2] === 'login' ? login(step) : consent(step);
    }
    return sendPage(ctx, errorPage('invalid_request', 'This page belongs to another step of the sign-in'), 400);
  };
}

async function show({ ctx, provider, accounts, interaction }: Step, problem?: string): Promise<void> {
  const { uid, prompt, params, session } = interaction;
  const client = await provider.Client.find(params['client_id'] ?? '');
  const clientName = client?.clientName ?? 'An app';
  if (prompt.name === 'login') {
    return sendPage(ctx, loginPage({ action: `/interaction/${uid}/login`, clientName, problem }), problem ? 401 : 200);
  }
  const email = accounts.byId(session?.accountId ?? '')?.email ?? 'unknown';
  const scopes = params['scope']?.split(' ') ?? [];
  return sendPage(ctx, consentPage({ action: `/interaction/${uid}/consent`, clientName, email, scopes }));
}

async function login(step: Step): Promise<void> {
  const form = await readForm(step.ctx.req);
  if (form.get('decision') === 'deny') return finish(step, denied);
  const account = step.accounts.authenticate(form.get('email') ?? '', form.get('password') ?? '');
  if (!account) return show(step, 'E-mail address or password are wrong.');
  return finish(step, { login: { accountId: account.accountId } });
}

async function consent(step: Step): Promise<void> {
  const form = await readForm(step.ctx.req);
  if (form.get('decision') !== 'allow') return finish(step, denied);

  const { provider, interaction } = step;
  const { grantId, params, prompt, session } = interaction;
  const grant =
    (grantId && (await provider.Grant.find(grantId))) ||
    new provider.Grant({ accountId: session?.accountId ?? '', clientId: params['client_id'] ?? '' });
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  if (prompt.details.missingOIDCClaims) grant.addOIDCClaims(prompt.details.missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  return finish(step, { consent: { grantId: await grant.save() } });
}

async function finish({ ctx, provider }: Step, result: Record<string, unknown>): Promise<void> {
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: !('login' in result) });
}
