import { PosternError } from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import { requireGrantType } from '@postern/provider-catalog';
import * as oauth from 'oauth4webapi';

import { deviceCodeFrom, withoutTokens } from './device.ts';
import { exchangedFrom, withProbedAccount } from './exchanged.ts';
import { codedDiscovery } from './metadata.ts';
import type { DeviceAuthorized, Exchanged, Refusal, Rejected, Undecided } from './outcomes.ts';
import type { ProviderCalls } from './provider-calls.ts';

/** What is asked at the token endpoint until the end user has decided. */
export interface DeviceQuestion {
  readonly deviceCode: Secret;
  /** They count as granted when the answer names none. */
  readonly requestedScopes: readonly string[];
}

/** @source RFC 8628 §3.1 @internal */
export async function authorizeDevice(
  calls: ProviderCalls,
  { scopes, allowLoopback }: { readonly scopes: readonly string[]; readonly allowLoopback: boolean },
): Promise<DeviceAuthorized | Refusal> {
  requireGrantType(calls.provider, 'device_code');
  const { device_authorization_endpoint: endpoint } = await codedDiscovery(() => calls.server());
  if (endpoint === undefined) {
    throw new PosternError('provider.feature_unsupported', `${calls.provider.name} gives no user codes.`);
  }
  const sentAtMs = calls.nowMs();
  const parameters = { ...calls.scopeParameter(scopes), ...calls.resourceParameter };
  return calls.call({
    secrets: [],
    request: ({ server, authentication, http }) =>
      oauth.deviceAuthorizationRequest(server, calls.client, authentication, parameters, http),
    read: async (server, response) => {
      const answer = await oauth.processDeviceAuthorizationResponse(server, calls.client, response);
      return deviceCodeFrom(answer, { sentAtMs, allowLoopback });
    },
  });
}

/** @source RFC 8628 §3.4, §3.5 @internal */
export async function askForDevice(
  calls: ProviderCalls,
  { deviceCode, requestedScopes }: DeviceQuestion,
): Promise<Exchanged | Undecided | Refusal> {
  const sentAtMs = calls.nowMs();
  const outcome = await calls.tokenCall<Exchanged | Undecided | Rejected>({
    secrets: [deviceCode],
    request: ({ server, authentication, http }) => {
      const options = { ...http, additionalParameters: calls.resourceParameter };
      return oauth.deviceCodeGrantRequest(server, calls.client, authentication, deviceCode.reveal(), options);
    },
    read: async (server, response) => {
      const answer = await oauth.processDeviceCodeResponse(server, calls.client, response);
      return exchangedFrom(calls, answer, { sentAtMs, requestedScopes });
    },
    readRefusal: async (response) => withoutTokens(await response.json().catch(() => undefined), response.status),
  });
  return outcome.kind === 'exchanged' ? await withProbedAccount(calls, outcome) : outcome;
}
