import { PosternError } from '@postern/contracts';
import type { Registration } from '@postern/domain';
import { requestFor, type Provider } from '@postern/provider-catalog';

/** What a platform says of the access that it wants: scopes, or capabilities, or nothing. */
export interface WantedAccess {
  readonly scopes?: readonly string[] | undefined;
  readonly capabilities?: readonly string[] | undefined;
}

/**
 * The scopes that were asked for, in whichever way; capabilities are looked up in the provider's matrix, among the scopes
 * that the registration offers.
 *
 * @returns undefined where nothing was said
 * @throws {PosternError} `request.malformed` for both, `provider.capability_unknown`
 */
export function askedScopes(
  { scopes, capabilities }: WantedAccess,
  { registration, provider }: { readonly registration: Registration; readonly provider: Provider },
): readonly string[] | undefined {
  if (capabilities === undefined) return scopes;
  if (scopes === undefined) return requestFor(provider, capabilities, registration.scopes);
  const reason = 'stands beside scopes; name one of them';
  throw new PosternError('request.malformed', `The member capabilities ${reason}.`, {
    details: { fields: [{ path: 'capabilities', reason }] },
  });
}
