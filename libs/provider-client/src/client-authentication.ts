import { PosternError } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import type { Provider } from '@postern/provider-catalog';
import { ClientSecretBasic, ClientSecretPost, None, TlsClientAuth, type ClientAuth } from 'oauth4webapi';

/** How a client authenticates at the token endpoint. @source RFC 7591 §2 */
export type TokenEndpointAuthMethod = Provider['tokenEndpointAuthMethods'][number];

/**
 * What our client proves itself with, in one call: the secret itself, an assertion made for it, or the certificate with
 * which its connections are made: chain and private key, in PEM. That may stand beside the others, too.
 */
export type ClientCredential = { readonly version: number; readonly certificate?: Secret } & (
  | { readonly clientSecret: Secret }
  | { readonly clientAssertion: Secret }
  | { readonly certificate: Secret }
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

/**
 * How our client proves itself at the provider's endpoints.
 *
 * @param basic what the provider has in the place of `client_secret_basic`, where it has something else
 * @throws {PosternError} `provider.client_rejected` when the method needs another kind of credential than there is: the
 *   provider would say no more than that.
 * @source RFC 6749 §2.3.1, RFC 7523 §2.2, RFC 8705 §2
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
  if (authenticatesByCertificate(method)) {
    if (credential?.certificate !== undefined) return TlsClientAuth();
    throw new PosternError('provider.client_rejected', 'The client registration has no client certificate.');
  }
  if (credential === null || !('clientSecret' in credential)) {
    throw new PosternError('provider.client_rejected', 'The client registration has no client secret.');
  }
  const { clientSecret } = credential;
  return method === 'client_secret_basic'
    ? (basic ?? ClientSecretBasic)(clientSecret.reveal())
    : ClientSecretPost(clientSecret.reveal());
}

/** @source RFC 8705 §2.1.1, §2.2.1 @internal */
export function authenticatesByCertificate(method: TokenEndpointAuthMethod): boolean {
  return method === 'tls_client_auth' || method === 'self_signed_tls_client_auth';
}

/** Sends an assertion that another has signed: this process has no key. @source RFC 7523 §2.2 */
function clientAssertion(assertion: Secret): ClientAuth {
  return (_server, { client_id: clientId }, body) => {
    body.set('client_id', clientId);
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
    body.set('client_assertion', assertion.reveal());
  };
}

/**
 * A credential as it is, and as a header carries it: a server that repeats a request repeats that, and may not be heard.
 *
 * @source RFC 6749 §2.3.1
 */
export function sentFormsOf(clientId: string, credential: ClientCredential): Secret[] {
  const secret = secretOf(credential);
  if (secret === null) return [];
  const own = [clientId, secret.reveal()];
  const pairs = [own, own.map(encodeURIComponent), own.map(formEncoded), [secret.reveal(), '']];
  const headers = pairs.map((pair) => Secret.from(Buffer.from(pair.join(':'), 'utf8').toString('base64')));
  return [secret, ...headers];
}

/** As `oauth4webapi` writes it, which encodes more than it would have to. @source RFC 6749 appendix B */
function formEncoded(text: string): string {
  return new URLSearchParams({ text })
    .toString()
    .slice('text='.length)
    .replaceAll(/[-._*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** What the provider is sent, whichever it is; null where the connection says it all. @internal */
export function secretOf(credential: ClientCredential): Secret | null {
  if ('clientSecret' in credential) return credential.clientSecret;
  return 'clientAssertion' in credential ? credential.clientAssertion : null;
}
