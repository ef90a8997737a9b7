import type { Renewal } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import type { Provider } from '@postern/provider-catalog';
import type { TokenEndpointResponse } from 'oauth4webapi';

import type { Refreshed, Refusal } from './outcomes.ts';
import { ProviderCallError } from './provider-call-error.ts';

/** @source RFC 8693 §2.1 */
export const tokenExchangeGrantType = 'urn:ietf:params:oauth:grant-type:token-exchange';
/** @source RFC 8693 §3 */
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

/** An access token that is shown to get another one. */
export interface ShownToken {
  readonly accessToken: Secret;
  readonly grantedScopes: readonly string[];
}

/** Whose tokens are exchanged: on whose behalf, and who acts. */
export interface ShownTokens {
  readonly subject: ShownToken;
  readonly actor: ShownToken | null;
}

interface OpenedToken {
  readonly accessToken: string;
  readonly grantedScopes: readonly string[];
}

/** The same from the plain JSON that the vault sealed. */
export function shownTokens(opened: {
  readonly subject: OpenedToken;
  readonly actor: OpenedToken | null;
}): ShownTokens {
  const shown = ({ accessToken, grantedScopes }: OpenedToken) => ({
    accessToken: Secret.from(accessToken),
    grantedScopes,
  });
  return { subject: shown(opened.subject), actor: opened.actor && shown(opened.actor) };
}

type Exchange = Extract<Renewal, { readonly grant: 'token_exchange' }>;

/**
 * The form of an exchange, beside what the client proves itself with. Both tokens are access tokens, and so is what is
 * wanted: nothing else can be leased.
 *
 * @source RFC 8693 §2.1
 */
export function tokenExchangeForm(
  { scopes, audience, resource, parameters }: Exchange,
  { subject, actor }: ShownTokens,
  { scopeSeparator }: Provider,
): URLSearchParams {
  const form = new URLSearchParams(parameters);
  form.set('subject_token', subject.accessToken.reveal());
  form.set('subject_token_type', accessTokenType);
  form.set('requested_token_type', accessTokenType);
  if (actor !== null) {
    form.set('actor_token', actor.accessToken.reveal());
    form.set('actor_token_type', accessTokenType);
  }
  for (const one of audience) form.append('audience', one);
  for (const one of resource) form.append('resource', one);
  if (scopes.length > 0) form.set('scope', scopes.join(scopeSeparator));
  return form;
}

/** What the new token may be good for: what was asked for, or else no more than the subject's own token. */
export function exchangedScopesMax({ scopes }: Exchange, { subject }: ShownTokens): readonly string[] {
  return scopes.length > 0 ? scopes : subject.grantedScopes;
}

/**
 * Refuses an answer that brings another kind of token than an access token, or one for more than it may be good for: a
 * service further down must not be able to do what nobody asked for.
 *
 * @throws {ProviderCallError} `invalid_answer`, `wider_scope`
 * @source RFC 8693 §2.2.1
 */
export function requireExchanged(
  { issued_token_type: issued }: TokenEndpointResponse,
  { granted, scopesMax }: { readonly granted: readonly string[]; readonly scopesMax: readonly string[] },
): void {
  if (issued !== accessTokenType) throw new ProviderCallError('invalid_answer', { httpStatus: 200 });
  requireNoWiderThan(granted, scopesMax);
}

/** The same of scopes alone, where some were asked for. @throws {ProviderCallError} `wider_scope` */
export function requireNoWider(granted: readonly string[], asked: readonly string[]): void {
  if (asked.length > 0) requireNoWiderThan(granted, asked);
}

function requireNoWiderThan(granted: readonly string[], scopesMax: readonly string[]): void {
  if (granted.every((scope) => scopesMax.includes(scope))) return;
  throw new ProviderCallError('wider_scope', { httpStatus: 200 });
}

/** Of which an exchange is refused, and nothing is to be mended in our registration. */
const aboutTheExchange: readonly string[] = ['invalid_request', 'invalid_target'];

/**
 * What a server says of the tokens, the actor or the target, in words that elsewhere are about whoever asks.
 *
 * @source RFC 8693 §2.2.2
 */
export function exchangeOutcome(outcome: Refreshed | Refusal): Refreshed | Refusal {
  if (outcome.kind === 'refreshed' || outcome.httpStatus !== 400) return outcome;
  const { error, errorDescription, httpStatus } = outcome;
  return aboutTheExchange.includes(error) ? { kind: 'rejected', error, errorDescription, httpStatus } : outcome;
}
