import { Injectable } from '@nestjs/common';
import { operations, PosternError, type AppName } from '@postern/contracts';
import { CryptoError, Secret, zero } from '@postern/crypto';
import { OperationsClient } from './operations-client.ts';
import { ServiceIdentity } from './service-identity.ts';
import { ServiceKeys } from './service-keys.ts';

/**
 * What our client proves itself with at a provider, in one call: the secret itself, an assertion made for it, or the
 * certificate that its connections are made with, which may stand beside the others, too. The shape is the one that
 * `ProviderClient` takes, which no service without egress depends on.
 */
export type ClientCredential = { readonly version: number; readonly certificate?: Secret } & (
  | { readonly clientSecret: Secret }
  | { readonly clientAssertion: Secret }
  | { readonly certificate: Secret }
);

/** @param refusedVersion what the provider has just refused; another one comes back where there is another. */
export type ClientCredentialSource = (refusedVersion?: number) => Promise<ClientCredential>;

interface AuthenticatingRegistration {
  readonly tenantId: string;
  readonly registrationId: string;
  readonly tokenEndpointAuthMethod: string;
  readonly tlsClientCertificateBoundAccessTokens?: true | undefined;
}

interface Asked {
  readonly tenant_id: string;
  readonly registration_id: string;
  readonly refused_version?: number | undefined;
}

/** The credentials of our clients at providers, from the vault: sealed to this service, and kept for one use. */
@Injectable()
export class ClientCredentials {
  readonly #app: AppName;
  readonly #operations: OperationsClient;
  readonly #keys: ServiceKeys;

  constructor({ app }: ServiceIdentity, operationsClient: OperationsClient, keys: ServiceKeys) {
    this.#app = app;
    this.#operations = operationsClient;
    this.#keys = keys;
  }

  /**
   * Gets a credential before anything is spent that could not be un-spent, and a source of further ones: an assertion
   * serves one call (RFC 7523 §3), and a provider in the middle of a rotation may want another version.
   *
   * @returns null for a public client.
   * @throws {PosternError} what the vault answers
   */
  async of(registration: AuthenticatingRegistration): Promise<ClientCredentialSource | null> {
    if (registration.tokenEndpointAuthMethod === 'none') return null;
    let ready: ClientCredential | undefined = await this.#ask(registration);
    return async (refusedVersion) => {
      if (ready === undefined || refusedVersion !== undefined) return await this.#ask(registration, refusedVersion);
      const credential = ready;
      if ('clientAssertion' in credential) ready = undefined;
      return credential;
    };
  }

  async #ask(registration: AuthenticatingRegistration, refusedVersion?: number): Promise<ClientCredential> {
    const { tenantId, registrationId, tokenEndpointAuthMethod, tlsClientCertificateBoundAccessTokens } = registration;
    const key = { tenant_id: tenantId, registration_id: registrationId };
    const request = { ...key, refused_version: refusedVersion };
    if (tokenEndpointAuthMethod === 'tls_client_auth' || tokenEndpointAuthMethod === 'self_signed_tls_client_auth') {
      return await this.#certificate(request);
    }
    const credential = await this.#secretOrAssertion(tokenEndpointAuthMethod, request);
    if (tlsClientCertificateBoundAccessTokens !== true) return credential;
    return { ...credential, certificate: (await this.#certificate(key)).certificate };
  }

  async #certificate(request: Asked): Promise<{ version: number; certificate: Secret }> {
    const as = { app: this.#app };
    const answer = await this.#operations.call(operations.releaseTlsCertificate, as, request);
    return { version: answer.secret_version, certificate: this.#open(answer.sealed_certificate) };
  }

  async #secretOrAssertion(tokenEndpointAuthMethod: string, request: Asked): Promise<ClientCredential> {
    const as = { app: this.#app };
    if (tokenEndpointAuthMethod === 'private_key_jwt') {
      const { sealed_assertion: sealed, secret_version: version } = await this.#operations.call(
        operations.signAssertion,
        as,
        request,
      );
      return { version, clientAssertion: this.#open(sealed) };
    }
    const { sealed_secret: sealed, secret_version: version } = await this.#operations.call(
      operations.releaseClientSecret,
      as,
      request,
    );
    return { version, clientSecret: this.#open(sealed) };
  }

  #open(sealed: string): Secret {
    try {
      const { plaintext } = this.#keys.opener.open(sealed);
      const secret = Secret.from(plaintext.toString('utf8'));
      zero(plaintext);
      return secret;
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw new PosternError('service.internal', 'The client credential was not sealed to this service.');
    }
  }
}
