import { PosternError } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { requireGrantType } from '@postern/provider-catalog';
import * as oauth from 'oauth4webapi';

import {
  identityAssertionForm,
  identityOutcome,
  requireProfile,
  scopesWithin,
  unfitAssertion,
  type Asserted,
  type Unfit,
  type WantedAssertion,
} from './identity-assertion.ts';
import { codedDiscovery } from './metadata.ts';
import type { Refusal } from './outcomes.ts';
import type { ProviderCalls } from './provider-calls.ts';
import { tokenExchangeGrantType } from './token-exchange.ts';

/** Of the two servers of an asserted identity: the one that asserts it, or the one that takes it. */
export type IdentityPart = 'asserts' | 'takes';

/** @source draft-ietf-oauth-identity-assertion-authz-grant-04 §7, §9.1 @internal */
export async function requireIdentityAssertions(calls: ProviderCalls, part: IdentityPart): Promise<void> {
  if (part === 'asserts') requireGrantType(calls.provider, 'token_exchange');
  if (part === 'asserts' && !calls.hasOwnCredential) {
    throw new PosternError(
      'provider.flow_unsupported',
      'The client at the identity provider has no credential to ask with.',
    );
  }
  requireProfile(await codedDiscovery(() => calls.server()), calls.provider, part);
}

/** @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4.3 @internal */
export async function assertIdentity(calls: ProviderCalls, wanted: WantedAssertion): Promise<Asserted | Refusal> {
  const { provider, client } = calls;
  const form = identityAssertionForm(wanted, provider);
  const outcome = await calls.tokenCall<Asserted | Unfit>({
    secrets: [wanted.idToken],
    request: ({ server, authentication, http }) =>
      oauth.genericTokenEndpointRequest(server, client, authentication, tokenExchangeGrantType, form, http),
    read: async (server, response) => {
      const recognizedTokenTypes = { n_a: () => undefined };
      const options = { recognizedTokenTypes };
      const answer = await oauth.processGenericTokenEndpointResponse(server, client, response, options);
      const why = unfitAssertion(answer, wanted, { issuer: server.issuer, nowMs: calls.nowMs() });
      if (why !== undefined) return { kind: 'unfit', why };
      const told = answer.scope?.split(provider.scopeSeparator).filter((scope) => scope !== '');
      const scopes = scopesWithin(told, wanted);
      return { kind: 'asserted', assertion: Secret.from(answer.access_token), scopes };
    },
  });
  return identityOutcome(outcome);
}
