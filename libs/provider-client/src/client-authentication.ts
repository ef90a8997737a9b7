import { PosternError } from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import type { Provider } from '@postern/provider-catalog';
import { ClientSecretBasic, ClientSecretPost, None, type ClientAuth } from 'oauth4webapi';

/** How a client authenticates at the token endpoint. @source RFC 7591 §2 */
export type TokenEndpointAuthMethod = Provider['tokenEndpointAuthMethods'][number];

/**
 * How our client proves itself at the provider's endpoints.
 *
 * @throws {PosternError} `provider.client_rejected` when the method needs a secret and there is none: the provider
 *   would say no more than that.
 * @source RFC 6749 §2.3.1
 */
export function clientAuthentication(method: TokenEndpointAuthMethod, clientSecret: Secret | null): ClientAuth {
  if (method === 'none') return None();
  if (clientSecret === null) {
    throw new PosternError('provider.client_rejected', 'The client registration has no client secret.');
  }
  return method === 'client_secret_basic'
    ? ClientSecretBasic(clientSecret.reveal())
    : ClientSecretPost(clientSecret.reveal());
}
