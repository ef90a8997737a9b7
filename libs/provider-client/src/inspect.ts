import type { Secret } from '@postern/crypto';
import * as oauth from 'oauth4webapi';

import { x5tS256In } from './certificate-binding.ts';
import { callErrorFrom } from './metadata.ts';
import type { IntrospectOutcome, ProbeOutcome } from './outcomes.ts';
import type { ProviderCalls } from './provider-calls.ts';
import { ProviderCallError } from './provider-call-error.ts';
import { failureOf, withoutVerdict } from './refusal.ts';
import type { NamedToken } from './revoke.ts';
import { withoutNullMembers } from './token-answer.ts';
import { probeToken } from './token-probe.ts';

type Inspected = Extract<IntrospectOutcome, { readonly kind: 'active' | 'inactive' }>;

/** @source RFC 7662 §2 @internal */
export async function introspect(
  calls: ProviderCalls,
  { token, hint }: NamedToken,
  timeoutMs?: number,
): Promise<IntrospectOutcome> {
  const outcome = await calls.call<Inspected>({
    timeoutMs,
    secrets: [token],
    request: ({ server, authentication, http }) => {
      if (server.introspection_endpoint === undefined) throw new ProviderCallError('metadata_incomplete');
      const options = { ...http, additionalParameters: { token_type_hint: hint } };
      return oauth.introspectionRequest(server, calls.client, authentication, token.reveal(), options);
    },
    read: async (server, response) => {
      const answer = await oauth.processIntrospectionResponse(server, calls.client, await withoutNullMembers(response));
      if (!answer.active) return { kind: 'inactive' };
      return {
        kind: 'active',
        scopes: answer.scope?.split(calls.provider.scopeSeparator).filter((scope) => scope !== '') ?? null,
        expiresAtMs: answer.exp === undefined ? null : answer.exp * 1000,
        subject: answer.sub ?? null,
        x5tS256: x5tS256In(answer.cnf),
      };
    },
  });
  if (outcome.kind === 'active' || outcome.kind === 'inactive') return outcome;
  return withoutVerdict(outcome, 'introspection_unsupported');
}

/** Asks the provider's API by the call that its file names. @param probeUrl null where its metadata have it @internal */
export async function probe(
  calls: ProviderCalls,
  { accessToken, probeUrl }: { readonly accessToken: Secret; readonly probeUrl: string | null },
): Promise<ProbeOutcome> {
  const { provider } = calls;
  const { tokenProbe } = provider.api;
  try {
    const url = tokenProbe === null ? undefined : (probeUrl ?? (await calls.server()).userinfo_endpoint);
    if (tokenProbe === null || url === undefined) throw new ProviderCallError('metadata_incomplete');
    const fetch = calls.fetchWith(accessToken);
    return await probeToken(tokenProbe, { url, provider, accessToken, fetch, nowMs: calls.nowMs() });
  } catch (error) {
    return withoutVerdict(failureOf(callErrorFrom(error)), 'probe_unsupported');
  }
}
