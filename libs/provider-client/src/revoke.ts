import type { Secret } from '@postern/crypto';
import { saysGone, type RevocationCall } from '@postern/provider-catalog';
import * as oauth from 'oauth4webapi';

import { callErrorFrom } from './metadata.ts';
import type { RevokeOutcome } from './outcomes.ts';
import type { Attempt, ProviderCalls } from './provider-calls.ts';
import { ProviderCallError } from './provider-call-error.ts';
import { failureOf, withoutVerdict } from './refusal.ts';
import { callRevocation } from './revocation-call.ts';

type Revoked = Extract<RevokeOutcome, { readonly kind: 'revoked' }>;

const unsupported = 'revocation_unsupported';

/** A token, and which of the two it is. */
export interface NamedToken {
  readonly token: Secret;
  readonly hint: 'access_token' | 'refresh_token';
}

/** @source RFC 7009 §2 @internal */
export async function revokeToken(calls: ProviderCalls, { token, hint }: NamedToken): Promise<RevokeOutcome> {
  const outcome = await calls.call<Revoked>({
    secrets: [token],
    request: ({ server, authentication, http }) => {
      if (server.revocation_endpoint === undefined) throw new ProviderCallError('metadata_incomplete');
      const options = { ...http, additionalParameters: { token_type_hint: hint } };
      return oauth.revocationRequest(server, calls.client, authentication, token.reveal(), options);
    },
    read: async (_server, response) => {
      await oauth.processRevocationResponse(response);
      return { kind: 'revoked' };
    },
    readRefusal: async (response) => {
      const body: unknown = await response.json().catch(() => undefined);
      const answer = { httpStatus: response.status, body };
      return saysGone(calls.provider.revocation, answer) ? { kind: 'revoked' } : undefined;
    },
  });
  return outcome.kind === 'revoked' ? outcome : withoutVerdict(outcome, unsupported);
}

/** Tells by the endpoint of the provider's own. @internal */
export async function endAuthorization(
  calls: ProviderCalls,
  { call, accessToken }: { readonly call: RevocationCall | null; readonly accessToken: Secret },
): Promise<RevokeOutcome> {
  if (call === null) return withoutVerdict(failureOf(new ProviderCallError('metadata_incomplete')), unsupported);
  const byToken = call.authentication === 'access_token';
  const attempt: Attempt<Revoked> = async ({ credential, timeoutMs }) => {
    try {
      const response = await callRevocation({
        call,
        revocation: calls.provider.revocation,
        clientId: calls.client.client_id,
        credential,
        accessToken,
        fetch: byToken ? calls.fetchWith(accessToken) : calls.fetch(timeoutMs, credential?.certificate),
      });
      if (response === null) return { kind: 'revoked' };
      return await calls.refusal(response, { secrets: [accessToken], credential });
    } catch (error) {
      return failureOf(callErrorFrom(error));
    }
  };
  const outcome = byToken ? await calls.withoutCredential(attempt) : await calls.withCredential(attempt);
  return outcome.kind === 'revoked' ? outcome : withoutVerdict(outcome, unsupported);
}
