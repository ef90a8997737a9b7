import { PosternError } from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import type { Provider } from '@postern/provider-catalog';
import { ClientSecretBasic, ClientSecretPost, None, type ClientAuth } from 'oauth4webapi';

/** How a client authenticates at the token endpoint. @source RFC 7591 §2 */
export type TokenEndpointAuthMethod = Provider['tokenEndpointAuthMethods'][number];

/** What our client proves itself with, in one call: the secret itself, or an assertion made for it. */
export type ClientCredential = { readonly version: number } & (
  | { readonly clientSecret: Secret }
  | { readonly clientAssertion: Secret }
);

/**
 * Where a client's credential comes from, anew for each call.
 *
 * @param refusedVersion what the provider has just refused: another version is wanted, and the same one comes back
 *   where there is no other.
 */
export type ClientCredentialSource = (refusedVersion?: number) => Promise<ClientCredential>;

/** A secret that is at hand, and the only one. */
export function heldClientSecret(clientSecret: Secret): ClientCredentialSource {
  return () => Promise.resolve({ version: 1, clientSecret });
}

/** What the provider may not be allowed to say back to us. */
export function secretOf(credential: ClientCredential): Secret {
  return 'clientSecret' in credential ? credential.clientSecret : credential.clientAssertion;
}

/**
 * How our client proves itself at the provider's endpoints.
 *
 * @param basic what the provider has in the place of `client_secret_basic`, where it has something else
 * @throws {PosternError} `provider.client_rejected` when the method needs another kind of credential than there is: the
 *   provider would say no more than that.
 * @source RFC 6749 §2.3.1, RFC 7523 §2.2
 */
export function clientAuthentication(
  method: TokenEndpointAuthMethod,
  credential: ClientCredential | null,
  basic: ((clientSecret: string) => ClientAuth) | null,
): ClientAuth {
  if (method === 'none') return None();
  if (method === 'private_key_jwt') {
    if (credential !== null && 'clientAssertion' in credential) return clientAssertion(credential.clientAssertion);
    throw new PosternError('provider.client_rejected', 'The client registration has no client assertion.');
  }
  if (credential === null || !('clientSecret' in credential)) {
    throw new PosternError('provider.client_rejected', 'The client registration has no client secret.');
  }
  const { clientSecret } = credential;
  return method === 'client_secret_basic'
    ? (basic ?? ClientSecretBasic)(clientSecret.reveal())
    : ClientSecretPost(clientSecret.reveal());
}

/** Sends an assertion that another has signed: this process has no key. @source RFC 7523 §2.2 */
function clientAssertion(assertion: Secret): ClientAuth {
  return (_server, { client_id: clientId }, body) => {
    body.set('client_id', clientId);
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
    body.set('client_assertion', assertion.reveal());
  };
}
